"""The parts of abilities that need no hypervisor: what is kept of a disk, what a domain's XML says of consoles, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from nova_lite.virt import refusals
from nova_lite.virt.driver import KINDS, DriverError
from nova_lite.virt.libvirt import console_ports, kept_disks
from nova_lite.virt.libvirt.instances import Instances


def test_a_disk_is_kept_once_and_put_back_whole(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_text("old")
    kept_disks.keep(disk)
    disk.write_text("new")
    kept_disks.keep(disk)
    for _ in range(2):
        kept_disks.restore(disk)
        assert disk.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    kept_disks.keep(disk)
    disk.write_text("new")
    for _ in range(2):
        kept_disks.drop(disk)
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    assert disk.read_text() == "new"


def test_that_there_was_no_disk_is_kept_too(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    kept_disks.keep(disk)
    assert kept_disks.is_kept(disk)
    disk.write_text("new")
    kept_disks.restore(disk)
    assert not list(tmp_path.iterdir())


def test_a_copy_that_was_cut_off_is_no_copy(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_text("whole")
    (tmp_path / "disk.before.part").write_text("wh")
    assert not kept_disks.is_kept(disk)
    kept_disks.keep(disk)
    assert (tmp_path / "disk.before").read_text() == "whole"


def test_consoles_are_where_libvirt_says() -> None:
    description = """<domain><devices><serial type="unix"><source mode="bind" path="/i/console.sock"/></serial>
      <graphics type="vnc"><listen type="socket" socket="/run/vnc.sock"/></graphics></devices></domain>"""
    assert console_ports.find(description, "serial").unix_path == Path("/i/console.sock")
    assert console_ports.find(description, "novnc").unix_path == Path("/run/vnc.sock")
    empty = "<domain><devices><serial type='pty'><source path='/dev/pts/1'/></serial></devices></domain>"
    for kind, hint in (("serial", "hard reboot"), ("novnc", "hw_video_model"), ("rdp", "serial and novnc")):
        with pytest.raises(DriverError, match=hint):
            console_ports.find(empty, kind)


def test_strip_leaves_the_console_log_alone(tmp_path: Path) -> None:
    ident = "11111111-2222-4333-8444-555555555555"
    instances = Instances(tmp_path)
    instances.strip(ident)
    path = tmp_path / ident
    (path / "rootfs").mkdir(parents=True)
    for name in ("console.log", "console.log.0", "disk", "container.json"):
        (path / name).touch()
    (path / "link").symlink_to(tmp_path)
    instances.strip(ident)
    assert sorted(entry.name for entry in path.iterdir()) == ["console.log", "console.log.0"]
    assert tmp_path.is_dir()


def test_each_refusal_says_who_could() -> None:
    found = refusals.missing()
    assert {key.split(".")[0] for key in found} == set(KINDS)
    for key, why in found.items():
        assert "VM" in why, key
    for kind, ability in refusals.REFUSED:
        assert f"{kind}.{ability}" in found
        with pytest.raises(DriverError):
            refusals.check(kind, ability)

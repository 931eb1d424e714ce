"""The parts of abilities that need no hypervisor: what is kept of a disk, what a domain's XML says of consoles, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from nova_lite.virt import refusals
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, DriverError
from nova_lite.virt.libvirt import console_ports, kept_disks
from nova_lite.virt.libvirt.instances import Instances
from nova_lite.virt.libvirt.screens import Screens


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
      <graphics type="vnc"><listen type="socket" socket="/run/vnc.sock"/></graphics>
      <graphics type="spice"><listen type="socket" socket="/run/spice.sock"/></graphics></devices></domain>"""
    for kind, path in (("serial", "/i/console.sock"), ("novnc", "/run/vnc.sock"), ("spice-html5", "/run/spice.sock")):
        target = console_ports.find(description, kind, Screens())
        assert (target.unix_path, target.channels) == (Path(path), kind == "spice-html5")
    empty = "<domain><devices><serial type='pty'><source path='/dev/pts/1'/></serial></devices></domain>"
    for kind, hint in (
        ("serial", "hard reboot"),
        ("novnc", "hw_video_model"),
        ("spice-html5", "hw_video_model"),
        ("rdp", "serial, novnc and spice-html5"),
    ):
        with pytest.raises(DriverError, match=hint):
            console_ports.find(empty, kind, Screens())


def test_a_screen_that_is_not_shown_by_a_protocol_says_why() -> None:
    description = """<domain><devices><video/>
      <graphics type="vnc"><listen type="address" address="::"/></graphics></devices></domain>"""
    with pytest.raises(DriverError, match="hard reboot") as started_before:
        console_ports.find(description, "spice-html5", Screens())
    assert started_before.value.code != "driver.unsupported", "it may have one later"
    with pytest.raises(DriverError, match="the QEMU of its host has no spice") as never:
        console_ports.find(description, "spice-html5", Screens(no_spice="the QEMU of its host has no spice"))
    assert never.value.code == "driver.unsupported"
    with pytest.raises(DriverError, match="hard reboot"):
        console_ports.find(description, "novnc", Screens())


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
    assert {key.split(".")[0] for key in found} == {UNIKERNEL, CONTAINER}, "a VM can have everything"
    for key, why in found.items():
        assert "VM" in why, key
    for kind, ability in refusals.REFUSED:
        assert f"{kind}.{ability}" in found
        with pytest.raises(DriverError):
            refusals.check(kind, ability)

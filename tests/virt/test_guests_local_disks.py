"""Real guests find their ephemeral disks and swap, and find again in them what they wrote; what an action begins anew is empty."""

from __future__ import annotations

import contextlib
import re
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from driver_fixtures import (  # noqa: F401
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    kill_an_agent,
    make_driver,
    make_spec,
    says,
    state,
    until,
)
from el_torito import cd, disk

from nova_lite.compute.local_disks import Ephemeral, LocalDisks
from nova_lite.compute.transitions import PowerState
from nova_lite.conf import load
from nova_lite.host import metadata
from nova_lite.host.images import HostImages
from nova_lite.host.metadata import GuestData
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt import container_limits
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT
GIB = 1 << 30
BOOT_S = 180.0
"""A guest that is emulated on a machine with other work takes its time."""

LOOK = b"""#!/bin/sh
modprobe vfat
mkdir -p /run/own /run/more
for disk in /dev/vd[a-z]; do
    [ "$(dd if=$disk bs=1 skip=4086 count=10 2>/dev/null)" != SWAPSPACE2 ] || swapon $disk
done
sed 's/^/SWAP /' /proc/swaps
mount $(findfs LABEL=ephemeral0) /run/own
mount $(findfs LABEL=ephemeral1) /run/more
grep ' /run/[om]' /proc/mounts | sed 's/^/MOUNTED /'
echo "FOUND $(cat /run/own/count 2>/dev/null | wc -l) of $(cat /sys/class/block/vdb/size)"
echo x >>/run/own/count
umount /run/own /run/more
sync
echo "LOOKED"
"""

Make = Callable[..., GuestSpec]


def with_script(spec: GuestSpec, state: Path) -> GuestSpec:  # noqa: F811
    """Return *spec* with a config drive whose user data looks at the disks at each boot."""
    drives = HostImages(load([], {"state_path": str(state)}))
    guest = GuestData(spec.server_id, "disks", "disks", "project", "nova", user_data=LOOK)
    return replace(spec, config_drive=drives.config_drive(spec.server_id, metadata.files(guest, [])))


class Looks:
    """What a guest said of its disks, boot after boot."""

    def __init__(self, driver: LibvirtDriver, spec: GuestSpec) -> None:  # noqa: F811
        self._driver, self._spec, self._seen = driver, spec, 0

    def next(self) -> str:
        """Wait for one more look, and return what was said since the one before."""
        self._seen += 1
        until(lambda: says(self._driver, self._spec).count(b"LOOKED") >= self._seen, BOOT_S)
        return says(self._driver, self._spec).decode(errors="replace").split("LOOKED")[self._seen - 1]


def swapped(text: str) -> list[tuple[str, int]]:
    """Return what was swapped to: device and KiB."""
    found = re.findall(r"SWAP (/dev/\S+)\s+partition\s+(\d+)", text)
    return [(device, int(size)) for device, size in found]


def found(text: str) -> tuple[int, int]:
    """Return how many lines earlier boots have left, and the GiB of the ephemeral disk."""
    match = re.search(r"FOUND (\d+) of (\d+)", text)
    assert match is not None, text
    return int(match[1]), int(match[2]) * 512 // GIB


def test_a_vm_uses_its_disks(driver: LibvirtDriver, make_spec: Make, state: Path) -> None:  # noqa: F811
    spec = with_script(make_spec(VM, nics=(), disks=LocalDisks((Ephemeral(1), Ephemeral(1, "ext3")), 64)), state)
    files = state / "instances" / spec.server_id
    looks = Looks(driver, spec)
    driver.spawn(spec)
    text = looks.next()
    assert "MOUNTED /dev/vdb /run/own vfat rw" in text, text
    assert "MOUNTED /dev/vdc /run/more ext3 rw" in text, text
    assert swapped(text) == [("/dev/vdd", 64 * 1024 - 4)]
    assert found(text) == (0, 1)
    assert {"vda", "vdb", "vdc", "vdd"} <= driver.stats(spec.server_id).disks.keys()
    driver.reboot(spec, hard=True, grace_s=0)
    assert found(looks.next()) == (1, 1)

    # A snapshot is of the root disk alone.
    target = state / "snapshot"
    assert driver.snapshot(spec, target).size < 64 << 20
    driver.stop(spec.server_id, 0)

    larger = replace(spec, disks=LocalDisks((Ephemeral(2), Ephemeral(1, "ext3")), 32))
    driver.resize(larger)
    text = looks.next()
    assert (found(text), swapped(text)) == ((2, 2), [("/dev/vdd", 32 * 1024 - 4)])
    for _ in range(2):
        driver.revert_resize(spec)
    text = looks.next()
    # As it was before the resize: what the larger one wrote has gone with it.
    assert (found(text), swapped(text)) == ((2, 1), [("/dev/vdd", 64 * 1024 - 4)])
    assert not [path.name for path in files.iterdir() if re.search(r"\.(before|none|part)", path.name)]
    driver.rebuild(spec)
    assert found(looks.next()) == (0, 1)
    driver.stop_and_remove(spec.server_id)
    assert not list(files.glob("disk*"))
    driver.destroy(spec.server_id)
    assert not files.exists()


def test_a_resize_may_bring_the_first_ones_and_take_the_swap(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Make,  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    spec = make_spec(VM, nics=(), disks=LocalDisks((), 64))
    files = state / "instances" / spec.server_id
    driver.spawn(spec)
    assert (files / "disk.swap").exists()
    for run in (True, False):
        driver.resize(replace(spec, disks=LocalDisks((Ephemeral(1),))), run=run)
        if run:
            assert ((files / "disk.eph0").exists(), (files / "disk.swap").exists()) == (True, False)
        driver.revert_resize(spec)
        assert sorted(path.name for path in files.glob("disk*")) == ["disk", "disk.swap"]
    driver.resize(replace(spec, disks=LocalDisks((Ephemeral(1),))))
    for _ in range(2):
        driver.confirm_resize(spec.server_id)
    assert sorted(path.name for path in files.glob("disk*")) == ["disk", "disk.eph0"]
    assert driver.power(spec.server_id) == PowerState.RUNNING
    with pytest.raises(DriverError, match="ephemeral disk 0 has 1 GiB and can't be made smaller"):
        driver.resize(replace(spec, disks=LocalDisks((Ephemeral(0),))))
    assert driver.power(spec.server_id) == PowerState.RUNNING


@pytest.mark.parametrize("delay", [0.01, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_a_spawn_that_is_cut_off_is_finished(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Make,  # noqa: F811
    state: Path,  # noqa: F811
    kind: str,
    delay: float,
) -> None:
    spec = make_spec(kind, nics=(), disks=LocalDisks((Ephemeral(1, "ext4"), Ephemeral(1)), 64 if kind == VM else 0))
    kill_an_agent(state, spec, "d.spawn(spec)", delay)
    driver.spawn(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING
    files = state / "instances" / spec.server_id
    disks = {path.name: path.stat().st_size for path in files.glob("disk.*")}
    assert disks == {"disk.eph0": GIB, "disk.eph1": GIB} | ({"disk.swap": 64 << 20} if kind == VM else {})


@pytest.mark.parametrize("delay", [0.1, 0.6, 0.9, 1.2])
def test_a_resize_that_is_cut_off_is_finished_or_taken_back(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Make,  # noqa: F811
    state: Path,  # noqa: F811
    delay: float,
) -> None:
    spec = make_spec(VM, nics=(), disks=LocalDisks((Ephemeral(1),), 64))
    larger = replace(spec, disks=LocalDisks((Ephemeral(2), Ephemeral(1)), 32))
    files = state / "instances" / spec.server_id
    driver.spawn(spec)
    for back in (True, False):
        kill_an_agent(state, larger, "d.resize(spec)", delay)
        if back:
            driver.revert_resize(spec)
        else:
            driver.resize(larger)
            driver.confirm_resize(spec.server_id)
        with contextlib.suppress(DriverError):
            driver.reboot(spec if back else larger, hard=True, grace_s=0)
        sizes = {path.name: path.stat().st_size for path in files.glob("disk.*")}
        if back:
            assert sizes == {"disk.eph0": GIB, "disk.swap": 64 << 20}
        else:
            assert sizes == {"disk.eph0": 2 * GIB, "disk.eph1": GIB, "disk.swap": 32 << 20}


@pytest.mark.parametrize(
    "properties",
    [{}, {"hw_disk_bus": "scsi"}, {"hw_disk_bus": "sata", "hw_cdrom_bus": "sata"}, {"hw_disk_bus": "ide"}],
)
def test_they_are_at_the_bus_of_the_root_disk(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Make,  # noqa: F811
    state: Path,  # noqa: F811
    properties: dict[str, str],
) -> None:
    boot, drive = state / "disk", state / "config.iso"
    boot.write_bytes(disk(b"D"))
    drive.write_bytes(cd(b"X"))
    boot.chmod(0o644)
    image = LocalImage("disk", boot, "raw", boot.stat().st_size)
    local = LocalDisks((Ephemeral(1),), 64)
    spec = make_spec(VM, nics=(), image=image, properties=properties, config_drive=drive, disks=local)
    driver.spawn(spec)
    until(lambda: b"D" in says(driver, spec), BOOT_S)
    domains = driver._by_kind[VM].domains
    document = ET.fromstring(domains.on(spec.server_id, "look at", lambda domain: domain.XMLDesc()))
    seen = {
        str(element.find("source").get("file")).rpartition("/")[2]: element.find("target").get("bus")  # type: ignore[union-attr]
        for element in document.iterfind("devices/disk")
    }
    bus = properties.get("hw_disk_bus", "virtio")
    assert {seen["disk"], seen["disk.eph0"], seen["disk.swap"]} == {bus}


def test_a_unikernel_runs_with_an_ephemeral_disk(driver: LibvirtDriver, make_spec: Make) -> None:  # noqa: F811
    spec = make_spec(UNIKERNEL, disks=LocalDisks((Ephemeral(1),)))
    driver.spawn(spec)
    until(lambda: len(says(driver, spec)) > 0, BOOT_S)
    assert "vdb" in driver.stats(spec.server_id).disks


def counting(make_spec: Make, **changes: object) -> GuestSpec:  # noqa: F811
    image = make_spec.container_image(  # type: ignore[attr-defined]
        "cat /mnt/ephemeral0/count; echo x >>/mnt/ephemeral0/count; echo end$(cat /mnt/ephemeral0/count | wc -l); "
        "id >/mnt/ephemeral1/who; sleep 1000"
    )
    if not (image.rootfs / "bin/wc").exists():
        (image.rootfs / "bin/wc").symlink_to("/bin/busybox")
    return make_spec(CONTAINER, image=image, nics=(), **changes)


def test_a_container_uses_its_disks(driver: LibvirtDriver, make_spec: Make, state: Path) -> None:  # noqa: F811
    spec = counting(make_spec, disks=LocalDisks((Ephemeral(1), Ephemeral(1)), 64))
    files = state / "instances" / spec.server_id

    def says_end(count: int, times: int) -> None:
        until(lambda: says(driver, spec).count(b"end%d\r\n" % count) == times, BOOT_S)

    driver.spawn(spec)
    says_end(1, 1)
    driver.reboot(spec, hard=True, grace_s=0)
    says_end(2, 1)
    made = driver.snapshot(spec, state / "running.oci")
    driver.stop(spec.server_id, 0)
    again = driver.snapshot(spec, state / "stopped.oci")
    for snapshot in (made, again):
        assert not [name for name in layers(snapshot.path) if "count" in name or "lost+found" in name]
    larger = replace(spec, disks=LocalDisks((Ephemeral(2), Ephemeral(1)), 64))
    driver.resize(larger)
    says_end(3, 1)
    assert (files / "disk.eph0").stat().st_size == 2 * GIB
    driver.revert_resize(spec)
    says_end(3, 2)
    assert (files / "disk.eph0").stat().st_size == GIB
    driver.rescue(spec, make_spec.container_image("ls /mnt; echo rescued; sleep 1000"))  # type: ignore[attr-defined]
    until(lambda: b"rescued" in says(driver, spec), BOOT_S)
    assert b"ephemeral" not in says(driver, spec).rpartition(b"end3")[2]
    driver.unrescue(spec)
    says_end(4, 1)
    driver.rebuild(spec)
    says_end(1, 2)
    driver.destroy(spec.server_id)
    assert not files.exists()


def layers(archive: Path) -> list[str]:
    """Return the names in an OCI archive's layers."""
    names = []
    with tarfile.open(archive) as outer:
        for member in outer.getmembers():
            file = outer.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            with contextlib.suppress(tarfile.ReadError), tarfile.open(fileobj=file) as layer:
                names += layer.getnames()
    assert names
    return names


@pytest.mark.skipif(not container_limits.counts_with_swap(), reason="the host's cgroups (v1) count no swap")
def test_a_container_has_no_more_of_the_hosts_swap_than_its_flavor_says(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Make,  # noqa: F811
) -> None:
    spec = make_spec(CONTAINER, nics=(), disks=LocalDisks((), 64))
    driver.spawn(spec)
    domains = driver._by_kind[CONTAINER].domains

    def limits() -> tuple[int, int]:
        held = domains.on(spec.server_id, "look at", lambda domain: domain.memoryParameters(0))
        return held["hard_limit"] // 1024, held["swap_hard_limit"] // 1024

    assert limits() == (spec.memory_mb, spec.memory_mb + 64)
    for memory in (spec.memory_mb + 64, spec.memory_mb):
        driver.resize_live(replace(spec, memory_mb=memory))
        assert limits() == (memory, memory + 64)
    none = replace(spec, disks=LocalDisks())
    driver.reboot(none, hard=True, grace_s=0)
    assert limits() == (spec.memory_mb, spec.memory_mb)

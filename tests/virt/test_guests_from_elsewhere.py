"""Images that were built for other hardware than virtio's: real QEMU boots them from the bus that they ask for, and from a CD."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from driver_fixtures import NEEDS_LIBVIRT, bridge, driver, images, make_spec, says, state, until  # noqa: F401
from el_torito import cd, disk

from nova_lite.virt.driver import VM, DriverError, GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT


def image(directory: Path, name: str, content: bytes, disk_format: str = "raw") -> LocalImage:
    path = directory / name
    path.write_bytes(content)
    path.chmod(0o644)
    return LocalImage(name, path, disk_format, len(content))


def described(driver: LibvirtDriver, spec: GuestSpec) -> ET.Element:  # noqa: F811
    return ET.fromstring(driver._by_kind[VM].domains.on(spec.server_id, "look at", lambda domain: domain.XMLDesc()))


@pytest.mark.parametrize(
    ("properties", "bus", "card"),
    [
        ({}, "virtio", "virtio"),
        ({"hw_disk_bus": "scsi", "hw_vif_model": "e1000e"}, "scsi", "e1000e"),
        ({"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic", "hw_vif_model": "pcnet"}, "scsi", "pcnet"),
        ({"hw_disk_bus": "sata", "hw_vif_model": "ne2k_pci"}, "sata", "ne2k_pci"),
        ({"hw_disk_bus": "ide", "hw_vif_model": "rtl8139"}, "ide", "rtl8139"),
        ({"hw_disk_bus": "IDE", "hw_cdrom_bus": "sata", "hw_vif_model": "e1000"}, "ide", "e1000"),
    ],
)
def test_a_disk_boots_from_the_bus_that_its_image_asks_for(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
    properties: dict[str, str],
    bus: str,
    card: str,
) -> None:
    drive = image(state, "config.iso", cd(b"X")).path
    spec = make_spec(VM, image=image(state, "disk", disk(b"D")), properties=properties, config_drive=drive)
    driver.spawn(spec)
    until(lambda: b"D" in says(driver, spec))
    devices = described(driver, spec).find("devices")
    assert devices is not None
    targets = [target.attrib for target in devices.iterfind("disk/target")]
    assert targets[0]["bus"] == bus
    assert targets[1]["bus"] == (properties.get("hw_cdrom_bus", "ide") if bus != "virtio" else "virtio")
    assert [model.get("type") for model in devices.iterfind("interface/model")] == [card]


def test_a_card_that_is_plugged_in_later_is_of_the_same_model(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    spec = make_spec(VM, image=image(state, "disk", disk(b"D")), properties={"hw_vif_model": "e1000"})
    driver.spawn(spec)
    device = f"{spec.nics[0].device}b"
    subprocess.run(["ip", "tuntap", "add", "dev", device, "mode", "tap"], check=True)
    subprocess.run(["ip", "link", "set", device, "master", spec.nics[0].bridge, "up"], check=True)
    nic = Nic("port2", "fa:16:3e:99:99:99", device, spec.nics[0].bridge, 1400, (), "", ())
    for _ in range(2):
        driver.attach_nic(replace(spec, nics=(*spec.nics, nic)), nic)
    models = [model.get("type") for model in described(driver, spec).iterfind("devices/interface/model")]
    assert models == ["e1000", "e1000"]


def test_a_cd_is_booted_until_the_empty_disk_beside_it_can_be(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    drive = image(state, "config.iso", bytes(1 << 20)).path
    spec = make_spec(VM, image=image(state, "install.iso", cd(b"C"), "iso"), properties={}, config_drive=drive)
    driver.spawn(spec)
    until(lambda: b"C" in says(driver, spec))
    driver.stop(spec.server_id, 0.0)
    # What an installer would do.
    installed = image(state, "installed", disk(b"D")).path
    kept = state / "instances" / spec.server_id / "disk"
    size = kept.stat().st_uid, kept.stat().st_gid
    subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", installed, kept], check=True)
    assert (kept.stat().st_uid, kept.stat().st_gid) == size
    driver.start(spec)
    until(lambda: says(driver, spec).rstrip().endswith(b"D"))


def test_a_cd_rescues_a_guest_whose_own_disk_would_boot(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    spec = make_spec(VM, image=image(state, "disk", disk(b"D")), properties={})
    driver.spawn(spec)
    until(lambda: b"D" in says(driver, spec))
    driver.rescue(spec, image(state, "rescue.iso", cd(b"C"), "iso"))
    until(lambda: says(driver, spec).rstrip().endswith(b"C"))
    driver.unrescue(spec)
    until(lambda: says(driver, spec).rstrip().endswith(b"D"))


def test_hardware_that_there_is_not_is_named(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
) -> None:
    with pytest.raises(DriverError, match=r"hw_vif_model is 'vmxnet3'.*e1000"):
        driver.spawn(make_spec(VM, properties={"hw_vif_model": "vmxnet3"}))

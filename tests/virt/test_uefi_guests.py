"""VMs that boot by UEFI: real firmware runs, its variables share the life of the guest's disk, and nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

import efi_medium  # noqa: E402
from driver_fixtures import (  # noqa: E402, F401
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    kill_an_agent,
    make_spec,
    says,
    state,
    until,
)

from nova_lite.compute import traits  # noqa: E402
from nova_lite.virt.driver import VM, DriverError, GuestSpec, LocalImage, Nic  # noqa: E402
from nova_lite.virt.libvirt.driver import LibvirtDriver  # noqa: E402

pytestmark = NEEDS_LIBVIRT
UEFI = {"hw_firmware_type": "uefi"}
SECURE = UEFI | {"os_secure_boot": "required"}
SAYS = efi_medium.SAYS.encode()
MARK = b"of the first guest"


@pytest.fixture
def make(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> Callable[..., GuestSpec]:
    """Give specs of VMs on a disk that says which firmware has booted it; skip where there is no UEFI."""
    if traits.SECURE_BOOT not in driver.capabilities().traits:
        pytest.skip("the package ovmf is missing")
    path = state / "disk.raw"
    path.write_bytes(efi_medium.disk())
    path.chmod(0o644)

    def make(properties: dict[str, str], **changes: object) -> GuestSpec:
        return make_spec(
            VM, image=LocalImage("disk", path, "raw", path.stat().st_size), properties=properties, **changes
        )

    return make


def described(driver: LibvirtDriver, spec: GuestSpec) -> ET.Element:  # noqa: F811
    return ET.fromstring(driver._by_kind[VM].domains.on(spec.server_id, "look at", lambda domain: domain.XMLDesc()))


def files(driver: LibvirtDriver, spec: GuestSpec) -> dict[str, int]:  # noqa: F811
    """Return the firmware's files of a guest, and which file each is."""
    return {path.name: path.stat().st_ino for path in driver._instances.at(spec.server_id).path.glob("nvram*")}


def test_the_variables_share_the_life_of_the_disk(driver: LibvirtDriver, make: Callable[..., GuestSpec]) -> None:  # noqa: F811
    spec = make(UEFI)
    driver.spawn(spec)
    until(lambda: SAYS in says(driver, spec))
    loader, variables = described(driver, spec).find("os/loader"), described(driver, spec).find("os/nvram")
    assert loader is not None and variables is not None
    own = files(driver, spec)
    assert list(own) == ["nvram.fd"]
    assert variables.text == str(driver._instances.at(spec.server_id).variables(secure=False))
    template = Path(str(variables.get("template"))).read_bytes()
    assert Path(str(variables.text)).read_bytes() != template, "the firmware has kept nothing"
    driver.stop(spec.server_id, 0.0)
    driver.start(spec)
    driver.reboot(spec, hard=True, grace_s=0.0)
    driver.suspend(spec.server_id)
    driver.resume(spec)
    assert files(driver, spec) == own
    # A rescue has variables of its own: it may be those that are broken.
    driver.rescue(spec, replace(spec.image, image_id="rescue"))
    assert files(driver, spec).keys() == {"nvram.fd", "nvram.rescue.fd"}
    driver.unrescue(spec)
    assert files(driver, spec) == own
    for _ in range(2):
        driver.resize(replace(spec, memory_mb=192))
    assert files(driver, spec).keys() == {"nvram.fd", "nvram.fd.before"}
    driver.confirm_resize(spec.server_id)
    assert files(driver, spec) == own


def test_a_resize_is_reverted_to_the_variables_from_before(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
) -> None:
    spec = make(UEFI)
    driver.spawn(spec)
    driver.stop(spec.server_id, 0.0)
    kept = driver._instances.at(spec.server_id).variables(secure=False).read_bytes()
    strict = replace(spec, extra_specs={"os:secure_boot": "required"})
    driver.resize(strict)
    assert files(driver, spec).keys() == {"nvram.fd", "nvram.fd.before", "nvram.secure.fd"}
    driver.revert_resize(spec, run=False)
    assert driver._instances.at(spec.server_id).variables(secure=False).read_bytes() == kept
    assert "nvram.fd.before" not in files(driver, spec)


def test_a_rebuild_begins_with_new_variables_or_with_none(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
) -> None:
    spec = make(UEFI)
    driver.spawn(spec)
    driver.stop(spec.server_id, 0.0)
    variables = driver._instances.at(spec.server_id).variables(secure=False)
    with variables.open("r+b") as file:  # a new file may have the old one's number
        file.seek(-len(MARK), os.SEEK_END)
        file.write(MARK)
    driver.resize(spec)
    assert variables.read_bytes().endswith(MARK)
    driver.rebuild(spec)
    assert list(files(driver, spec)) == ["nvram.fd"]
    assert not variables.read_bytes().endswith(MARK)
    driver.rebuild(replace(spec, properties={}))
    until(lambda: says(driver, spec).rstrip().endswith(efi_medium.BIOS_SAYS))
    assert files(driver, spec) == {}
    driver.rebuild(spec)
    driver.stop_and_remove(spec.server_id)
    assert files(driver, spec) == {}


def test_secure_boot_runs_nothing_that_is_not_signed(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
    make_spec: Callable[..., GuestSpec],  # noqa: F811
) -> None:
    spec = make(SECURE)
    driver.spawn(spec)
    root = described(driver, spec)
    loader, smm, system = root.find("os/loader"), root.find("features/smm"), root.find("os/type")
    assert loader is not None and smm is not None and system is not None
    assert (loader.get("secure"), smm.get("state")) == ("yes", "on")
    assert str(system.get("machine")).startswith("pc-q35")
    assert list(files(driver, spec)) == ["nvram.secure.fd"]
    until(lambda: b"Access Denied" in says(driver, spec))
    assert SAYS not in says(driver, spec)
    # A kernel that is handed over beside the disk is checked by nobody: the firmware of Debian 12 crashes over it.
    with pytest.raises(DriverError, match="kernel_id"):
        driver.rescue(spec, make_spec(VM).image)


def test_secure_boot_that_is_optional_is_had_where_it_can_be(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
) -> None:
    for machine, name in (({}, "nvram.secure.fd"), ({"hw_machine_type": "pc"}, "nvram.fd")):
        spec = make(UEFI | {"os_secure_boot": "optional"} | machine)
        driver.spawn(spec)
        assert list(files(driver, spec)) == [name]


@pytest.mark.parametrize("properties", [{"hw_machine_type": "q35"}, {"hw_machine_type": "q35", "hw_disk_bus": "sata"}])
def test_a_q35_boots_and_takes_interfaces(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
    properties: dict[str, str],
) -> None:
    spec = make(properties)
    driver.spawn(spec)
    until(lambda: efi_medium.BIOS_SAYS in says(driver, spec))
    nics = spec.nics
    for number in range(3):
        device = f"{spec.nics[0].device}{number}"
        subprocess.run(["ip", "tuntap", "add", "dev", device, "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", device, "master", spec.nics[0].bridge, "up"], check=True)
        nic = Nic(f"port{number}", f"fa:16:3e:99:99:0{number}", device, spec.nics[0].bridge, 1400, (), "", ())
        nics += (nic,)
        driver.attach_nic(replace(spec, nics=nics), nic)
    assert len(described(driver, spec).findall("devices/interface")) == 4


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"hw_machine_type": "pc-q35-99.0"}, "hw_machine_type is 'pc-q35-99.0'"),
        ({"hw_machine_type": "q35", "hw_disk_bus": "ide"}, "hw_disk_bus is ide, which a machine of type q35 has not"),
        ({"hw_firmware_type": "coreboot"}, "hw_firmware_type"),
    ],
)
def test_what_the_host_has_not_is_refused_by_name(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
    properties: dict[str, str],
    words: str,
) -> None:
    with pytest.raises(DriverError) as caught:
        driver.spawn(make(properties))
    assert words in caught.value.message


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6])
def test_an_agents_death_leaves_a_start_that_can_be_repeated_and_undone(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
    state: Path,  # noqa: F811
    delay: float,
) -> None:
    spec = make(UEFI)
    kill_an_agent(state, spec, "d.spawn(spec)", delay)
    driver.spawn(spec)
    assert list(files(driver, spec)) == ["nvram.fd"]
    kill_an_agent(state, spec, "d.destroy(spec.server_id)", delay)
    driver.destroy(spec.server_id)
    assert not driver._instances.at(spec.server_id).path.exists()
    assert [guest for guest in driver.observe() if guest.server_id == spec.server_id] == []


@pytest.fixture
def stranger(make: Callable[..., GuestSpec]) -> Iterator[tuple[str, str]]:
    """Run a UEFI guest as virt-install makes one; its variables are where libvirt has them."""
    ident = str(uuid.uuid4())
    name = f"nlt-foreign-{ident[:8]}"
    connection = libvirt.open("qemu:///system")
    domain = connection.defineXML(
        f"<domain type='qemu'><name>{name}</name><uuid>{ident}</uuid><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
        "<os firmware='efi'><type arch='x86_64' machine='pc'>hvm</type></os>"
        "<features><acpi/></features><devices><serial type='pty'/></devices></domain>"
    )
    domain.create()
    yield name, ident
    with suppress(libvirt.libvirtError):
        domain.destroy()
    with suppress(libvirt.libvirtError):
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def test_a_uefi_guest_is_adopted_with_its_variables(
    driver: LibvirtDriver,  # noqa: F811
    make: Callable[..., GuestSpec],
    stranger: tuple[str, str],
) -> None:
    name, ident = stranger
    driver.adopt(name, ident)
    spec = make({}, server_id=ident)
    variables = Path(str(described(driver, spec).findtext("os/nvram")))
    number = variables.stat().st_ino
    driver.reboot(spec, hard=True, grace_s=0.0)
    assert described(driver, spec).findtext("os/nvram") == str(variables)
    assert variables.stat().st_ino == number
    driver.destroy(ident)
    assert not variables.exists()

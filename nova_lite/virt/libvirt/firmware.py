"""A VM's machine and firmware: what this host has, found out from libvirt, and how a domain gets it.

libvirt chooses the firmware's files by QEMU's descriptors (``/usr/share/qemu/firmware``) each time that a domain starts, and makes the
file of its variables (NVRAM) from their template where there is none; a file that is there it keeps.

Source: https://libvirt.org/formatdomain.html#bios-bootloader, https://libvirt.org/formatdomaincaps.html
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nova_lite.compute import firmware, traits
from nova_lite.compute.firmware import PC, Q35
from nova_lite.errors import Invalid
from nova_lite.virt.driver import DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt.elements import add

FAMILIES = (PC, Q35)
_SPARE_PORTS = 4
"""Slots of a q35 machine that are free for interfaces which are plugged in later; a pc has a bus of 31."""


@dataclass(frozen=True)
class Firmwares:
    """What the host's VMs can have. ``machines``: as QEMU calls them, families and versions; the others: families (``pc``, ``q35``) that have it."""

    machines: tuple[str, ...] = (PC,)
    uefi: tuple[str, ...] = ()
    secure_boot: tuple[str, ...] = ()

    def traits(self) -> tuple[str, ...]:
        """Return the host's traits."""
        found = {
            traits.MACHINE_PC: PC in self.machines,
            traits.MACHINE_Q35: Q35 in self.machines,
            traits.UEFI: bool(self.uefi),
            traits.SECURE_BOOT: bool(self.secure_boot),
        }
        return tuple(name for name, is_there in found.items() if is_there)

    def missing(self) -> Mapping[str, str]:
        """Return what is not there, and why."""
        why = {"vm.uefi": traits.WORDS[traits.UEFI]} if not self.uefi else {}
        if not self.secure_boot:
            why["vm.secure_boot"] = traits.WORDS[traits.SECURE_BOOT]
        return {name: f"libvirt knows no {words}" for name, words in why.items()}


def read(host: str, domains: Mapping[str, str]) -> Firmwares:
    """Return what libvirt says of its *host* (capabilities, XML) and, by family, of *domains* (domain capabilities, XML)."""
    root = ET.fromstring(host)  # noqa: S314 - libvirt's own answer
    names = [machine.text or "" for machine in root.iterfind("guest/arch[@name='x86_64']/machine")]
    uefi, secure = [], []
    for family, text in domains.items():
        system = ET.fromstring(text).find("os[@supported='yes']")  # noqa: S314 - libvirt's own answer
        if system is None or "efi" not in _values(system, "enum[@name='firmware']"):
            continue
        uefi.append(family)
        if "yes" in _values(system, "loader[@supported='yes']/enum[@name='secure']"):
            secure.append(family)
    return Firmwares(tuple(dict.fromkeys(names)) or (PC,), tuple(uefi), tuple(secure))


def _values(system: ET.Element, path: str) -> set[str | None]:
    return {value.text for value in system.iterfind(f"{path}/value")}


@dataclass(frozen=True)
class Machine:
    """What one VM gets. ``name`` as QEMU calls it."""

    name: str
    is_q35: bool = False
    uefi: bool = False
    secure_boot: bool = False


def choose(spec: GuestSpec, host: Firmwares, default: str, image: LocalImage | None = None) -> Machine:
    """Return the machine that *spec* asks for; *default*: the one where nothing does. *image*: what it is rescued with.

    :raises DriverError: this host can't give it.
    """
    try:
        wanted = firmware.read(spec.properties, spec.extra_specs)
    except Invalid as error:
        raise DriverError(error.message) from error
    has_secure = wanted.uefi and Q35 in host.secure_boot
    if wanted.secure_boot == firmware.REQUIRED and not has_secure:
        raise DriverError(f"this host has no {traits.WORDS[traits.SECURE_BOOT]}")
    has_kernel = (image or spec.image).kernel is not None
    if wanted.secure_boot == firmware.REQUIRED and has_kernel:
        raise DriverError(f"secure boot needs an image that boots from its disk: {firmware.NO_KERNEL}")
    is_secure = has_secure and wanted.secure_boot != firmware.DISABLED and wanted.family in ("", Q35) and not has_kernel
    name = wanted.machine or (Q35 if is_secure else default)
    if wanted.machine and name not in host.machines:
        raise DriverError(f"the image's {firmware.MACHINE} is {name!r:.40}, which the QEMU of this host does not have")
    family = Q35 if is_secure or wanted.family == Q35 else PC
    if wanted.uefi and family not in host.uefi:
        raise DriverError(f"this host has no {traits.WORDS[traits.UEFI]}")
    return Machine(name, family == Q35, wanted.uefi, is_secure)


def describe(boot: ET.Element, machine: Machine, variables: Path) -> None:
    """Say in *boot* (``os``) which machine it is, and for UEFI which firmware, with its *variables* in that file."""
    add(boot, "type", "hvm", arch="x86_64", machine=machine.name)
    if not machine.uefi:
        return
    boot.set("firmware", "efi")
    features = add(boot, "firmware")
    add(features, "feature", enabled="yes" if machine.secure_boot else "no", name="secure-boot")
    if machine.secure_boot:
        # Without keys in its variables the firmware would let anything boot.
        add(features, "feature", enabled="yes", name="enrolled-keys")
        add(boot, "loader", secure="yes")
    add(boot, "nvram", str(variables))


def spare_ports(devices: ET.Element) -> None:
    """Give a q35 machine a root port for each device that is plugged in at its start, and some more."""
    taken = sum(
        element.tag in ("interface", "rng", "memballoon")
        or element.get("bus") == "virtio"
        or (element.tag == "controller" and element.get("type") == "scsi")
        or (element.tag == "disk" and element.find("target[@bus='virtio']") is not None)
        for element in devices
    )
    has_serial = devices.find("channel/target[@type='virtio']") is not None
    add(devices, "controller", type="pci", index=0, model="pcie-root")
    for index in range(1, taken + has_serial + _SPARE_PORTS + 1):
        add(devices, "controller", type="pci", index=index, model="pcie-root-port")

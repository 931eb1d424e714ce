"""What firmware and machine a VM is to have: its image's properties, and its flavor, read and held against each other.

Source: https://docs.openstack.org/glance/latest/admin/useful-image-properties.html, https://docs.openstack.org/nova/latest/admin/secure-boot.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nova_lite.compute import traits
from nova_lite.compute.kinds import VM
from nova_lite.compute.traits import Wanted
from nova_lite.errors import Invalid

FIRMWARE, MACHINE, SECURE_BOOT = "hw_firmware_type", "hw_machine_type", "os_secure_boot"
SECURE_BOOT_SPEC = "os:secure_boot"
BIOS, UEFI = "bios", "uefi"
PC, Q35 = "pc", "q35"
DISABLED, OPTIONAL, REQUIRED = "disabled", "optional", "required"

NO_KERNEL = "the firmware checks what it loads from there, and no kernel of kernel_id"
_MACHINES = {PC: re.compile(r"pc|pc-i440fx-[0-9.]{1,16}"), Q35: re.compile(r"q35|pc-q35-[0-9.]{1,16}")}


@dataclass(frozen=True)
class Firmware:
    """What is asked for. ``machine``: a family (``q35``) or one of its versions (``pc-q35-7.2``); empty: whatever suits the rest."""

    uefi: bool = False
    machine: str = ""
    secure_boot: str = DISABLED

    @property
    def family(self) -> str:
        """Return ``pc`` or ``q35``; empty where nothing says which."""
        if not self.machine:
            return Q35 if self.secure_boot == REQUIRED else ""
        return next(family for family, pattern in _MACHINES.items() if pattern.fullmatch(self.machine))


def read(properties: Mapping[str, object], specs: Mapping[str, object]) -> Firmware:
    """Read an image's *properties* and a flavor's *specs*.

    :raises Invalid: a value is none that there is, or they contradict one another; the message names them.
    """
    kind = _choice(properties, FIRMWARE, (BIOS, UEFI))
    machine = str(properties.get(MACHINE) or "").strip().lower()
    if machine and not any(pattern.fullmatch(machine) for pattern in _MACHINES.values()):
        raise _wrong(
            f"The image's {MACHINE} is {machine!r:.40}; there are pc and q35, and their versions as pc-q35-7.2."
        )
    secure = _secure_boot(properties, specs)
    found = Firmware(kind == UEFI, machine, secure)
    if secure == REQUIRED and not found.uefi:
        raise _wrong(f"Secure boot ({_asker(properties)}) needs an image with {FIRMWARE}={UEFI}.")
    if secure == REQUIRED and found.family != Q35:
        raise _wrong(f"Secure boot ({_asker(properties)}) needs {MACHINE}={Q35}, and the image's is {machine!r}.")
    if secure == REQUIRED and properties.get("kernel_id"):
        raise _wrong(f"Secure boot ({_asker(properties)}) needs an image that boots from its disk: {NO_KERNEL}.")
    return found


def check(kind: str, properties: Mapping[str, object], specs: Mapping[str, object]) -> None:
    """Do nothing where a server of *kind* can have what is asked for, on some host.

    :raises Invalid: as :func:`read` says, or UEFI is asked for what is no VM.
    """
    if kind == VM:
        read(properties, specs)
    elif str(properties.get(FIRMWARE) or "").strip().lower() == UEFI:
        raise _wrong(f"The image has {FIRMWARE}={UEFI}, and makes a {kind}: it is a VM that boots by firmware.")


def wanted(kind: str, properties: Mapping[str, object], specs: Mapping[str, object]) -> Wanted:
    """Return the traits that the host of such a server needs; what :func:`check` would refuse needs none of this."""
    named = {name: (value, who) for name, value, who in traits.named(specs, properties)}
    required = {name: f"{traits.WORDS[name]} ({who})" for name, (value, who) in named.items() if value == REQUIRED}
    forbidden = frozenset(name for name, (value, _) in named.items() if value == "forbidden")
    try:
        asked = read(properties, specs) if kind == VM else Firmware()
    except Invalid:
        asked = Firmware()
    for needed, trait, who in (
        (asked.uefi, traits.UEFI, f"image property {FIRMWARE}={UEFI}"),
        (asked.secure_boot == REQUIRED, traits.SECURE_BOOT, _asker(properties)),
        (asked.machine and asked.family == PC, traits.MACHINE_PC, f"image property {MACHINE}={asked.machine}"),
        (asked.machine and asked.family == Q35, traits.MACHINE_Q35, f"image property {MACHINE}={asked.machine}"),
    ):
        if needed:
            required.setdefault(trait, f"{traits.WORDS[trait]} ({who})")
    return Wanted(required, forbidden)


def _secure_boot(properties: Mapping[str, object], specs: Mapping[str, object]) -> str:
    """Return what image and flavor say together: the stricter where one of them leaves it open."""
    image = _choice(properties, SECURE_BOOT, (DISABLED, OPTIONAL, REQUIRED))
    flavor = str(specs.get(SECURE_BOOT_SPEC) or "").strip().lower()
    if flavor and image and {flavor, image} == {REQUIRED, DISABLED}:
        raise _wrong(
            f"The image has {SECURE_BOOT}={image} and the flavor {SECURE_BOOT_SPEC}={flavor}; one of them must be changed."
        )
    return flavor if flavor in (REQUIRED, DISABLED) else image or DISABLED


def _choice(properties: Mapping[str, object], name: str, choices: tuple[str, ...]) -> str:
    value = str(properties.get(name) or "").strip().lower()
    if value and value not in choices:
        raise _wrong(f"The image's {name} is {value!r:.40}; there are {', '.join(choices)}.")
    return value


def _asker(properties: Mapping[str, object]) -> str:
    asks = str(properties.get(SECURE_BOOT) or "").strip().lower() == REQUIRED
    return f"image property {SECURE_BOOT}={REQUIRED}" if asks else f"extra spec {SECURE_BOOT_SPEC}={REQUIRED}"


def _wrong(message: str) -> Invalid:
    return Invalid(message, "server.firmware")

"""Find out, once, how QEMU is to be run on this host."""

from __future__ import annotations

import contextlib
import threading
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import Path
from typing import Any

import libvirt

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt import accelerator, elements, firmware, screens
from nova_lite.virt.libvirt.connection import Connection
from nova_lite.virt.libvirt.host_profile import KVM, TCG, HostProfile


class ProfileSource:
    """The host's profile, found out when it is first needed and then kept."""

    def __init__(
        self, connection: Connection, virt_type: str, cpu_mode: str, remembered: Path, shown_by: Collection[str]
    ) -> None:
        """:param virt_type: auto, or what the operator says; *remembered* keeps what auto found.

        :param shown_by: the protocols that VMs' screens are to be shown by, where QEMU has them.
        """
        self._connection = connection
        self._virt_type = virt_type
        self._cpu_mode = cpu_mode
        self._remembered = remembered
        self._shown_by = shown_by
        self._lock = threading.Lock()
        self._profile: HostProfile | None = None

    def get(self) -> HostProfile:
        """Return the profile. :raises DriverError: libvirt does not answer, or QEMU can't be run."""
        with self._lock:
            if self._profile is None:
                self._profile = self._find()
            return self._profile

    def _find(self) -> HostProfile:
        capabilities = self._connection.call("ask for the emulator", _capabilities)
        emulator = _emulator(capabilities)
        virt_type = self._virt_type
        if virt_type == "auto":
            virt_type = accelerator.find(emulator, self._remembered).virt_type
        if virt_type == KVM and not Path("/dev/kvm").exists():
            raise DriverError("[libvirt] virt_type is kvm, but there is no /dev/kvm")
        shortcut = virt_type == TCG and self._connection.call("try a definition", _knows_shortcut)
        seen = screens.read(capabilities, self._shown_by)
        found = self._connection.call("ask for machines and firmware", _firmwares)
        return HostProfile(virt_type, emulator, self._cpu_mode, shortcut, screens=seen, firmwares=found)


def _capabilities(connection: Any) -> str:
    """Return what libvirt says (XML) of the QEMU that it would use for x86_64."""
    return str(connection.getDomainCapabilities(None, "x86_64", None, TCG))


def _firmwares(connection: Any) -> firmware.Firmwares:
    """Return what libvirt says of machines and firmware; of a family that this QEMU has not, nothing."""
    known = {}
    for family in firmware.FAMILIES:
        with contextlib.suppress(libvirt.libvirtError):
            known[family] = str(connection.getDomainCapabilities(None, "x86_64", family, TCG))
    return firmware.read(str(connection.getCapabilities()), known)


def _emulator(capabilities: str) -> str:
    """Return that QEMU's path."""
    path = ET.fromstring(capabilities).findtext("path")  # noqa: S314 - libvirt's own
    if not path:
        raise DriverError("libvirt knows no QEMU for x86_64; the package qemu-system-x86 is missing")
    return path


def _knows_shortcut(connection: Any) -> bool:
    """Say whether this libvirt knows the capability that ``elements.without_cpu_probe`` names.

    It is asked for a command line, for which it reads the definition and keeps nothing: to define and undefine would
    leave a domain behind where the agent is killed in between.
    """
    root = ET.Element("domain", {"type": TCG})
    elements.add(root, "name", "nl-probe")
    elements.add(root, "memory", 16, unit="MiB")
    boot = elements.add(root, "os")
    elements.add(boot, "type", "hvm", arch="x86_64", machine="pc")
    elements.without_cpu_probe(root)
    try:
        connection.domainXMLToNative("qemu-argv", elements.text(root))
    except libvirt.libvirtError:
        return False
    return True

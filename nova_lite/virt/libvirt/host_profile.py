"""What the XML of QEMU guests depends on besides the guest itself: the host's accelerator, CPU model, shortcuts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from nova_lite.virt.libvirt.elements import add
from nova_lite.virt.libvirt.firmware import Firmwares
from nova_lite.virt.libvirt.screens import Screens

KVM = "kvm"
TCG = "qemu"


@dataclass(frozen=True)
class HostProfile:
    """How QEMU is run here.

    ``virt_type``: ``kvm`` or ``qemu`` (emulation). ``cpu_mode``: ``[libvirt] cpu_mode``. ``skip_cpu_probe``: this
    libvirt knows the shortcut of :func:`elements.without_cpu_probe`. ``screens``: how a VM can be seen here.
    ``machine``: that of a VM which asks for none; ``firmwares``: what it may ask for.
    """

    virt_type: str
    emulator: str
    cpu_mode: str = "auto"
    skip_cpu_probe: bool = False
    machine: str = "pc"
    screens: Screens = field(default_factory=Screens)
    firmwares: Firmwares = field(default_factory=Firmwares)


def cpu(root: ET.Element, profile: HostProfile) -> None:
    """Add the CPU model that fits the accelerator."""
    mode = profile.cpu_mode
    if mode == "auto":
        mode = "host-model" if profile.virt_type == KVM else "none"
    if mode == "none" or (profile.virt_type == TCG and mode.startswith("host-")):
        return
    add(root, "cpu", mode=mode, check="none")

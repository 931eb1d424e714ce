"""Network cards that are plugged into a QEMU guest while it runs, and out of it."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite.virt.driver import Nic
from nova_lite.virt.libvirt import elements
from nova_lite.virt.libvirt.hardware import VIRTIO

LET_GO_S = 20.0
"""How long a guest may take to let a card go: Linux needs well under a second."""


def has(domain: Any, nic: Nic) -> bool:
    """Say whether the running domain has a card with *nic*'s MAC."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own answer
    return any(mac.get("address") == nic.mac for mac in root.findall("devices/interface/mac"))


def attach(domain: Any, nic: Nic, model: str) -> None:
    """Plug the card in, a *model*, if it is not. :raises libvirt.libvirtError: there is no slot for it."""
    if not has(domain, nic):
        domain.attachDeviceFlags(_xml(nic, model), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def ask_back(domain: Any, nic: Nic) -> None:
    """Ask the guest to let the card go, if it has it; asked already is success."""
    if has(domain, nic):
        with contextlib.suppress(libvirt.libvirtError):
            # Refused while an earlier request is under way; whether it goes is looked at afterwards.
            domain.detachDeviceFlags(_xml(nic), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _xml(nic: Nic, model: str = VIRTIO) -> str:
    """Describe the card; to take it out, its MAC is all that libvirt looks at."""
    devices = ET.Element("devices")
    elements.tap(devices, nic, model)
    return ET.tostring(devices[0], encoding="unicode")

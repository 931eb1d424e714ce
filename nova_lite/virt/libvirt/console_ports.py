"""Where QEMU's consoles of a running domain listen, read from what libvirt says of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from nova_lite.virt import refusals
from nova_lite.virt.abilities import ConsoleTarget
from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt.screens import SPICE, VNC, Screens


def terminal(domain: Any) -> tuple[Path | None, str]:
    """Return the terminal that a running domain's first serial port is, if it is one, and the domain's name."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own answer
    source = root.find("devices/serial[@type='pty']/source")
    path = "" if source is None else source.get("path", "")
    return (Path(path) if path.startswith("/dev/pts/") else None), str(domain.name())


_PROTOCOLS = {"novnc": VNC, "spice-html5": SPICE}


def find(description: str, kind: str, screens: Screens) -> ConsoleTarget:
    """Return where the console of *kind* listens.

    :param description: the running domain's XML. :param screens: what VMs that start now have.
    :raises DriverError: it has none of that kind, and which one would.
    """
    root = ET.fromstring(description)  # noqa: S314 - libvirt's own answer
    if kind == "serial":
        source = root.find("devices/serial[@type='unix']/source")
        if source is None or not source.get("path"):
            raise DriverError(
                "the guest was started without a serial console that can be typed at; a hard reboot gives it one"
            )
        return ConsoleTarget(kind, Path(str(source.get("path"))), exclusive=True)
    if kind in _PROTOCOLS:
        return _screen(root, kind, screens.missing(_PROTOCOLS[kind]))
    raise DriverError(
        f"there is no console of kind {kind!r:.40}; serial, novnc and spice-html5 there are", code="driver.unsupported"
    )


def _screen(root: ET.Element, kind: str, missing: str) -> ConsoleTarget:
    """Return where the screen is shown by the protocol of *kind*. *missing*: why VMs here don't have it."""
    protocol = _PROTOCOLS[kind]
    listen = root.find(f"devices/graphics[@type='{protocol}']/listen[@type='socket']")
    if listen is not None and listen.get("socket"):
        return ConsoleTarget(kind, Path(str(listen.get("socket"))), channels=protocol == SPICE)
    if root.find("devices/video") is None:
        raise DriverError(
            f"the VM has no screen: its image has {refusals.VIDEO_PROPERTY}=none, or it was adopted without one",
            code="driver.unsupported",
        )
    if missing:
        raise DriverError(f"the VM's screen is not shown by it: {missing}", code="driver.unsupported")
    raise DriverError(
        f"the VM was started without {protocol} on a socket; a hard reboot gives it that, unless it was adopted"
    )

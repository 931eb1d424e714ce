"""Where QEMU's consoles of a running domain listen, read from what libvirt says of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from nova_lite.virt import refusals
from nova_lite.virt.abilities import ConsoleTarget
from nova_lite.virt.driver import DriverError


def terminal(domain: Any) -> tuple[Path | None, str]:
    """Return the terminal that a running domain's first serial port is, if it is one, and the domain's name."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own answer
    source = root.find("devices/serial[@type='pty']/source")
    path = "" if source is None else source.get("path", "")
    return (Path(path) if path.startswith("/dev/pts/") else None), str(domain.name())


def find(description: str, kind: str) -> ConsoleTarget:
    """Return where the console of *kind* listens.

    :param description: the running domain's XML. :raises DriverError: it has none of that kind, and which one would.
    """
    root = ET.fromstring(description)  # noqa: S314 - libvirt's own answer
    if kind == "serial":
        source = root.find("devices/serial[@type='unix']/source")
        if source is None or not source.get("path"):
            raise DriverError(
                "the guest was started without a serial console that can be typed at; a hard reboot gives it one"
            )
        return ConsoleTarget(kind, Path(str(source.get("path"))), exclusive=True)
    if kind == "novnc":
        listen = root.find("devices/graphics[@type='vnc']/listen[@type='socket']")
        if listen is None or not listen.get("socket"):
            raise DriverError(
                f"the VM has no screen; one whose image has {refusals.VIDEO_PROPERTY} has", code="driver.unsupported"
            )
        return ConsoleTarget(kind, Path(str(listen.get("socket"))))
    raise DriverError(
        f"there is no console of kind {kind!r:.40}; serial and novnc there are", code="driver.unsupported"
    )

"""Let the kernel route guests' packets, on the interfaces that need it and no others.

``net.ipv4.ip_forward`` would make a router of every interface. A packet is routed when the interface that it *came in* by
has forwarding on: our bridges, and for the answers the uplinks. What was turned on is written down, so that
:func:`restore` turns off exactly that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError


def enable(namespace: Namespace, interfaces: Iterable[str], record: Path) -> None:
    """Turn forwarding on for *interfaces*; those of the host's own that had it off are added to *record* first.

    :raises HostError: the kernel's settings can't be written (a container without the right to).
    """
    off = [name for name in interfaces if _get(namespace, name) == "0"]
    if not off:
        return
    known = set(_recorded(record)) | set(off)
    draft = record.with_suffix(".new")
    draft.write_text(json.dumps(sorted(known)))
    os.replace(draft, record)
    for name in off:
        try:
            namespace.write_sysctl("1", "ipv4", "conf", name, "forwarding")
        except OSError as error:
            raise HostError(
                f"net.ipv4.conf.{name}.forwarding could not be set ({error.strerror}); without it guests have no way"
                " out: set it by hand, or turn [network] nat off"
            ) from error


def restore(namespace: Namespace, record: Path) -> None:
    """Turn forwarding off again where :func:`enable` turned it on."""
    for name in _recorded(record):
        if _get(namespace, name) == "1":
            namespace.write_sysctl("0", "ipv4", "conf", name, "forwarding")
    record.unlink(missing_ok=True)


def _recorded(record: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads(record.read_text())]
    except FileNotFoundError:
        return []


def _get(namespace: Namespace, name: str) -> str | None:
    try:
        return namespace.read_sysctl("ipv4", "conf", name, "forwarding")
    except FileNotFoundError:
        return None

"""Give the kernel room for the neighbours of all guests.

It has one table of ARP and one of IPv6 for all namespaces together. When ``gc_thresh3`` entries are taken (1,024 at first), nobody on the host
gets a new one, and packets to whoever is not in the table yet are dropped. A guest is in it up to four times: as its router and its network
know it, and where it is a container, what it knows of them.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from nova_lite.host.network_state import HostState
from nova_lite.host.networks.namespace import Namespace

LOG = logging.getLogger(__name__)
FAMILIES = ("ipv4", "ipv6")
LEAST = 1024
PER_PORT = 4
_LIMIT, _TIDIED_FROM = "gc_thresh3", "gc_thresh2"


def needed(state: HostState) -> int:
    """Return how many entries *state*'s guests, those of their networks elsewhere and the host's own neighbours may take: a power of two."""
    ports = len(state.ports) + sum(len(network.remote) for network in state.networks.values())
    return 1 << (LEAST + PER_PORT * ports - 1).bit_length()


def make_room(namespace: Namespace, entries: int, record: Path) -> None:
    """Raise the limits to *entries* where they are lower; what they were is written down first. Never lowers one.

    In a network namespace, and where they may not be changed, they are left as they are: they are the machine's.
    """
    for family in FAMILIES:
        limit = _get(namespace, family, _LIMIT)
        if limit is None or limit >= entries:
            continue
        before = {name: _get(namespace, family, name) for name in (_TIDIED_FROM, _LIMIT)}
        _write_down(record, {family: before, **_recorded(record)})
        try:
            for name, value in ((_LIMIT, entries), (_TIDIED_FROM, entries // 2)):
                namespace.write_sysctl(str(value), family, "neigh", "default", name)
        except OSError as error:
            LOG.warning(
                "event=neighbour-table-small family=%s has=%d needed=%d reason=%r: set net.%s.neigh.default.gc_thresh3",
                family,
                limit,
                entries,
                error.strerror,
                family,
            )


def restore(namespace: Namespace, record: Path) -> None:
    """Set the limits back to what they were before :func:`make_room`."""
    for family, values in _recorded(record).items():
        # The lower one first: it may not be above the other.
        for name in (_TIDIED_FROM, _LIMIT):
            if values.get(name) is not None and _get(namespace, family, name) is not None:
                namespace.write_sysctl(str(values[name]), family, "neigh", "default", name)
    record.unlink(missing_ok=True)


def _get(namespace: Namespace, family: str, name: str) -> int | None:
    try:
        return int(namespace.read_sysctl(family, "neigh", "default", name))
    except FileNotFoundError:
        return None


def _recorded(record: Path) -> dict[str, dict[str, int | None]]:
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        return {}
    return {family: dict(values) for family, values in found.items() if family in FAMILIES}


def _write_down(record: Path, values: dict[str, dict[str, int | None]]) -> None:
    draft = record.with_suffix(".new")
    draft.write_text(json.dumps(values))
    os.replace(draft, record)

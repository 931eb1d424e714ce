"""Let go of the connections of guests that are gone: who gets their address next must not inherit them, answers being let in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nova_lite.host.network_state import HostState, PortSpec
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.firewall.antispoofing import senders
from nova_lite.host.networks.firewall.conntrack import Connection, Conntrack
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

HOSTS_ZONE = 0
"""Where the host itself routes."""
Place = tuple[int, bytes]
"""A conntrack zone and a packed address in it."""
Held = Mapping[Place, frozenset[str]]
"""Which ports have an address: more than one, where allowed pairs share it."""


class Holders:
    """Tells who has which addresses. It keeps what it found of a port until the port is another: 1,000 take some milliseconds."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[PortSpec, tuple[bytes, ...]]] = {}

    def held(self, state: HostState, zones: Mapping[int, int], hosted: Collection[int]) -> Held:
        """Return who has which addresses, of the ports that are up; zone 0 where the host itself routes."""
        places = {
            key: HOSTS_ZONE if network.number in hosted else zones[network.number]
            for key, network in state.networks.items()
        }
        known, self._known = self._known, {}
        for port_id, port in state.ports.items():
            before = known.get(port_id)
            self._known[port_id] = before if before is not None and before[0] == port else (port, _own(port))
        return of_ports(
            (port.port_id, places[port.network_id], addresses)
            for port, addresses in self._known.values()
            if port.up and port.network_id in places
        )


def _own(port: PortSpec) -> tuple[bytes, ...]:
    try:
        return single(address for sender in senders(port) for address in sender.addresses)
    except HostError:
        return ()  # such a port passes nothing


def single(networks: Iterable[values.Network]) -> tuple[bytes, ...]:
    """Return those of *networks* that are one address, packed. A range is nobody's own: what is in it belongs to those who have it."""
    return tuple(each.network_address.packed for each in networks if each.prefixlen == each.max_prefixlen)


def of_ports(ports: Iterable[tuple[str, int, Iterable[bytes]]]) -> Held:
    """Return who has which addresses, of (port id, zone, packed addresses)."""
    found: dict[Place, frozenset[str]] = {}
    for port_id, zone, addresses in ports:
        for each in addresses:
            others = found.get((zone, each))
            found[zone, each] = frozenset((port_id,)) if others is None else others | {port_id}
    return found


@dataclass(frozen=True)
class Lost:
    """Addresses that none has any more of those who had them, though somebody else may; and zones that nobody is left in."""

    places: frozenset[Place]
    zones: frozenset[int]

    def has(self, connection: Connection) -> bool:
        """Say whether a connection was of one of them."""
        if connection.zone in self.zones:
            return True
        return any((connection.zone, address) in self.places for address in connection.addresses)


def lost(before: Held, after: Held) -> Lost:
    """Return what was lost from *before* to *after*."""
    places = frozenset(place for place, ids in before.items() if not ids & after.get(place, frozenset()))
    return Lost(places, frozenset({zone for zone, _ in places} - {zone for zone, _ in after} - {HOSTS_ZONE}))


def both(one: Held, other: Held) -> Held:
    """Return who has which addresses by either."""
    return {place: one.get(place, frozenset()) | other.get(place, frozenset()) for place in {*one, *other}}


def forget(namespace: Namespace, what: Lost) -> int:
    """Delete the connections of what was lost, and return how many there were. :raises HostError: the kernel refused."""
    if not what.places:
        return 0
    with Conntrack(namespace) as conntrack:
        found = conntrack.connections({address for _, address in what.places}, what.zones)
        ended = [each for each in found if what.has(each)]
        for each in ended:
            conntrack.delete(each)
    return len(ended)

"""Let go of the connections of guests that are gone: who gets their address next must not inherit them, answers being let in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from nova_lite.host.network_state import HostState
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


def held(state: HostState, zones: Mapping[int, int], hosted: Collection[int]) -> Held:
    """Return who has which addresses, of the ports that are up; zone 0 where the host itself routes."""
    return of_ports(_ports(state, zones, hosted))


def _ports(
    state: HostState, zones: Mapping[int, int], hosted: Collection[int]
) -> Iterator[tuple[str, int, list[values.Network]]]:
    for port in state.ports.values():
        network = state.networks.get(port.network_id)
        if network is None or not port.up:
            continue
        zone = HOSTS_ZONE if network.number in hosted else zones[network.number]
        try:
            yield port.port_id, zone, [address for sender in senders(port) for address in sender.addresses]
        except HostError:
            continue  # such a port passes nothing


def of_ports(ports: Iterable[tuple[str, int, Iterable[values.Network]]]) -> Held:
    """Return who has which addresses, of (port id, zone, what it may send from).

    A range is nobody's own: what is in an allowed pair wider than one address belongs to those who have the addresses.
    """
    found: dict[Place, set[str]] = defaultdict(set)
    for port_id, zone, networks in ports:
        for each in networks:
            if each.prefixlen == each.max_prefixlen:
                found[zone, each.network_address.packed].add(port_id)
    return {place: frozenset(ids) for place, ids in found.items()}


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
        ended = [each for each in conntrack.connections() if what.has(each)]
        for each in ended:
            conntrack.delete(each)
    return len(ended)

"""Let go of the connections of guests that are gone: who gets their address next must not inherit them, open ones being let in."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from nova_lite.host.network_state import HostState
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)
Held = frozenset[tuple[int, str]]


def held(state: HostState, zones: Mapping[int, int], hosted: Collection[int]) -> Held:
    """Return (conntrack zone, address) of every port that is up; zone 0 where the host itself routes."""
    found = set()
    for port in state.ports.values():
        network = state.networks.get(port.network_id)
        if network is None or not port.up:
            continue
        zone = 0 if network.number in hosted else zones[network.number]
        found |= {(zone, address) for _, address in port.addresses}
        try:
            found.add((zone, str(values.link_local(values.mac(port.mac)).network_address)))
        except HostError:
            continue  # such a port passes nothing
    return frozenset(found)


def forget(namespace: Namespace, gone: Held, left: Held) -> None:
    """Delete the connections of what is *gone*; of a zone that nobody is *left* in, all at once."""
    inhabited = {zone for zone, _ in left} | {0}
    try:
        for zone in sorted({zone for zone, _ in gone} - inhabited):
            for family in ("ipv4", "ipv6"):
                namespace.run(["conntrack", "-D", "-f", family, "-w", str(zone)])
        for zone, address in sorted(each for each in gone if each[0] in inhabited):
            values.cidr(address)
            for side in ("-s", "-d"):
                family = "ipv6" if ":" in address else "ipv4"
                # Status 1: there was none.
                namespace.run(["conntrack", "-D", "-f", family, "-w", str(zone), side, address])
    except HostError as error:
        # New connections are judged all the same; the old ones end by their time-out.
        LOG.warning("event=connections-not-forgotten count=%d reason=%r", len(gone), error.message)

"""How many addresses each network has to give, and how many are held."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from nova_lite.db.models import FixedIp, Network, Subnet
from nova_lite.db.store import Store
from nova_lite.network import network_rules
from nova_lite.network.queries import Listing, apply


@dataclass(frozen=True)
class SubnetUse:
    """A subnet's addresses: those of its pools, and those that ports hold."""

    subnet: Subnet
    total: int
    used: int


@dataclass(frozen=True)
class NetworkUse:
    """A network with its subnets' addresses."""

    network: Network
    subnets: tuple[SubnetUse, ...]


def find(store: Store, listing: Listing, versions: Sequence[int] = ()) -> list[NetworkUse]:
    """List the networks that *listing* asks for with their addresses, in three queries. *versions*: of these subnets only."""
    with store.read() as session:
        found = list(session.scalars(apply(session, select(Network), Network, listing)))
        rows = select(Subnet).where(Subnet.network_id.in_([row.id for row in found])).order_by(Subnet.created_at)
        if versions:
            rows = rows.where(Subnet.ip_version.in_(list(versions)))
        subnets = list(session.scalars(rows))
        counts = select(FixedIp.subnet_id, func.count()).where(FixedIp.subnet_id.in_([row.id for row in subnets]))
        used: Mapping[str, int] = {row[0]: row[1] for row in session.execute(counts.group_by(FixedIp.subnet_id))}
    by_network: dict[str, list[SubnetUse]] = {}
    for row in subnets:
        by_network.setdefault(row.network_id, []).append(SubnetUse(row, size(row), used.get(row.id, 0)))
    return [NetworkUse(row, tuple(by_network.get(row.id, ()))) for row in found]


def get(store: Store, network_id: str) -> NetworkUse:
    """Return one network's. :raises NotFound: there is no such network."""
    found = find(store, Listing(None, {"id": [network_id]}))
    if not found:
        raise network_rules.not_found(network_id)
    return found[0]


def size(subnet: Subnet) -> int:
    """Count the addresses of a subnet's pools."""
    return sum(
        int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1 for pool in subnet.pools
    )

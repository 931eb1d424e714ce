"""A router's legs: its ports in the networks that it joins and in the one that it leaves by, and what may not overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Port, Subnet
from nova_lite.errors import Invalid
from nova_lite.network.touch import INTERFACE

GATEWAY = "network:router_gateway"


@dataclass(frozen=True)
class Leg:
    """An address of a router's port, with its subnet."""

    port_id: str
    owner: str
    network_id: str
    subnet_id: str
    address: str
    cidr: str

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return ipaddress.ip_network(self.cidr).version


def bad(reason: str) -> Invalid:
    """Word a request about a router that can't be meant."""
    return Invalid(f"Bad router request: {reason}.", "network.bad_request")


def of(session: Session, router_id: str, *owners: str) -> list[Leg]:
    """Return the addresses of a router's ports; all its ports, or those of *owners*."""
    query = (
        select(Port.id, Port.device_owner, Port.network_id, FixedIp.subnet_id, FixedIp.address, Subnet.cidr)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(Port.device_id == router_id, Port.device_owner.in_(owners or (INTERFACE, GATEWAY)))
        .order_by(Port.id, FixedIp.address)
    )
    return [Leg(*row) for row in session.execute(query)]


def check_new_subnets(session: Session, legs: Iterable[Leg], new: Sequence[Subnet]) -> None:
    """Refuse subnets that a router has a leg in, or that overlap what it joins or leaves by.

    :raises Invalid: one does.
    """
    legs = list(legs)
    joined = {leg.subnet_id for leg in legs}
    for subnet in new:
        if subnet.id in joined:
            raise bad(f"Router already has a port on subnet {subnet.id}")
    # All that the external network has is beyond the gateway, whichever of its subnets the router's address is in.
    outside = {leg.network_id for leg in legs if leg.owner == GATEWAY}
    there = {leg.subnet_id: leg.cidr for leg in legs}
    if outside:
        query = select(Subnet.id, Subnet.cidr).where(Subnet.network_id.in_(outside))
        there.update((row.id, row.cidr) for row in session.execute(query))
    for subnet in new:
        wanted = ipaddress.ip_network(subnet.cidr)
        for identifier, cidr in sorted(there.items()):
            other = ipaddress.ip_network(cidr)
            if identifier != subnet.id and other.version == wanted.version and other.overlaps(wanted):
                raise bad(f"Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {cidr} of subnet {identifier}")

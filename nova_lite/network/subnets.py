"""Subnets: an address range of a network, checked as Neutron checks it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, Network, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import networks
from nova_lite.network.queries import Listing, apply

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Automatic:
    """The gateway is to be the range's first address."""


AUTOMATIC = Automatic()


@dataclass(frozen=True)
class NewSubnet:
    """What a subnet is made of. ``gateway_ip`` None: none; ``pools`` None: all but the gateway."""

    network_id: str
    cidr: str
    ip_version: int = 4
    name: str = ""
    description: str = ""
    gateway_ip: str | Automatic | None = AUTOMATIC
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[JsonDict, ...] = ()
    pools: tuple[JsonDict, ...] | None = None


def create(store: Store, new: NewSubnet, project_id: str | None) -> Subnet:
    """Add a subnet to a network that *project_id* owns (None: any network).

    :raises Invalid: gateway or pools do not fit the range, or the range overlaps another of the network.
    :raises NotFound: there is no such network.
    """
    network = _range(new)
    gateway = _gateway(new, network)
    pools = _pools(new, network, gateway)

    def work(session: Session) -> Subnet:
        # Locked, so that two subnets that overlap can't both find the network empty.
        owner = session.scalar(
            select(Network).where(Network.id == new.network_id, *_owned(project_id)).with_for_update()
        )
        if owner is None:
            raise NotFound(f"Network {new.network_id} could not be found.", "network.network_not_found")
        _check_overlap(session, new.network_id, network)
        row = Subnet(
            id=new_id(),
            network_id=owner.id,
            project_id=owner.project_id,
            name=new.name,
            description=new.description,
            ip_version=network.version,
            cidr=str(network),
            gateway_ip=gateway,
            enable_dhcp=new.enable_dhcp,
            dns_nameservers=list(new.dns_nameservers),
            host_routes=list(new.host_routes),
            pools=pools,
            updated_at=now(),
        )
        session.add(row)
        return row

    return store.transact(work)


def _owned(project_id: str | None) -> list[ColumnElement[bool]]:
    return [] if project_id is None else [Network.project_id == project_id]


def _range(new: NewSubnet) -> IpNetwork:
    try:
        network = ipaddress.ip_network(new.cidr, strict=False)
    except ValueError as error:
        raise Invalid(f"Invalid input for cidr. Reason: {error}.", "network.http_bad_request") from None
    if network.version != new.ip_version:
        raise Invalid(
            f"Invalid input for operation: cidr '{new.cidr}' does not match the ip_version '{new.ip_version}'.",
            "network.invalid_input",
        )
    if network.num_addresses < 4 or network.is_loopback or network.is_multicast or network.prefixlen == 0:
        raise Invalid(
            f"Invalid input for operation: {network} can't be a subnet of guests; it needs at least four unicast addresses.",
            "network.invalid_input",
        )
    return network


def _usable(network: IpNetwork) -> tuple[int, int]:
    first, last = int(network.network_address) + 1, int(network.broadcast_address)
    return (first, last - 1) if network.version == 4 else (first, last)


def _gateway(new: NewSubnet, network: IpNetwork) -> str | None:
    if new.gateway_ip is None:
        return None
    first, last = _usable(network)
    if isinstance(new.gateway_ip, Automatic):
        return str(network.network_address + 1)
    address = ipaddress.ip_address(new.gateway_ip)
    if address.version != network.version or not first <= int(address) <= last:
        raise Invalid(
            f"Invalid input for operation: Gateway {address} is not valid on subnet {network}.", "network.invalid_input"
        )
    return str(address)


def _pools(new: NewSubnet, network: IpNetwork, gateway: str | None) -> list[JsonDict]:
    first, last = _usable(network)
    taken = int(ipaddress.ip_address(gateway)) if gateway else None
    if new.pools is None:
        edges = [(first, last)] if taken is None else [(first, taken - 1), (taken + 1, last)]
        kind = type(network.network_address)
        return [{"start": str(kind(low)), "end": str(kind(high))} for low, high in edges if low <= high]
    ranges: list[tuple[int, int]] = []
    for pool in new.pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        shown = f"{start}-{end}"
        if start.version != network.version or end.version != network.version or int(end) < int(start):
            raise Invalid(f"The allocation pool {shown} is not valid.", "network.invalid_allocation_pool")
        low, high = int(start), int(end)
        if low < first or high > last:
            raise Invalid(
                f"The allocation pool {shown} spans beyond the subnet cidr {network}.",
                "network.out_of_bounds_allocation_pool",
            )
        if taken is not None and low <= taken <= high:
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {shown}.",
                "network.gateway_conflict_with_allocation_pools",
            )
        if any(low <= other_high and other_low <= high for other_low, other_high in ranges):
            raise Conflict(
                f"Found overlapping allocation pools for subnet {network}: {shown}.",
                "network.overlapping_allocation_pools",
            )
        ranges.append((low, high))
    return [{"start": str(pool["start"]), "end": str(pool["end"])} for pool in new.pools]


def _check_overlap(session: Session, network_id: str, network: IpNetwork) -> None:
    for identifier, cidr in session.execute(select(Subnet.id, Subnet.cidr).where(Subnet.network_id == network_id)):
        other = ipaddress.ip_network(cidr)
        if other.version == network.version and network.overlaps(other):
            raise Invalid(
                f"Invalid input for operation: Requested subnet with cidr: {network} for network: {network_id} "
                f"overlaps with another subnet. overlapping subnet: {identifier} {cidr}.",
                "network.invalid_input",
            )


def _visible(project_id: str | None) -> list[ColumnElement[bool]]:
    """A subnet is seen by whoever sees its network."""
    if project_id is None:
        return []
    seen = select(Network.id).where(*networks.visible_to(project_id))
    return [or_(Subnet.project_id == project_id, Subnet.network_id.in_(seen))]


def get(store: Store, subnet_id: str, project_id: str | None) -> Subnet:
    """Return a subnet that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Subnet).where(Subnet.id == subnet_id, *_visible(project_id)))
    if row is None:
        raise NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")
    return row


def find(store: Store, listing: Listing) -> list[Subnet]:
    """List the subnets that *listing* asks for."""
    with store.read() as session:
        query = select(Subnet).where(*_visible(listing.project_id))
        return list(session.scalars(apply(session, query, Subnet, listing)))


def change(store: Store, subnet_id: str, project_id: str | None, values: dict[str, Any]) -> None:
    """Change name, description, DNS servers or routes of a subnet. :raises NotFound: *project_id* owns none such."""
    condition = [Subnet.id == subnet_id]
    if project_id is not None:
        condition.append(Subnet.project_id == project_id)

    def work(session: Session) -> None:
        result: Any = session.execute(
            update(Subnet)
            .where(*condition)
            .values(revision=Subnet.revision + 1, updated_at=now(), **values)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")

    store.transact(work)


def delete(store: Store, subnet_id: str, project_id: str | None) -> None:
    """Delete a subnet. :raises NotFound: *project_id* owns none such. :raises Conflict: ports hold addresses of it."""
    in_use = Conflict(
        f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP allocation from this subnet.",
        "network.subnet_in_use",
    )
    condition = [Subnet.id == subnet_id]
    if project_id is not None:
        condition.append(Subnet.project_id == project_id)

    def work(session: Session) -> None:
        if session.scalar(select(Subnet.id).where(*condition).with_for_update()) is None:
            raise NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")
        if session.scalar(select(FixedIp.port_id).where(FixedIp.subnet_id == subnet_id).limit(1)):
            raise in_use
        session.execute(sql_delete(Subnet).where(Subnet.id == subnet_id).execution_options(synchronize_session=False))

    try:
        store.transact(work)
    except IntegrityError as error:
        raise in_use from error


def of_networks(session: Session, network_ids: Sequence[str]) -> dict[str, list[Subnet]]:
    """Return the subnets of each of *network_ids*, oldest first."""
    found: dict[str, list[Subnet]] = {network_id: [] for network_id in network_ids}
    if network_ids:
        query = select(Subnet).where(Subnet.network_id.in_(list(network_ids))).order_by(Subnet.created_at, Subnet.id)
        for row in session.scalars(query):
            found[row.network_id].append(row)
    return found

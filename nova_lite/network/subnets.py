"""Subnets: make, find, change, delete. What one may be is in :mod:`nova_lite.network.subnet_rules`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Table, bindparam, insert, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, Network, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import (
    network_rules,
    networks,
    port_removal,
    quotas,
    rows,
    subnet_rules,
    subnetpools,
    tags,
    touch,
)
from nova_lite.network.queries import Listing, apply
from nova_lite.network.subnet_rules import AUTOMATIC, Automatic, IpNetwork, NewSubnet, is_automatic

__all__ = ["AUTOMATIC", "Automatic", "NewSubnet", "change", "create", "create_many", "delete", "find", "get"]

ROUTER_OWNERS = ("network:router_interface", "network:router_gateway")
_SUBNETS: Table = Subnet.__table__  # type: ignore[assignment]
_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class Shown:
    """A subnet with its tags."""

    subnet: Subnet
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """Subnets that were made, and the hosts that are to be woken for them."""

    subnets: list[Subnet]
    hosts: list[str]


def create(store: Store, new: NewSubnet, project_id: str | None, conf: cfg.ConfigOpts | None = None) -> Subnet:
    """Add one subnet; see :func:`create_many`."""
    return create_many(store, [new], project_id, conf).subnets[0]


def create_many(
    store: Store, news: Sequence[NewSubnet], project_id: str | None, conf: cfg.ConfigOpts | None = None
) -> Made:
    """Add subnets to networks that *project_id* owns (None: any network); all or none. *conf* None: no quota.

    :raises Invalid: gateway or pools do not fit the range, or the range overlaps another of the network.
    :raises NotFound: there is no such network or pool.
    :raises Conflict: a quota is used up, or a pool has nothing left.
    """
    for new in news:
        subnet_rules.check_modes(new)
        if new.cidr is not None:
            subnet_rules.parse(new)

    def work(session: Session) -> Made:
        made = [_add(session, new, project_id, conf) for new in news]
        network_ids = sorted({row.network_id for row in made})
        for network_id in network_ids:
            _revise_network(session, network_id)
        return Made(made, touch.touch_network(session, *network_ids))

    return store.transact(work)


def _revise_network(session: Session, network_id: str) -> None:
    """Let a network's revision grow: its subnets are part of it, as upstream has it."""
    rows.revise(session, Network, network_id, {})


def _add(session: Session, new: NewSubnet, project_id: str | None, conf: cfg.ConfigOpts | None) -> Subnet:
    # Locked, so that two subnets that overlap can't both find the network empty.
    owned = [] if project_id is None else [Network.project_id == project_id]
    owner = session.scalar(select(Network).where(Network.id == new.network_id, *owned).with_for_update())
    if owner is None:
        raise network_rules.not_found(new.network_id)
    if new.ip_version == 6 and owner.mtu < network_rules.LEAST_MTU_IPV6:
        raise Conflict(
            f"Invalid input for ip_version. Reason: the network's mtu is {owner.mtu}, and IPv6 needs "
            f"{network_rules.LEAST_MTU_IPV6} at least.",
            "network.mtu_subnet_conflict",
        )
    if conf is not None:
        quotas.take(session, conf, owner.project_id, "subnet")
    pool_id, network = subnetpools.range_of(session, new, project_id)
    subnet_rules.check_automatic(new, network)
    gateway = subnet_rules.gateway(new.gateway_ip, network)
    _check_overlap(session, new.network_id, network)
    identifier = new_id()
    values: dict[str, Any] = {
        "id": identifier,
        "network_id": owner.id,
        "project_id": owner.project_id,
        "name": new.name,
        "description": new.description,
        "ip_version": network.version,
        "cidr": str(network),
        "gateway_ip": gateway,
        "enable_dhcp": new.enable_dhcp,
        "dns_nameservers": list(new.dns_nameservers),
        "host_routes": subnet_rules.routes(new.host_routes, network.version),
        "pools": subnet_rules.pools(new.pools, network, gateway),
        "ipv6_address_mode": new.ipv6_address_mode,
        "ipv6_ra_mode": new.ipv6_ra_mode,
        "subnetpool_id": pool_id,
        "service_types": list(new.service_types),
        "revision": 0,
        "created_at": now(),
        "updated_at": now(),
    }
    session.execute(insert(_SUBNETS), values)
    row = session.get_one(Subnet, identifier)
    if is_automatic(row):
        _address_ports(session, row)
    return row


def _check_overlap(session: Session, network_id: str, network: IpNetwork) -> None:
    for identifier, cidr in session.execute(select(Subnet.id, Subnet.cidr).where(Subnet.network_id == network_id)):
        other = ipaddress.ip_network(cidr)
        if other.version == network.version and network.overlaps(other):
            raise Invalid(
                f"Invalid input for operation: Requested subnet with cidr: {network} for network: {network_id} "
                f"overlaps with another subnet. overlapping subnet: {identifier} {cidr}.",
                "network.invalid_input",
            )


def _address_ports(session: Session, subnet: Subnet) -> None:
    """Note the address that each port which is there already makes for itself in a new subnet with automatic addresses."""
    query = select(Port.id, Port.mac_address).where(
        Port.network_id == subnet.network_id, Port.device_owner.not_in(ROUTER_OWNERS)
    )
    if subnet.service_types:
        query = query.where(Port.device_owner.in_(subnet.service_types))
    ports = session.execute(query)
    held = [
        {"subnet_id": subnet.id, "address": subnet_rules.eui64(subnet.cidr, port.mac_address), "port_id": port.id}
        for port in ports
    ]
    if held:
        session.execute(insert(FixedIp), held)


def _visible(project_id: str | None) -> list[ColumnElement[bool]]:
    """A subnet is seen by whoever shares its network; those of an external one are nobody else's concern."""
    if project_id is None:
        return []
    seen = select(Network.id).where(networks.shared_with(project_id))
    return [or_(Subnet.project_id == project_id, Subnet.network_id.in_(seen))]


def get(store: Store, subnet_id: str, project_id: str | None) -> Shown:
    """Return a subnet that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Subnet).where(Subnet.id == subnet_id, *_visible(project_id)))
        if row is None:
            raise not_found(subnet_id)
        return Shown(row, tags.of(session, [subnet_id]).get(subnet_id, ()))


def not_found(subnet_id: str) -> NotFound:
    """Make the error that says that there is no such subnet."""
    return NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")


def find(store: Store, listing: Listing, shared: Sequence[bool] = ()) -> list[Shown]:
    """List the subnets that *listing* asks for. *shared*: only those of networks that are shared, or not."""
    with store.read() as session:
        query = select(Subnet).where(*_visible(listing.project_id))
        if shared:
            query = query.where(Subnet.network_id.in_(select(Network.id).where(Network.shared.in_(list(shared)))))
        found = list(session.scalars(apply(session, query, Subnet, listing)))
        tagged = tags.of(session, [row.id for row in found])
        return [Shown(row, tagged.get(row.id, ())) for row in found]


def change(store: Store, subnet_id: str, values: Mapping[str, Any], expected: int | None = None) -> list[str]:
    """Change a subnet: ``name``, ``description``, ``enable_dhcp``, ``gateway_ip``, ``pools``, ``dns_nameservers``, ``host_routes``, ``service_types``.

    Return the hosts that are to be woken.

    :raises NotFound: there is no such subnet. :raises Invalid: what is wanted does not fit the range.
    :raises Conflict: the gateway is in a pool, or a router has it.
    :raises PreconditionFailed: it has another revision than *expected*.
    """

    def work(session: Session) -> list[str]:
        row = session.scalar(select(Subnet).where(Subnet.id == subnet_id).with_for_update())
        if row is None:
            raise not_found(subnet_id)
        network = ipaddress.ip_network(row.cidr)
        wanted = dict(values)
        if "gateway_ip" in wanted:
            wanted["gateway_ip"] = subnet_rules.gateway(wanted["gateway_ip"], network)
            if wanted["gateway_ip"] != row.gateway_ip:
                _check_gateway_free(session, row)
        gateway = wanted.get("gateway_ip", row.gateway_ip)
        if "pools" in wanted:
            wanted["pools"] = subnet_rules.pools(wanted["pools"], network, gateway)
        else:
            subnet_rules.check_gateway_outside(gateway, row.pools)
        if "host_routes" in wanted:
            wanted["host_routes"] = subnet_rules.routes(wanted["host_routes"], network.version)
        if wanted.get("enable_dhcp") is False and (row.ipv6_address_mode or row.ipv6_ra_mode):
            raise Invalid(
                "Invalid input for operation: ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False.",
                "network.invalid_input",
            )
        rows.revise(session, Subnet, subnet_id, wanted, expected=expected)
        _revise_network(session, row.network_id)
        return touch.touch_network(session, row.network_id)

    return store.transact(work)


def _check_gateway_free(session: Session, row: Subnet) -> None:
    """Refuse to move a gateway whose address a router has. :raises Conflict: one has it."""
    if row.gateway_ip is None:
        return
    holder = session.scalar(
        select(Port.id)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .where(FixedIp.subnet_id == row.id, FixedIp.address == row.gateway_ip, Port.device_owner.in_(ROUTER_OWNERS))
    )
    if holder is not None:
        raise Conflict(
            f"Current gateway ip {row.gateway_ip} already in use by port {holder}. Unable to update.",
            "network.gateway_ip_in_use",
        )


def delete(store: Store, subnet_id: str, expected: int | None = None) -> list[str]:
    """Delete a subnet; return the hosts that are to be woken.

    :raises NotFound: there is none such. :raises Conflict: ports hold addresses of it that did not come by themselves.
    """
    in_use = Conflict(
        f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP allocation from this subnet.",
        "network.subnet_in_use",
    )

    def work(session: Session) -> list[str]:
        row = session.scalar(select(Subnet).where(Subnet.id == subnet_id).with_for_update())
        if row is None:
            raise not_found(subnet_id)
        rows.check_revision(session, Subnet, subnet_id, expected)
        _let_go(session, row, in_use)
        hosts = touch.touch_network(session, row.network_id)
        _revise_network(session, row.network_id)
        tags.forget(session, [subnet_id])
        session.execute(sql_delete(Subnet).where(Subnet.id == subnet_id).execution_options(**_QUIET))
        return hosts

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise in_use from error


def _let_go(session: Session, subnet: Subnet, in_use: Conflict) -> None:
    """Give back the addresses of a subnet that goes: the system's own, and those that guests made of their MACs."""
    held = session.execute(
        select(Port.id, Port.device_owner)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .where(FixedIp.subnet_id == subnet.id)
    ).all()
    automatic = is_automatic(subnet)
    for port in held:
        if port.device_owner not in port_removal.SILENT and (not automatic or port.device_owner in ROUTER_OWNERS):
            raise in_use
    session.execute(sql_delete(FixedIp).where(FixedIp.subnet_id == subnet.id).execution_options(**_QUIET))
    own = [port.id for port in held if port.device_owner in port_removal.SILENT]
    if own:
        left = set(session.scalars(select(FixedIp.port_id).where(FixedIp.port_id.in_(own))))
        port_removal.drop(session, [port_id for port_id in own if port_id not in left])


# Made once: to make a statement anew takes longer than to run it.
_OF_NETWORKS = (
    select(Subnet)
    .where(Subnet.network_id.in_(bindparam("of_networks", expanding=True)))
    .order_by(Subnet.created_at, Subnet.id)
)


def of_networks(session: Session, network_ids: Sequence[str]) -> dict[str, list[Subnet]]:
    """Return the subnets of each of *network_ids*, oldest first."""
    found: dict[str, list[Subnet]] = {network_id: [] for network_id in network_ids}
    if network_ids:
        for row in session.scalars(_OF_NETWORKS, {"of_networks": list(network_ids)}):
            found[row.network_id].append(row)
    return found

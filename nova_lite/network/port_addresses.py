"""Which addresses a port gets: those that it asks for, one of each IP version, and those that its guest makes of its MAC."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Port, Subnet
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid
from nova_lite.network import floating_targets
from nova_lite.network.addresses import assign, hold, let_go
from nova_lite.network.subnet_rules import eui64, for_owner, is_automatic

ROUTER_OWNERS = ("network:router_interface", "network:router_gateway")
"""Device owners whose ports have the addresses that they are given, and make none themselves."""
MOST = 16
"""Addresses that one port may ask for."""

_FIXED_IPS: Table = FixedIp.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class WantedAddress:
    """An address that a user asks for: of a subnet, or just this one, or both."""

    subnet_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Asking:
    """A port that is to get addresses. ``wanted`` None: one of each IP version that the network has.

    ``gateway``: it may take a subnet's gateway address if it asks for it.
    """

    port_id: str
    network_id: str
    mac: str
    device_owner: str = ""
    wanted: tuple[WantedAddress, ...] | None = None
    gateway: bool = False


def give(session: Session, asking: Sequence[Asking], by_network: Mapping[str, Sequence[Subnet]]) -> None:
    """Give addresses to ports that have none; the number of statements does not grow with those that ask for nothing special.

    :raises Conflict: an address is held, none is free, or all subnets are for ports of other owners. :raises Invalid: one lies outside, or in a subnet of another network.
    """
    automatic: dict[tuple[str, str], list[str]] = {}
    made: list[dict[str, str]] = []
    for port in asking:
        if port.wanted == ():
            continue
        subnets = _for(port, by_network[port.network_id])
        if port.wanted is None:
            automatic.setdefault((port.network_id, port.device_owner), []).append(port.port_id)
        else:
            for wanted in port.wanted:
                _give(session, port, wanted, subnets)
        if port.device_owner not in ROUTER_OWNERS:
            made += [_made(port, subnet) for subnet in subnets if is_automatic(subnet)]
    for (network_id, device_owner), port_ids in automatic.items():
        for version in (4, 6):
            candidates = [
                subnet
                for subnet in for_owner(by_network[network_id], device_owner)
                if subnet.ip_version == version and not is_automatic(subnet) and subnet.pools
            ]
            if candidates:
                _assign_from(session, candidates, port_ids)
    _note(session, made)


def _for(port: Asking, subnets: Sequence[Subnet]) -> Sequence[Subnet]:
    """Return the subnets that a port may have addresses of; a router's legs are where its user puts them."""
    return subnets if port.device_owner in ROUTER_OWNERS else for_owner(subnets, port.device_owner)


def _made(port: Asking, subnet: Subnet) -> dict[str, str]:
    return {"subnet_id": subnet.id, "address": eui64(subnet.cidr, port.mac), "port_id": port.port_id}


def _note(session: Session, made: Sequence[dict[str, str]]) -> None:
    """Note addresses that guests make of their MACs. :raises Conflict: a router was given one of them."""
    if not made:
        return
    insert_absent(session, _FIXED_IPS, made)
    subnet_ids, addresses = {row["subnet_id"] for row in made}, {row["address"] for row in made}
    held = session.execute(
        select(FixedIp.subnet_id, FixedIp.address, FixedIp.port_id).where(
            FixedIp.subnet_id.in_(subnet_ids), FixedIp.address.in_(addresses)
        )
    )
    holders = {(row.subnet_id, row.address): row.port_id for row in held}
    for row in made:
        if holders.get((row["subnet_id"], row["address"])) != row["port_id"]:
            raise Conflict(
                f"IP address {row['address']} already allocated in subnet {row['subnet_id']}.",
                "network.ip_address_in_use",
            )


def _assign_from(
    session: Session, candidates: Sequence[Subnet], port_ids: Sequence[str], had: Sequence[Any] = ()
) -> None:
    """Take the addresses of the first subnet that has enough of them. *had*: rows of what the ports have already."""
    for index, subnet in enumerate(candidates):
        before = [row.address for row in had if row.subnet_id == subnet.id]
        try:
            assign(session, subnet, port_ids, before)
        except Conflict:
            if index == len(candidates) - 1:
                raise
            # No savepoint: MariaDB ends a deadlock by rolling everything back, savepoints too.
            let_go(session, subnet, port_ids, before)
        else:
            return


def _give(session: Session, port: Asking, wanted: WantedAddress, available: Sequence[Subnet]) -> None:
    fitting = _fitting(port, wanted, available)
    trusted = port.device_owner in ROUTER_OWNERS
    if wanted.address is None:
        if is_automatic(fitting[0]) and not trusted:
            return  # it is noted with the others that the guest makes
        had = read(session, [port.port_id]).get(port.port_id, [])
        _assign_from(session, [subnet for subnet in fitting if subnet.pools] or fitting, [port.port_id], had)
        return
    address = ipaddress.ip_address(wanted.address)
    for subnet in fitting:
        if address not in ipaddress.ip_network(subnet.cidr):
            continue
        if is_automatic(subnet) and not trusted:
            if str(address) != eui64(subnet.cidr, port.mac):
                raise Invalid(
                    f"Invalid input for operation: IPv6 address {address} cannot be directly assigned to a port on subnet "
                    f"{subnet.id} as the subnet is configured for automatic addresses.",
                    "network.allocation_on_auto_address_subnet",
                )
            return
        hold(session, subnet, wanted.address, port.port_id, gateway=port.gateway)
        return
    if wanted.subnet_id is not None:
        raise Invalid(
            f"IP address {wanted.address} is not a valid IP for the specified subnet {wanted.subnet_id}.",
            "network.invalid_ip_for_subnet",
        )
    raise Invalid(
        f"IP address {wanted.address} is not a valid IP for any of the subnets on the specified network.",
        "network.invalid_ip_for_network",
    )


def _fitting(port: Asking, wanted: WantedAddress, available: Sequence[Subnet]) -> list[Subnet]:
    if wanted.subnet_id is None:
        return list(available)
    found = [subnet for subnet in available if subnet.id == wanted.subnet_id]
    if not found:
        raise Invalid(
            f"Invalid input for operation: Failed to create port on network {port.network_id}, because fixed_ips included "
            f"invalid subnet {wanted.subnet_id}.",
            "network.invalid_input",
        )
    return found


def replace(session: Session, port: Asking, subnets: Sequence[Subnet]) -> None:
    """Let a port have just what it now asks for; what it asks for and has already stays.

    :raises Invalid: a floating IP leads to an address that would go; else as :func:`give`.
    """
    assert port.wanted is not None
    held = [
        (row.subnet_id, row.address)
        for row in session.execute(
            select(FixedIp.subnet_id, FixedIp.address)
            .where(FixedIp.port_id == port.port_id)
            .order_by(FixedIp.address)
            .with_for_update()
        )
    ]
    left = list(held)
    missing: list[WantedAddress] = []
    # Those that name their address choose first: one that names only its subnet would take what another one means.
    for wanted in sorted(port.wanted, key=lambda each: each.address is None):
        same = next((each for each in left if _is_meant(wanted, each)), None)
        if same is None:
            missing.append(wanted)
        else:
            left.remove(same)
    gone = {address for _, address in left}
    floating_targets.require_kept(session, port.port_id, {address for _, address in held if address not in gone})
    _drop(session, port.port_id, left)
    fitting = _for(port, subnets) if missing else subnets
    for wanted in missing:
        _give(session, port, wanted, fitting)
    if port.device_owner in ROUTER_OWNERS:
        return
    named = {wanted.subnet_id for wanted in port.wanted if wanted.subnet_id is not None}
    addresses = {str(ipaddress.ip_address(wanted.address)) for wanted in port.wanted if wanted.address is not None}
    for subnet in subnets:
        if is_automatic(subnet) and (subnet.id in named or eui64(subnet.cidr, port.mac) in addresses):
            _note(session, [_made(port, subnet)])


def _is_meant(wanted: WantedAddress, held: tuple[str, str]) -> bool:
    subnet_id, address = held
    if wanted.subnet_id not in (None, subnet_id):
        return False
    return wanted.address is None or str(ipaddress.ip_address(wanted.address)) == address


def _drop(session: Session, port_id: str, gone: Sequence[tuple[str, str]]) -> None:
    if not gone:
        return
    for subnet_id, address in gone:
        session.execute(
            delete(FixedIp)
            .where(FixedIp.subnet_id == subnet_id, FixedIp.address == address, FixedIp.port_id == port_id)
            .execution_options(synchronize_session=False)
        )


def follow_mac(session: Session, port: Port, mac: str, subnets: Sequence[Subnet]) -> None:
    """Change the addresses that a guest makes of its MAC, which is going to be *mac*."""
    made = []
    for subnet in subnets:
        is_others = subnet.service_types and port.device_owner not in subnet.service_types
        if is_automatic(subnet) and port.device_owner not in ROUTER_OWNERS and not is_others:
            _drop(session, port.id, [(subnet.id, eui64(subnet.cidr, port.mac_address))])
            made.append(_made(Asking(port.id, port.network_id, mac), subnet))
    _note(session, made)


def read(session: Session, port_ids: Sequence[str]) -> dict[str, list[Any]]:
    """Return (subnet id, address) rows of each of *port_ids* that holds any, in the order of addresses."""
    found: dict[str, list[Any]] = {}
    if port_ids:
        query = select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id.in_(list(port_ids)))
        for row in session.execute(query.order_by(FixedIp.address)):
            found.setdefault(row.port_id, []).append(row)
    for held in found.values():
        if len(held) > 1:
            held.sort(key=lambda row: _order(row.address))
    return found


def _order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)

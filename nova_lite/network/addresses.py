"""Addresses: which are free, and holding one so that nobody else can.

The primary key of ``fixed_ips`` decides. Whoever loses a race for an address tries another one in the same
transaction; nothing is locked and nothing is counted. The first try is a guess, as most addresses of most pools are free:
a look at what is held is only for those who guessed one of these.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, delete, select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Subnet
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid

ATTEMPTS = 7
SMALL_POOL = 1024
"""Up to so many addresses, the held ones are read; beyond it, random ones are looked up."""

_FIXED_IPS: Table = FixedIp.__table__  # type: ignore[assignment]
# Made once: to make a statement anew takes longer than to run it.
_WON = select(_FIXED_IPS.c.port_id, _FIXED_IPS.c.address).where(
    _FIXED_IPS.c.subnet_id == bindparam("of_subnet"), _FIXED_IPS.c.port_id.in_(bindparam("of_ports", expanding=True))
)


def assign(session: Session, subnet: Subnet, port_ids: Sequence[str], had: Collection[str] = ()) -> dict[str, str]:
    """Give each of *port_ids* a free address of *subnet*'s pools; return ``{port id: address}``.

    :param had: the addresses of it that they have already; they must not be taken for what is given.
    :raises Conflict: fewer are free than are wanted; roll back, or :func:`let_go` of what was got.
    """
    given: dict[str, str] = {}
    missing = list(port_ids)
    for attempt in range(ATTEMPTS):
        candidates = _guess(subnet, len(missing)) if attempt == 0 else []
        if not candidates or not set(had).isdisjoint(candidates):
            candidates = _free(session, subnet, len(missing), thorough=attempt >= 2)
        if len(candidates) < len(missing):
            break
        # In the order of addresses, so that two transactions that want some of the same never wait for one another.
        pairs = list(zip(missing, sorted(candidates), strict=False))
        rows = [{"subnet_id": subnet.id, "address": address, "port_id": port_id} for port_id, address in pairs]
        if insert_absent(session, _FIXED_IPS, rows):
            return given | dict(pairs)
        won = session.execute(_WON, {"of_subnet": subnet.id, "of_ports": missing})
        given.update((port_id, address) for port_id, address in won if address not in had)
        missing = [port_id for port_id in missing if port_id not in given]
        if not missing:
            return given
    raise Conflict(
        f"No more IP addresses available on network {subnet.network_id}.", "network.ip_address_generation_failure"
    )


def let_go(session: Session, subnet: Subnet, port_ids: Sequence[str], had: Collection[str] = ()) -> None:
    """Give back what an :func:`assign` that did not suffice had got of *subnet*, beside what the ports *had* before."""
    session.execute(
        delete(FixedIp)
        .where(FixedIp.subnet_id == subnet.id, FixedIp.port_id.in_(list(port_ids)))
        .where(FixedIp.address.not_in(list(had)))
        .execution_options(synchronize_session=False)
    )


def hold(session: Session, subnet: Subnet, address: str, port_id: str, *, gateway: bool = False) -> None:
    """Give *port_id* just this *address*, which lies in *subnet*.

    :param gateway: it may be the gateway's.
    :raises Conflict: it is held already, or it is the gateway's.
    :raises Invalid: it is not one that a host can have there.
    """
    parsed = ipaddress.ip_address(address)
    network = ipaddress.ip_network(subnet.cidr)
    if parsed not in network or (network.version == 4 and network.num_addresses > 2 and parsed in _edges(network)):
        raise Invalid(
            f"{address} is not a valid IP for the subnet {subnet.id} ({subnet.cidr}).", "network.invalid_ip_for_subnet"
        )
    if gateway or str(parsed) != subnet.gateway_ip:
        row = {"subnet_id": subnet.id, "address": str(parsed), "port_id": port_id}
        insert_absent(session, _FIXED_IPS, [row])
        holder = session.scalar(
            select(FixedIp.port_id).where(FixedIp.subnet_id == subnet.id, FixedIp.address == str(parsed))
        )
        if holder == port_id:
            return
    raise Conflict(f"IP address {parsed} already allocated in subnet {subnet.id}.", "network.ip_address_in_use")


def _edges(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[Any, Any]:
    return network.network_address, network.broadcast_address


def pool_ranges(subnet: Subnet) -> list[tuple[int, int]]:
    """Return the pools as pairs of numbers, both ends within."""
    return [(int(ipaddress.ip_address(pool["start"])), int(ipaddress.ip_address(pool["end"]))) for pool in subnet.pools]


def _guess(subnet: Subnet, count: int) -> list[str]:
    """Return *count* addresses of the pools, of which nobody knows whether they are free; none where that many are unlikely to be."""
    ranges = pool_ranges(subnet)
    size = _size(ranges)
    if size < count * 4:
        return []
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen.add(random.randrange(size))  # noqa: S311 (no secret)
    text = _text(subnet)
    return [str(text(_nth(ranges, index))) for index in chosen]


def _size(ranges: Sequence[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _text(subnet: Subnet) -> type[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return ipaddress.IPv4Address if subnet.ip_version == 4 else ipaddress.IPv6Address


def _free(session: Session, subnet: Subnet, count: int, *, thorough: bool) -> list[str]:
    ranges = pool_ranges(subnet)
    size = _size(ranges)
    text = _text(subnet)
    if size > SMALL_POOL and not thorough:
        # Random ones are seldom held, and two who allocate at once seldom want the same.
        tried = {str(text(_nth(ranges, random.randrange(size)))) for _ in range(count * 2 + 8)}  # noqa: S311
        held = set(
            session.scalars(
                select(FixedIp.address).where(FixedIp.subnet_id == subnet.id, FixedIp.address.in_(sorted(tried)))
            )
        )
        found = [address for address in tried if address not in held]
        if len(found) >= count:
            return found[:count]
    held = set(session.scalars(select(FixedIp.address).where(FixedIp.subnet_id == subnet.id)))
    numbers = _numbers(subnet.ip_version, held)
    free: list[int] = []
    for number in _gaps(ranges, numbers):
        free.append(number)
        if len(free) >= max(count * 4, SMALL_POOL):
            break
    return [str(text(number)) for number in random.sample(free, min(count, len(free)))]


def _numbers(version: int, addresses: Iterable[str]) -> set[int]:
    """Read addresses as numbers; by the C library, as a network may hold many."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return {int.from_bytes(socket.inet_pton(family, address)) for address in addresses}


def _nth(ranges: Sequence[tuple[int, int]], index: int) -> int:
    for first, last in ranges:
        length = last - first + 1
        if index < length:
            return first + index
        index -= length
    raise IndexError(index)


def _gaps(ranges: Sequence[tuple[int, int]], held: set[int]) -> Iterator[int]:
    for first, last in ranges:
        number = first
        while number <= last:
            if number not in held:
                yield number
            number += 1

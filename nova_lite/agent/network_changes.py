"""Bring what a host's networks shall be up to date after servers came or went, without reading all of it again.

Only what such a change can touch is looked at; where it might be more (a network that is new here, a floating IP, a limit), None says that
all must be read. Everything else that changes makes the host's ``wanted`` grow, and all is read then.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from nova_lite.agent import network_rows
from nova_lite.agent.security_rows import held_by_others
from nova_lite.db.models import PortSecurityGroup
from nova_lite.host.network_state import HostState, PortSpec

Members = Mapping[str, tuple[str, ...]]


def with_servers(
    session: Session, host: str, state: HostState, servers: Collection[str], also: Collection[str]
) -> HostState | None:
    """Return *state* with the ports that *servers* have on *host* now; None: read all."""
    rows = network_rows.local_ports(session, host, (), also, only=servers)
    if not rows:
        return state
    if any(row.qos_policy_id or row.network_qos_policy_id or row.has_floating_ip for row in rows):
        # A floating IP's host has it on its router from when the port comes until it goes.
        return None
    if any(row.allowed_address_pairs for row in rows):
        return None  # One of them may be the address that a floating IP leads to.
    if not _are_here(state, {row.network_id for row in rows}) or _were_elsewhere(state, rows):
        return None
    port_ids = [row.id for row in rows]
    addresses, groups = network_rows.addresses(session, port_ids), _memberships(session, port_ids)
    if not {group for ids in groups.values() for group in ids} <= state.groups.keys():
        return None
    new = {row.id: network_rows.port_spec(row, addresses, {}, groups.get(row.id, ())) for row in rows}
    ports = dict(sorted({**state.ports, **new}.items()))
    return replace(state, ports=ports, members=_with(state.members, new.values()))


def _are_here(state: HostState, network_ids: set[str]) -> bool:
    """Say whether each of the networks has a port on the host already."""
    missing = set(network_ids)
    for port in state.ports.values():
        missing.discard(port.network_id)
        if not missing:
            return True
    return not missing


def _were_elsewhere(state: HostState, rows: Collection[Any]) -> bool:
    """Say whether one of the ports is still thought to be on another host."""
    macs = {row.mac_address for row in rows}
    networks = (state.networks[network_id] for network_id in {row.network_id for row in rows})
    return any(remote.mac in macs for network in networks for remote in network.remote)


_MEMBERS: Any = PortSecurityGroup.__table__
# Made once: to make a statement anew takes longer than to run it.
_GROUPS_OF = (
    select(_MEMBERS.c.port_id, _MEMBERS.c.group_id)
    .where(_MEMBERS.c.port_id.in_(bindparam("of_ports", expanding=True)))
    .order_by(_MEMBERS.c.group_id)
)


def _memberships(session: Session, port_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for port_id, group_id in session.execute(_GROUPS_OF, {"of_ports": sorted(port_ids)}):
        found[port_id].append(group_id)
    return {key: tuple(ids) for key, ids in found.items()}


def without_servers(session: Session, state: HostState, servers: Collection[str]) -> HostState | None:
    """Return *state* without the ports of *servers*, which the database may have still; None: read all."""
    gone = [port for port in state.ports.values() if port.server_id in servers]
    if not gone:
        return state
    kept = {key: port for key, port in state.ports.items() if port.server_id not in servers}
    if not {port.network_id for port in gone} <= {port.network_id for port in kept.values()}:
        return None
    addresses = {address for port in gone for _, address in port.addresses}
    floating = {each.fixed for router in state.routers.values() for each in router.floating}
    if addresses & floating or any(port.pairs for port in gone):
        return None
    groups = {group_id for port in gone for group_id in port.group_ids} & state.members.keys()
    others = held_by_others(session, groups, addresses, [port.port_id for port in gone])
    less = {(group_id, address) for port in gone for group_id in port.group_ids for _, address in port.addresses}
    return replace(state, ports=kept, members=_less(state.members, less - others))


def _with(members: Members, ports: Collection[PortSpec]) -> Members:
    more: dict[str, set[str]] = defaultdict(set)
    for port in ports:
        for group_id in port.group_ids:
            more[group_id] |= {address for _, address in port.addresses} | {cidr for _, cidr in port.pairs}
    return {key: _merged(held, more.get(key, set())) for key, held in members.items()}


def _merged(held: tuple[str, ...], more: set[str]) -> tuple[str, ...]:
    """Return *held*, which is in order, with *more* in their places; by bisection, as a group may have thousands."""
    new = [address for address in more if not _holds(held, address)]
    if not new:
        return held
    merged = list(held)
    for address in new:
        insort(merged, address)
    return tuple(merged)


def _holds(held: tuple[str, ...], address: str) -> bool:
    place = bisect_left(held, address)
    return place < len(held) and held[place] == address


def _less(members: Members, gone: Collection[tuple[str, str]]) -> Members:
    less: dict[str, set[str]] = defaultdict(set)
    for group_id, address in gone:
        less[group_id].add(address)
    return {
        key: tuple(address for address in addresses if address not in less[key]) if key in less else addresses
        for key, addresses in members.items()
    }

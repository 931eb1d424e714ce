"""Bring what a host's networks shall be up to date after servers came or went, without reading all of it again.

Only what such a change can touch is looked at; where it might be more (a network that is new here, a floating IP, a limit), None says that
all must be read. Everything else that changes makes the host's ``wanted`` grow, and all is read then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.agent import network_rows, spec
from nova_lite.db.models import FloatingIp, Network, PortSecurityGroup
from nova_lite.host.network_state import HostState, PortSpec

Members = Mapping[str, tuple[str, ...]]


def with_servers(
    session: Session, host: str, state: HostState, servers: Collection[str], also: Collection[str]
) -> HostState | None:
    """Return *state* with the ports that *servers* have on *host* now; None: read all."""
    rows = network_rows.local_ports(session, host, (), also, only=servers)
    here = {port.network_id for port in state.ports.values()}
    wanted = {row.Port.network_id for row in rows}
    if not wanted <= here or any(row.Port.qos_policy_id for row in rows):
        return None
    if _have_floating_ip(session, [row.Port.id for row in rows]) or _were_elsewhere(state, rows):
        return None
    networks = {row.id: row for row in session.scalars(select(Network).where(Network.id.in_(sorted(wanted))))}
    if any(network.qos_policy_id for network in networks.values()):
        return None
    addresses = network_rows.addresses(session, [row.Port.id for row in rows])
    groups = _memberships(session, [row.Port.id for row in rows])
    if not {group for ids in groups.values() for group in ids} <= set(state.groups):
        return None
    new = {
        row.Port.id: spec.with_groups(network_rows.port_spec(row, networks, addresses, {}), groups.get(row.Port.id, ()))
        for row in rows
    }
    ports = dict(sorted({**state.ports, **new}.items()))
    return replace(state, ports=ports, members=_with(state.members, new.values()))


def _have_floating_ip(session: Session, port_ids: Collection[str]) -> bool:
    """Say whether one of the ports has a floating IP: its host's router carries it, from when the port comes until it goes."""
    query = select(FloatingIp.id).where(FloatingIp.port_id.in_(sorted(port_ids))).limit(1)
    return session.scalar(query) is not None


def _were_elsewhere(state: HostState, rows: Collection[Any]) -> bool:
    """Say whether one of the ports is still thought to be on another host."""
    macs = {row.Port.mac_address for row in rows}
    networks = (state.networks[network_id] for network_id in {row.Port.network_id for row in rows})
    return any(remote.mac in macs for network in networks for remote in network.remote)


def _memberships(session: Session, port_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    query = select(PortSecurityGroup.port_id, PortSecurityGroup.group_id).where(
        PortSecurityGroup.port_id.in_(sorted(port_ids))
    )
    for port_id, group_id in session.execute(query.order_by(PortSecurityGroup.group_id)):
        found[port_id].append(group_id)
    return {key: tuple(ids) for key, ids in found.items()}


def without_servers(state: HostState, servers: Collection[str]) -> HostState | None:
    """Return *state* without the ports of *servers*; None: read all."""
    gone = [port for port in state.ports.values() if port.server_id in servers]
    kept = {key: port for key, port in state.ports.items() if port.server_id not in servers}
    if not gone:
        return state
    if not {port.network_id for port in gone} <= {port.network_id for port in kept.values()}:
        return None
    addresses = {address for port in gone for _, address in port.addresses}
    floating = {each.fixed for router in state.routers.values() for each in router.floating}
    if addresses & floating or any(port.pairs for port in gone):
        return None
    return replace(state, ports=kept, members=_less(state.members, gone, kept.values()))


def _with(members: Members, ports: Collection[PortSpec]) -> Members:
    more: dict[str, set[str]] = defaultdict(set)
    for port in ports:
        for group_id in port.group_ids:
            more[group_id] |= {address for _, address in port.addresses} | {cidr for _, cidr in port.pairs}
    return {key: tuple(sorted({*held, *more.get(key, ())})) for key, held in members.items()}


def _less(members: Members, gone: Collection[PortSpec], kept: Collection[PortSpec]) -> Members:
    held = {(group_id, address) for port in kept for group_id in port.group_ids for _, address in port.addresses}
    less: dict[str, set[str]] = defaultdict(set)
    for port in gone:
        for group_id in port.group_ids:
            # Two networks may have the same addresses.
            less[group_id] |= {address for _, address in port.addresses if (group_id, address) not in held}
    return {
        key: tuple(address for address in addresses if address not in less.get(key, ()))
        for key, addresses in members.items()
    }

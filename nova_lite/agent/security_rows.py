"""Read the security groups of a host's ports, and whom their rules let in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, bindparam, cast, func, select
from sqlalchemy.orm import Session

from nova_lite.db.models import AddressGroup, FixedIp, Port, PortSecurityGroup, SecurityGroup, SecurityGroupRule
from nova_lite.host.network_state import GroupSpec, RuleSpec
from nova_lite.network.protocols import protocol_number

_AT_ONCE = 500


@dataclass(frozen=True)
class Groups:
    """``memberships``: port id → ids of its groups; ``groups``: those groups."""

    memberships: dict[str, tuple[str, ...]]
    groups: dict[str, GroupSpec]


def read_security(
    session: Session, port_ids: Sequence[str]
) -> tuple[Groups, dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return the groups of *port_ids*, the addresses of whom they name as remote group, and those of address groups."""
    memberships: dict[str, list[str]] = defaultdict(list)
    for part in _parts(port_ids):
        query = select(PortSecurityGroup.port_id, PortSecurityGroup.group_id).where(PortSecurityGroup.port_id.in_(part))
        for port_id, group_id in session.execute(query.order_by(PortSecurityGroup.group_id)):
            memberships[port_id].append(group_id)
    wanted = sorted({group_id for group_ids in memberships.values() for group_id in group_ids})
    rules: dict[str, list[RuleSpec]] = defaultdict(list)
    stateful: dict[str, bool] = {}
    for part in _parts(wanted):
        groups = select(SecurityGroup.id, SecurityGroup.stateful).where(SecurityGroup.id.in_(part))
        stateful |= {row.id: row.stateful for row in session.execute(groups)}
        for row in session.execute(_rules(part)):
            rules[row.group_id].append(_rule(row))
    named = [rule for each in rules.values() for rule in each]
    members = _members(session, {rule.remote_group_id for rule in named if rule.remote_group_id})
    lists = _lists(session, {rule.remote_address_group_id for rule in named if rule.remote_address_group_id})
    found = {key: GroupSpec(key, tuple(rules[key]), stateful[key]) for key in wanted if key in stateful}
    return Groups({key: tuple(ids) for key, ids in memberships.items()}, found), members, lists


def _rules(groups: Sequence[str]) -> Any:
    row = SecurityGroupRule
    # Columns, not entities: a host may have ten thousand rules.
    return (
        select(
            row.id,
            row.group_id,
            row.direction,
            row.ethertype,
            row.protocol,
            row.port_min,
            row.port_max,
            row.remote_ip_prefix,
            row.remote_group_id,
            row.remote_address_group_id,
        )
        .where(row.group_id.in_(groups))
        .order_by(row.id)
    )


def _rule(row: Any) -> RuleSpec:
    version = 6 if row.ethertype == "IPv6" else 4
    return RuleSpec(
        rule_id=row.id,
        direction=row.direction,
        version=version,
        # Protocol 0 (ip, hopopt) is nothing that a packet carries as its own: upstream reads it as "any".
        protocol=None if row.protocol is None else protocol_number(row.protocol, version) or None,
        port_min=row.port_min,
        port_max=row.port_max,
        remote_cidr=row.remote_ip_prefix,
        remote_group_id=row.remote_group_id,
        remote_address_group_id=row.remote_address_group_id,
    )


def _members(session: Session, groups: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the addresses of the ports in each of *groups*, with what their allowed pairs add."""
    found: dict[str, set[str]] = {key: set() for key in groups}
    for part in _parts(sorted(groups)):
        held = (
            select(PortSecurityGroup.group_id, FixedIp.address)
            .join(FixedIp, FixedIp.port_id == PortSecurityGroup.port_id)
            .where(PortSecurityGroup.group_id.in_(part))
        )
        for group_id, address in session.execute(held):
            found[group_id].add(address)
        paired = (
            select(PortSecurityGroup.group_id, Port.allowed_address_pairs)
            .join(Port, Port.id == PortSecurityGroup.port_id)
            .where(PortSecurityGroup.group_id.in_(part))
        )
        for group_id, pairs in session.execute(paired):
            found[group_id].update(pair["ip_address"] for pair in pairs or ())
    return {key: tuple(sorted(addresses)) for key, addresses in found.items()}


_MEMBERS: Any = PortSecurityGroup.__table__
_FIXED: Any = FixedIp.__table__
_PORTS: Any = Port.__table__
_OTHERS = _MEMBERS.c.group_id.in_(bindparam("of_groups", expanding=True)) & _MEMBERS.c.port_id.not_in(
    bindparam("but", expanding=True)
)
# Made once: to make a statement anew takes longer than to run it.
_HELD = (
    select(_MEMBERS.c.group_id, _FIXED.c.address)
    .join(_FIXED, _FIXED.c.port_id == _MEMBERS.c.port_id)
    .where(_OTHERS, _FIXED.c.address.in_(bindparam("of_addresses", expanding=True)))
)
_PAIRED = (
    select(_MEMBERS.c.group_id, _PORTS.c.allowed_address_pairs)
    .join(_PORTS, _PORTS.c.id == _MEMBERS.c.port_id)
    .where(_OTHERS, func.length(cast(_PORTS.c.allowed_address_pairs, Text)) > len("[]"))
)


def held_by_others(
    session: Session, groups: Collection[str], addresses: Collection[str], but: Collection[str]
) -> set[tuple[str, str]]:
    """Return (group id, address) of those of *addresses* that ports of *groups*, on any host, have beside the ports *but*.

    Two networks may have the same addresses, and their ports a group in common.
    """
    if not groups or not addresses:
        return set()
    values = {"of_groups": sorted(groups), "of_addresses": sorted(addresses), "but": sorted(but)}
    found = {(row.group_id, row.address) for row in session.execute(_HELD, values)}
    for row in session.execute(_PAIRED, {name: values[name] for name in ("of_groups", "but")}):
        found |= {(row.group_id, pair["ip_address"]) for pair in row.allowed_address_pairs}
    return found


def _lists(session: Session, groups: Collection[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = dict.fromkeys(groups, ())
    for part in _parts(sorted(groups)):
        for row in session.scalars(select(AddressGroup).where(AddressGroup.id.in_(part))):
            found[row.id] = tuple(sorted(row.addresses))
    return found


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    wanted = list(values)
    return (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))

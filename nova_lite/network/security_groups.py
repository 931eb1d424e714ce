"""Security groups: each project has a default one, and its ports are in it unless they ask for others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from nova_lite.db.models import SecurityGroup, SecurityGroupRule
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.network.addresses import insert_absent

DEFAULT = "default"
ETHERTYPES = ("IPv4", "IPv6")

_GROUPS: Table = SecurityGroup.__table__  # type: ignore[assignment]


def ensure_default(session: Session, project_id: str) -> str:
    """Return the id of the project's default group, made in the caller's transaction if it is not there yet.

    Of several that make it at once one does; the key of ``default_of`` decides.
    """
    query = select(SecurityGroup.id).where(SecurityGroup.default_of == project_id)
    found = session.scalar(query)
    if found is not None:
        return found
    identifier, moment = new_id(), now()
    row = {
        "id": identifier,
        "project_id": project_id,
        "name": DEFAULT,
        "description": "Default security group",
        "stateful": True,
        "default_of": project_id,
        "revision": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    insert_absent(session, _GROUPS, [row])
    holder = session.scalars(query).one()
    if holder == identifier:
        add_rules(session, identifier, project_id, first_rules(identifier, default=True))
    return holder


def first_rules(group_id: str, *, default: bool = False) -> list[JsonDict]:
    """Give the rules that a new group has: all may leave; into a default group may come whoever is in it."""
    rules: list[JsonDict] = [{"direction": "egress", "ethertype": ethertype} for ethertype in ETHERTYPES]
    if default:
        rules += [
            {"direction": "ingress", "ethertype": ethertype, "remote_group_id": group_id} for ethertype in ETHERTYPES
        ]
    return rules


_MEANING = (
    "direction",
    "ethertype",
    "protocol",
    "port_min",
    "port_max",
    "remote_ip_prefix",
    "remote_group_id",
    "remote_address_group_id",
)
"""What makes a rule; two of one group that agree in these are the same rule."""


def fingerprint(rule: JsonDict) -> str:
    """Return what ``same`` of a rule is, whose members are in their canonical form."""
    meaning = "|".join(str(rule.get(name)) for name in _MEANING)
    return hashlib.sha256(meaning.encode()).hexdigest()


def add_rules(session: Session, group_id: str, project_id: str, rules: Sequence[JsonDict]) -> list[str]:
    """Insert rules in their canonical form in the caller's transaction; return their ids in order.

    :raises sqlalchemy.exc.IntegrityError: the group has one of them already.
    """
    moment = now()
    rows: list[dict[str, Any]] = [
        {
            **dict.fromkeys(_MEANING),
            **rule,
            "id": new_id(),
            "group_id": group_id,
            "project_id": project_id,
            "description": rule.get("description", ""),
            "same": fingerprint(rule),
            "revision": 0,
            "created_at": moment,
            "updated_at": moment,
        }
        for rule in rules
    ]
    if rows:
        session.execute(insert(SecurityGroupRule), rows)
    return [row["id"] for row in rows]

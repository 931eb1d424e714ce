"""Quotas of networks and what belongs to them: asked for in the transaction that makes a thing.

What a project has is counted, under a lock on its row of ``quota_usages``, so nothing is given back when a thing goes, whoever
removes it, and no sum can be wrong. Limits that were set are rows of ``quota_limits``, named ``network.NOUN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from sqlalchemy import Table, bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.db.models import (
    FloatingIp,
    Network,
    Port,
    QuotaLimit,
    QuotaUsage,
    RbacPolicy,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)
from nova_lite.db.quota_limits import set_limits
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict

UNLIMITED = -1
RESOURCES: dict[str, Any] = {
    "network": Network,
    "subnet": Subnet,
    "subnetpool": SubnetPool,
    "port": Port,
    "router": Router,
    "floatingip": FloatingIp,
    "security_group": SecurityGroup,
    "security_group_rule": SecurityGroupRule,
    "rbac_policy": RbacPolicy,
}
"""What is limited, and the rows that count."""

_PREFIX = "network."
_USAGES: Table = QuotaUsage.__table__  # type: ignore[assignment]
_OWN: Table = QuotaLimit.__table__  # type: ignore[assignment]
_LIMITS = select(QuotaLimit.resource, QuotaLimit.hard_limit).where(
    QuotaLimit.project_id == bindparam("of_project"), QuotaLimit.user_id == "", QuotaLimit.resource.like(f"{_PREFIX}%")
)
_LIMIT = select(_OWN.c.hard_limit).where(
    _OWN.c.project_id == bindparam("of_project"), _OWN.c.user_id == "", _OWN.c.resource == bindparam("name")
)
_LOCK = select(QuotaUsage.scope).where(QuotaUsage.scope == bindparam("of_project")).with_for_update()
_COUNTS = {
    name: select(func.count()).select_from(model).where(model.project_id == bindparam("of_project"))
    for name, model in RESOURCES.items()
}


def take(session: Session, conf: cfg.ConfigOpts, project_id: str, resource: str, count: int = 1) -> None:
    """Make sure that *project_id* may have *count* more of *resource*, until the caller's transaction ends; call it before they are made.

    :raises Conflict: it may not; in Neutron's words.
    """
    if not project_id or count <= 0:
        return
    most = session.scalar(_LIMIT, {"of_project": project_id, "name": _PREFIX + resource})
    if most is None:
        most = getattr(conf.network_quota, resource)
    if most < 0:
        return
    serialize(session, project_id)
    has = session.scalar(_COUNTS[resource], {"of_project": project_id}) or 0
    if has + count > most:
        raise Conflict(f"Quota exceeded for resources: ['{resource}'].", "network.over_quota")


def serialize(session: Session, scope: str) -> None:
    """Hold the row of a project, or of a name like ``lock:NAME``, until the transaction ends; whoever else asks for it waits.

    SQLite's one writer holds everything anyway.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    if session.scalar(_LOCK, {"of_project": scope}) is None:
        row: dict[str, Any] = dict.fromkeys(("instances", "cores", "ram", "key_pairs", "server_groups"), 0)
        insert_absent(session, _USAGES, [{"scope": scope, **row, "created_at": now()}])
        session.scalar(_LOCK, {"of_project": scope})


def defaults(conf: cfg.ConfigOpts) -> dict[str, int]:
    """Return the limits of a project that nothing was set for."""
    return {name: getattr(conf.network_quota, name) for name in RESOURCES}


def limits(conf: cfg.ConfigOpts, store: Store, project_id: str) -> dict[str, int]:
    """Return a project's limits."""
    with store.read() as session:
        return _limits(conf, session, project_id)


def _limits(conf: cfg.ConfigOpts, session: Session, project_id: str) -> dict[str, int]:
    found = session.execute(_LIMITS, {"of_project": project_id})
    own = {row.resource.removeprefix(_PREFIX): row.hard_limit for row in found}
    return defaults(conf) | {name: value for name, value in own.items() if name in RESOURCES}


def usage(store: Store, project_id: str) -> dict[str, int]:
    """Count what a project has."""
    with store.read() as session:
        return {name: session.scalar(query, {"of_project": project_id}) or 0 for name, query in _COUNTS.items()}


def projects(conf: cfg.ConfigOpts, store: Store) -> dict[str, dict[str, int]]:
    """Return the limits of each project that has any of its own."""
    with store.read() as session:
        query = select(QuotaLimit.project_id).where(QuotaLimit.resource.like(f"{_PREFIX}%"), QuotaLimit.user_id == "")
        names = sorted(set(session.scalars(query)))
        return {name: _limits(conf, session, name) for name in names}


def change(conf: cfg.ConfigOpts, store: Store, project_id: str, values: Mapping[str, int]) -> dict[str, int]:
    """Set limits of a project; return all of them. A limit may be below what is in use: then nothing more is made."""

    def work(session: Session) -> dict[str, int]:
        set_limits(session, project_id, "", {_PREFIX + name: value for name, value in values.items()})
        return _limits(conf, session, project_id)

    return store.transact(work)


def reset(store: Store, project_id: str) -> None:
    """Let a project have the defaults again; nothing set is success."""
    own = [QuotaLimit.project_id == project_id, QuotaLimit.user_id == "", QuotaLimit.resource.like(f"{_PREFIX}%")]
    store.transact(
        lambda session: session.execute(sql_delete(QuotaLimit).where(*own).execution_options(synchronize_session=False))
    )

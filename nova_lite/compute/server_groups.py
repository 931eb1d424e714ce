"""Server groups: servers that are to be together, or apart; and what that means for where the next one may go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.compute import quotas
from nova_lite.db import paging
from nova_lite.db.models import Server, ServerGroup, ServerGroupMember
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id
from nova_lite.errors import Invalid, NotFound, OverLimit

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"
SOFT_AFFINITY, SOFT_ANTI_AFFINITY = "soft-affinity", "soft-anti-affinity"
MOST_PER_HOST = "max_server_per_host"


@dataclass(frozen=True)
class Group:
    """A group with its members that are there, oldest first."""

    row: ServerGroup
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Neighbours:
    """What the others mean for where a server may go. ``required`` None: anywhere; ``counts``: members by host.

    ``attraction`` 1: rather where members are; -1: rather where they are not; 0: of no matter.
    """

    forbidden: frozenset[str] = frozenset()
    required: frozenset[str] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    attraction: int = 0

    def allows(self, host: str) -> bool:
        """Tell whether a server may go to *host*."""
        return host not in self.forbidden and (self.required is None or host in self.required)


def not_found(group_id: str) -> NotFound:
    """Make the error that says that there is no such group."""
    return NotFound(f"Instance group {group_id} could not be found.", "server_group.not_found")


def create(
    store: Store, conf: cfg.ConfigOpts, project_id: str, user_id: str, name: str, policy: str, rules: JsonDict
) -> Group:
    """Make a group. :raises OverLimit: the project has as many as it may."""

    def work(session: Session) -> ServerGroup:
        try:
            most = quotas.limits(conf, session, project_id)
            quotas.take(session, project_id, {"server_groups": 1}, most)
        except OverLimit:
            raise OverLimit("Quota exceeded, too many server groups.", "quota.exceeded") from None
        row = ServerGroup(
            id=new_id(), project_id=project_id, user_id=user_id, name=name, policy=policy, rules=rules, generation=0
        )
        session.add(row)
        session.flush()
        return row

    made: ServerGroup = quotas.transact(store, work)
    return Group(made)


def get(store: Store, group_id: str, project_id: str | None) -> Group:
    """Return a group of *project_id* (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = _row(session, group_id, project_id)
        return Group(row, _members(session, [row.id]).get(row.id, ()))


def _row(session: Session, group_id: str, project_id: str | None) -> ServerGroup:
    row = session.get(ServerGroup, group_id)
    if row is None or project_id not in (None, row.project_id):
        raise not_found(group_id)
    return row


def find(
    store: Store, project_id: str | None, *, limit: int | None, offset: int, marker: str | None = None
) -> list[Group]:
    """List groups, oldest first, after *marker* and without the next *offset*. :raises Invalid: *marker* is no group."""
    query = select(ServerGroup)
    if project_id is not None:
        query = query.where(ServerGroup.project_id == project_id)
    keys = [paging.order(column, descending=False) for column in (ServerGroup.created_at, ServerGroup.id)]
    with store.read() as session:
        position = None
        if marker is not None:
            position = paging.position(session, keys, ServerGroup.id == marker)
            if position is None:
                raise Invalid(f"marker [{marker[:64]}] not found", "server_group.bad_marker")
        rows = session.scalars(paging.after(query, keys, position).offset(offset).limit(limit)).all()
        members = _members(session, [row.id for row in rows])
        return [Group(row, members.get(row.id, ())) for row in rows]


def _members(session: Session, group_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    query = (
        select(ServerGroupMember.group_id, Server.id)
        .join(Server, Server.id == ServerGroupMember.server_id)
        .where(ServerGroupMember.group_id.in_(group_ids), Server.deleted.is_(False))
        .order_by(Server.created_at, Server.id)
    )
    found: dict[str, list[str]] = {}
    for group_id, server_id in session.execute(query):
        found.setdefault(group_id, []).append(server_id)
    return {group_id: tuple(servers) for group_id, servers in found.items()}


def delete(store: Store, group_id: str, project_id: str | None) -> None:
    """Delete a group; its servers go on without it. :raises NotFound: there is none."""

    def work(session: Session) -> None:
        row = _row(session, group_id, project_id)
        quiet: dict[str, Any] = {"synchronize_session": False}
        # Locks the group before its members go, as whoever adds one does.
        _touch(session, group_id)
        session.execute(
            sql_delete(ServerGroupMember).where(ServerGroupMember.group_id == group_id).execution_options(**quiet)
        )
        gone: Any = session.execute(
            sql_delete(ServerGroup).where(ServerGroup.id == group_id).execution_options(**quiet)
        )
        if not gone.rowcount:
            raise not_found(group_id)
        quotas.give_back(session, row.project_id, {"server_groups": 1})

    store.transact(work)


# Made once: to make a statement anew takes longer than to run it.
_GROUP_OF = select(ServerGroupMember.__table__.c.group_id).where(
    ServerGroupMember.__table__.c.server_id == bindparam("of_server")
)


def of_server(session: Session, server_id: str) -> list[str]:
    """Return the ids of the groups that a server is in: one, or none."""
    return list(session.scalars(_GROUP_OF, {"of_server": server_id}))


def _touch(session: Session, group_id: str) -> bool:
    result: Any = session.execute(
        update(ServerGroup)
        .where(ServerGroup.id == group_id)
        .values(generation=ServerGroup.generation + 1)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)


def check_hint(session: Session, group_id: str, project_id: str | None) -> None:
    """Refuse a hint that names no group of the project. :raises Invalid: it does not."""
    try:
        _row(session, group_id, project_id)
    except NotFound as error:
        raise Invalid(error.message, error.code) from None


def add_members(
    session: Session, conf: cfg.ConfigOpts, project_id: str, group_id: str, server_ids: Sequence[str]
) -> None:
    """Put servers that are being made into a group; the group's row is locked, so no race passes the limit.

    :raises Invalid: the group has gone.
    :raises OverLimit: it would have more than it may.
    """
    if not _touch(session, group_id):
        raise Invalid(f"Instance group {group_id} could not be found.", "server_group.not_found")
    most = quotas.limits(conf, session, project_id)["server_group_members"]
    if 0 <= most < len(_members(session, [group_id]).get(group_id, ())) + len(server_ids):
        raise OverLimit("Quota exceeded, too many servers in group", "quota.exceeded")
    session.execute(insert(ServerGroupMember), [{"server_id": each, "group_id": group_id} for each in server_ids])


def neighbours(session: Session, server_id: str, hints: JsonDict) -> Neighbours:
    """Say what a server's group, and its hints ``same_host`` and ``different_host``, mean for where it may go."""
    forbidden = _hosts_of(session, hints.get("different_host"))
    same = _hosts_of(session, hints.get("same_host")) if hints.get("same_host") else None
    row = session.scalar(
        select(ServerGroup)
        .join(ServerGroupMember, ServerGroupMember.group_id == ServerGroup.id)
        .where(ServerGroupMember.server_id == server_id)
    )
    if row is None:
        return Neighbours(frozenset(forbidden), None if same is None else frozenset(same))
    counts = _counts(session, row.id, server_id)
    attraction = {SOFT_AFFINITY: 1, SOFT_ANTI_AFFINITY: -1}.get(row.policy, 0)
    if row.policy == ANTI_AFFINITY:
        most = int(row.rules.get(MOST_PER_HOST, 1))
        forbidden |= {host for host, count in counts.items() if count >= most}
    if row.policy == AFFINITY and counts:
        same = set(counts) if same is None else same & set(counts)
    return Neighbours(frozenset(forbidden), None if same is None else frozenset(same), counts, attraction)


def _counts(session: Session, group_id: str, but: str) -> dict[str, int]:
    query = (
        select(Server.host, func.count())
        .join(ServerGroupMember, ServerGroupMember.server_id == Server.id)
        .where(ServerGroupMember.group_id == group_id, Server.deleted.is_(False), Server.host.is_not(None))
        .where(Server.id != but)
        .group_by(Server.host)
    )
    return {str(host): count for host, count in session.execute(query)}


def _hosts_of(session: Session, named: Any) -> set[str]:
    ids: Iterable[str] = [named] if isinstance(named, str) else named or ()
    query = select(Server.host).where(Server.id.in_(list(ids)), Server.deleted.is_(False), Server.host.is_not(None))
    return {str(host) for host in session.scalars(query)}


def still_allows(session: Session, server_id: str, hints: JsonDict, host: str) -> bool:
    """Look again in the transaction that gives a server its host: the group's row is locked by now.

    Two schedulers that place two members at once are one after the other here, and the second sees the first's host.
    """
    group_id = session.scalar(select(ServerGroupMember.group_id).where(ServerGroupMember.server_id == server_id))
    if group_id is None:
        return True
    _touch(session, group_id)
    return neighbours(session, server_id, hints).allows(host)

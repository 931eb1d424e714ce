"""Forget what nobody asks for any more: servers deleted long ago with all that is kept of them, operations that ended long ago.

Batch by batch, each a small transaction of its own, so that it is in nobody's way; any number of processes may do it at once.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import delete, exists, func, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Migration, Operation, Server, ServerGroupMember
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.db.types import now

BATCH = 100
"""Servers, with their operations, or operations in one transaction: a few milliseconds of SQLite's one writer."""


@dataclass(frozen=True)
class Limits:
    """What is old: deleted, respectively ended, before that moment (naive UTC). None: nothing ever is."""

    deleted: datetime.datetime | None
    ended: datetime.datetime | None


@dataclass(frozen=True)
class Purged:
    """How many rows of each went."""

    servers: int = 0
    operations: int = 0


def limits(conf: cfg.ConfigOpts) -> Limits:
    """Return what ``[database] keep_deleted_days`` and ``keep_operations_days`` say now; 0 days: kept for good."""
    return Limits(_before(conf.database.keep_deleted_days), _before(conf.database.keep_operations_days))


def _before(days: int) -> datetime.datetime | None:
    return now() - datetime.timedelta(days=days) if days > 0 else None


def purge(store: Store, old: Limits, *, most: int | None = None) -> Purged:
    """Remove what is *old*, at most about *most* servers and as many operations (None: all); return how many went.

    A deleted server takes with it its operations, its migrations and its place in a group. An operation that has not
    ended is never removed, nor a server that has one.
    """
    servers = _rounds(store, _purge_servers, old.deleted, most)
    return Purged(servers, _rounds(store, _purge_operations, old.ended, most))


def count(store: Store, old: Limits) -> Purged:
    """Return what :func:`purge` would remove; like there, the operations that go with their servers are not counted."""
    with store.read() as session:
        servers = 0 if old.deleted is None else session.scalar(_counted(_old_servers(old.deleted))) or 0
        operations = 0
        if old.ended is not None:
            query = _old_operations(old.ended)
            if old.deleted is not None:
                query = query.where(Operation.target_id.not_in(_old_servers(old.deleted)))
            operations = session.scalar(_counted(query)) or 0
    return Purged(servers, operations)


def _counted(query: Any) -> Any:
    return select(func.count()).select_from(query.subquery())


def _rounds(
    store: Store,
    work: Callable[[Session, datetime.datetime], int],
    before: datetime.datetime | None,
    most: int | None,
) -> int:
    if before is None:
        return 0
    moment, done = before, 0
    while most is None or done < most:
        went = store.transact(lambda session: work(session, moment))
        done += went
        if went < BATCH:
            break
    return done


def _old_servers(before: datetime.datetime) -> Any:
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == Server.id, Operation.state.in_(UNFINISHED)
    )
    return select(Server.id).where(Server.deleted.is_(True), Server.deleted_at < before, ~busy)


def _old_operations(before: datetime.datetime) -> Any:
    return select(Operation.id).where(Operation.finished_at < before, Operation.state.not_in(UNFINISHED))


def _purge_servers(session: Session, before: datetime.datetime) -> int:
    # Another process that purges has its own batch: neither waits for the other.
    oldest = _old_servers(before).order_by(Server.deleted_at).limit(BATCH).with_for_update(skip_locked=True)
    servers = list(session.scalars(oldest))
    if not servers:
        return 0
    _run(session, delete(ServerGroupMember).where(ServerGroupMember.server_id.in_(servers)))
    _run(session, delete(Migration).where(Migration.server_id.in_(servers)))
    _run(session, delete(Operation).where(Operation.target_type == "server", Operation.target_id.in_(servers)))
    return _run(session, delete(Server).where(Server.id.in_(servers)))


def _purge_operations(session: Session, before: datetime.datetime) -> int:
    oldest = _old_operations(before).order_by(Operation.finished_at).limit(BATCH).with_for_update(skip_locked=True)
    operations = list(session.scalars(oldest))
    return _run(session, delete(Operation).where(Operation.id.in_(operations))) if operations else 0


def _run(session: Session, statement: Any) -> int:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount

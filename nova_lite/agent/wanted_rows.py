"""Read the servers of a host as reconcile compares them, and change one only if it still is as it was when that was decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.agent.reconcile import Wanted
from nova_lite.db.models import Allocation, Operation, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.virt.driver import Observed

_MOST_IDS = 500
"""In one query."""


def of_host(store: Store, host: str) -> list[Wanted]:
    """Read the rows of all servers that are on *host*."""
    return _read(store, host, (Server.host == host, Server.deleted.is_(False)))


def among(store: Store, host: str, ids: Sequence[str]) -> list[Wanted]:
    """Read the rows of those of *ids* that are servers on *host*."""
    found: list[Wanted] = []
    for start in range(0, len(ids), _MOST_IDS):
        here = (Server.host == host, Server.deleted.is_(False))
        found += _read(store, host, (Server.id.in_(ids[start : start + _MOST_IDS]), *here))
    return found


def others(store: Store, host: str, observed: Collection[Observed], known: Collection[str]) -> list[Wanted]:
    """Read the rows of guests that were seen on *host* and are not wanted there.

    A server that came to this host after the first look is left out by being called busy.
    """
    seen = [guest.server_id for guest in observed if guest.server_id and guest.server_id not in known]
    found: list[Wanted] = []
    for start in range(0, len(seen), _MOST_IDS):
        found += _read(store, host, (Server.id.in_(seen[start : start + _MOST_IDS]),), late=True)
    return found


def _read(store: Store, host: str, condition: tuple[Any, ...], *, late: bool = False) -> list[Wanted]:
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == Server.id, Operation.state.in_(UNFINISHED)
    )
    claimed = exists().where(Allocation.server_id == Server.id)
    query = select(
        Server.id,
        Server.vm_state,
        Server.task_state,
        Server.power_state,
        Server.generation,
        Server.deleted,
        Server.host,
        Server.launched_at,
        busy.label("busy"),
        claimed.label("claimed"),
    ).where(*condition)
    with store.read() as session:
        found = session.execute(query).all()
    return [
        Wanted(
            server_id=row.id,
            vm_state=row.vm_state,
            task_state=row.task_state,
            power_state=row.power_state,
            generation=row.generation,
            busy=bool(row.busy) or (late and not row.deleted and row.host == host),
            deleted=row.deleted,
            elsewhere=row.host != host,
            built=row.launched_at is not None,
            claimed=bool(row.claimed),
        )
        for row in found
    ]


def swap(session: Session, row: Wanted, values: dict[str, Any]) -> bool:
    """Change a server's row if it is still as it was decided on and nobody has asked for anything; tell whether it was."""
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == row.server_id, Operation.state.in_(UNFINISHED)
    )
    task = Server.task_state.is_(None) if row.task_state is None else Server.task_state == row.task_state
    result = session.execute(
        update(Server)
        .where(
            Server.id == row.server_id,
            Server.deleted.is_(False),
            Server.generation == row.generation,
            Server.vm_state == row.vm_state,
            task,
            ~busy,
        )
        .values(generation=Server.generation + 1, updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return bool(result.rowcount)

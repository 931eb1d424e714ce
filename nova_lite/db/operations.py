"""The durable queue's verbs: submit, take, renew, ask to stop; and those of a held operation (step, finish, retry).

A message is only a hint that there is something here. A worker takes an operation by compare-and-swap,
holds it by a lease that it renews, and finishes it in the same transaction that sets its target's state.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Double, Integer, and_, bindparam, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from nova_lite.db.held_operations import (
    LEASE_S,
    Work,
    count,
    finish,
    hand_over,
    is_asked_to_stop,
    note_step,
    record_step,
    retry_later,
    untake,
)
from nova_lite.db.models import Operation
from nova_lite.db.store import Store
from nova_lite.db.turns import Turns
from nova_lite.db.types import JsonDict, epoch, now

__all__ = [
    "LEASE_S",
    "Caller",
    "Work",
    "ask_to_stop",
    "finish",
    "hand_over",
    "is_asked_to_stop",
    "new_owner",
    "note_step",
    "overdue",
    "overdue_turns",
    "record_step",
    "release_queue",
    "renew",
    "retry_later",
    "seize",
    "submit",
    "submit_many",
    "take",
    "untake",
]

OVERTIME_S = 120.0
"""How long a worker that came to an operation late may work on it beyond its deadline."""

LOOKS = 8
"""How often one who takes operations looks again because others won what it saw."""

UNFINISHED = ("pending", "running")


@dataclass(frozen=True)
class Caller:
    """Who asked, as an operation remembers it."""

    request_id: str
    project_id: str | None
    user_id: str | None


def submit(
    session: Session,
    caller: Caller,
    *,
    action: str,
    target_type: str,
    target_id: str,
    queue: str,
    host: str | None = None,
    arguments: JsonDict | None = None,
    deadline_s: float,
) -> Operation:
    """Add an operation in the caller's transaction; it exists when that commits. *deadline_s*: from now."""
    operation = Operation(
        request_id=caller.request_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        action=action,
        target_type=target_type,
        target_id=target_id,
        arguments=arguments or {},
        queue=queue,
        host=host,
        state="pending",
        deadline=epoch() + deadline_s,
    )
    session.add(operation)
    session.flush()
    return operation


def submit_many(
    session: Session,
    caller: Caller,
    *,
    action: str,
    target_type: str,
    target_ids: Sequence[str],
    queue: str,
    arguments: JsonDict | None = None,
    deadline_s: float,
) -> None:
    """Add the same operation for each of *target_ids*, in one statement; see :func:`submit`."""
    common = {
        "request_id": caller.request_id,
        "project_id": caller.project_id,
        "user_id": caller.user_id,
        "action": action,
        "target_type": target_type,
        "arguments": arguments or {},
        "queue": queue,
        "state": "pending",
        "deadline": epoch() + deadline_s,
    }
    session.execute(_INSERT, [{**common, "target_id": target_id} for target_id in target_ids])


def take(store: Store, queue: str, owner: str, *, host: str | None = None, limit: int = 8) -> list[Work]:
    """Take up to *limit* operations of *queue* (of *host*, for agents) for *owner*, oldest first.

    Takes what is pending and due, and what is running under a lease that ran out. Never takes an operation while
    an earlier one of the same target is unfinished. Returns what was won, as other workers may win some; fewer than *limit*
    means that there was no more (or that others won all that this one looked at, ``LOOKS`` times in a row).
    """
    won: list[Work] = []
    for _ in range(LOOKS):
        most = limit - len(won)
        values: dict[str, Any] = {"of_queue": queue, "of_host": host, "moment": epoch(), "most": most}
        with store.read() as session:
            candidates = list(session.execute(_DUE if host is None else _DUE_OF_HOST, values))
        if candidates:
            won += store.transact(partial(_win, candidates=candidates, owner=owner))
        if len(candidates) < most or len(won) == limit:
            break
    return won


# Statements of the hot path are made once, over tables rather than entities: to make one anew takes longer than to run it.
_ROWS: Any = Operation.__table__
_INSERT = insert(_ROWS)


def _due(*conditions: Any) -> Any:
    earlier = _ROWS.alias()
    moment = bindparam("moment", type_=Double)
    ready = or_(
        and_(_ROWS.c.state == "pending", _ROWS.c.not_before <= moment),
        and_(_ROWS.c.state == "running", _ROWS.c.lease_until < moment),
    )
    return (
        select(_ROWS)
        .where(_ROWS.c.queue == bindparam("of_queue"), _ROWS.c.state.in_(UNFINISHED), ready, *conditions)
        .where(
            ~exists().where(
                earlier.c.target_type == _ROWS.c.target_type,
                earlier.c.target_id == _ROWS.c.target_id,
                earlier.c.id < _ROWS.c.id,
                earlier.c.state.in_(UNFINISHED),
            )
        )
        .order_by(_ROWS.c.id)
        .limit(bindparam("most", type_=Integer))
    )


_DUE = _due()
_DUE_OF_HOST = _due(_ROWS.c.host == bindparam("of_host"))
_TAKE = (
    update(_ROWS)
    .where(
        _ROWS.c.id == bindparam("seen_id"),
        _ROWS.c.state == bindparam("seen_state"),
        _ROWS.c.lease_until == bindparam("seen_lease"),
        # What was taken, handed over to another queue or put back meanwhile is pending again too.
        _ROWS.c.queue == bindparam("seen_queue"),
        _ROWS.c.attempt == bindparam("seen_attempt"),
    )
    .values(
        state="running",
        owner=bindparam("taker"),
        lease_until=bindparam("lease"),
        attempt=_ROWS.c.attempt + 1,
        started_at=bindparam("moment"),
        updated_at=bindparam("moment"),
    )
)
_OF_TARGET = (_ROWS.c.target_type == bindparam("of_type"), _ROWS.c.target_id == bindparam("of_id"))
_CANCEL_PENDING = (
    update(_ROWS)
    .where(*_OF_TARGET, _ROWS.c.state == "pending")
    .values(state="cancelled", finished_at=bindparam("moment"), updated_at=bindparam("moment"))
)
_ASK_RUNNING = (
    update(_ROWS)
    .where(*_OF_TARGET, _ROWS.c.state == "running")
    .values(cancel_requested=True, updated_at=bindparam("moment"))
)


def _win(session: Session, candidates: Sequence[Any], owner: str) -> list[Work]:
    won: list[Work] = []
    for seen in candidates:
        values = {
            "seen_id": seen.id,
            "seen_state": seen.state,
            "seen_lease": seen.lease_until,
            "seen_queue": seen.queue,
            "seen_attempt": seen.attempt,
            "taker": owner,
            "lease": epoch() + LEASE_S,
            "moment": now(),
        }
        if count(session.execute(_TAKE, values)):
            won.append(_work(seen, owner))
    return won


def _work(row: Any, owner: str) -> Work:
    return Work(
        id=row.id,
        request_id=row.request_id,
        project_id=row.project_id,
        user_id=row.user_id,
        action=row.action,
        target_type=row.target_type,
        target_id=row.target_id,
        arguments=dict(row.arguments),
        queue=row.queue,
        host=row.host,
        attempt=row.attempt + 1,
        owner=owner,
        deadline=row.deadline,
        events=tuple(row.events or ()),
        step=row.step,
    )


def renew(store: Store, owner: str) -> int:
    """Prolong every lease of *owner*; return how many operations it still holds.

    One that is past its deadline and was begun long ago is not prolonged: its worker hangs, and the sweeper is to end it.
    """
    recently = now() - datetime.timedelta(seconds=OVERTIME_S)
    return store.transact(
        lambda session: count(
            session.execute(
                update(Operation)
                .where(Operation.owner == owner, Operation.state == "running")
                .where(or_(Operation.deadline > epoch(), Operation.started_at > recently))
                .values(lease_until=epoch() + LEASE_S)
                .execution_options(synchronize_session=False)
            )
        )
    )


def release_queue(store: Store, queue: str, host: str | None = None) -> int:
    """End the leases of a worker that is known to be dead, so that its work may be taken at once.

    For an agent that starts (a lock file on its state directory says that it is the only one of its host) and for
    the embedded mode. Returns how many operations were given back.
    """
    condition = [Operation.queue == queue, Operation.state == "running"]
    if host is not None:
        condition.append(Operation.host == host)
    return store.transact(
        lambda session: count(
            session.execute(
                update(Operation)
                .where(*condition)
                .values(state="pending", owner=None, lease_until=0.0)
                .execution_options(synchronize_session=False)
            )
        )
    )


def ask_to_stop(session: Session, target_type: str, target_id: str) -> None:
    """Ask every unfinished operation of a target to stop at its next step; pending ones end ``cancelled`` at once.

    A pending operation has no owner, so nothing can be under way for it.
    """
    values = {"of_type": target_type, "of_id": target_id, "moment": now()}
    session.execute(_CANCEL_PENDING, values)
    session.execute(_ASK_RUNNING, values)


def overdue(session: Session, turns: Turns, limit: int = 100) -> list[Operation]:
    """List unfinished operations past their deadline whose lease has run out too: nobody is at work on them.

    :param turns: of :func:`overdue_turns`: where the caller's last round has stopped.
    """
    moment = epoch()
    late = select(Operation).where(
        Operation.state.in_(UNFINISHED), Operation.deadline < moment, Operation.lease_until < moment
    )
    return turns.next(session, late, limit)


def overdue_turns() -> Turns:
    """Begin at the oldest operation, for the first of a sweeper's rounds."""
    return Turns(Operation.id)


def seize(session: Session, operation: Operation, owner: str) -> Work | None:
    """Take one unfinished operation that nobody is at work on, as :func:`overdue` listed it; None: it has changed since.

    In the caller's transaction, so that it ends there or is as before.
    """
    won = _win(session, [operation], owner)
    return won[0] if won else None


def new_owner(name: str) -> str:
    """Make the name of a worker's one life: *name* and a random part, so that a restart is somebody else."""
    return f"{name}:{uuid.uuid4().hex[:12]}"

"""What the worker that holds an operation does to it: step, hand over, put back, end.

Each verb asks first whether it is still held: a worker whose lease ran out, and whose operation somebody else has by now, has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Operation
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, epoch, now
from nova_lite.errors import StaleState

LEASE_S = 30.0
"""How long a taken operation is its owner's without a sign of life."""


@dataclass(frozen=True)
class Work:
    """An operation that this worker holds: a copy of the row as it was when it was taken."""

    id: int
    request_id: str
    project_id: str | None
    user_id: str | None
    action: str
    target_type: str
    target_id: str
    arguments: JsonDict
    queue: str
    host: str | None
    attempt: int
    owner: str
    deadline: float
    events: tuple[JsonDict, ...] = ()
    """The steps that earlier attempts wrote down."""
    step: str | None = None
    """The last step that an earlier attempt noted before it began; None: none came so far."""


# Made once, over the table rather than the entity: to make a statement anew takes longer than to run it.
_ROWS: Any = Operation.__table__
_HELD = (_ROWS.c.id == bindparam("work"), _ROWS.c.owner == bindparam("holder"), _ROWS.c.state == "running")
_NOTE = (
    update(_ROWS)
    .where(*_HELD, _ROWS.c.cancel_requested.is_(False))
    .values(step=bindparam("name"), lease_until=bindparam("lease"), updated_at=bindparam("moment"))
)
_IS_HELD = select(_ROWS.c.id).where(*_HELD)
_ASKED = select(_ROWS.c.cancel_requested).where(*_HELD)


def note_step(store: Store, work: Work, step: str) -> bool:
    """Record that *work* is about to do *step*, renew its lease, and return whether it was asked to stop.

    :raises StaleState: somebody else took the operation; the worker must let go without another effect.
    """
    return store.transact(lambda session: record_step(session, work, step))


def record_step(session: Session, work: Work, step: str) -> bool:
    """Do what :func:`note_step` does in the caller's transaction, for a step that also shows in its target's state."""
    held = {"work": work.id, "holder": work.owner}
    noted = session.execute(_NOTE, {**held, "name": step, "lease": epoch() + LEASE_S, "moment": now()})
    if count(noted):
        return False
    if session.scalar(_IS_HELD, held) is None:
        raise StaleState(f"operation {work.id} is no longer held by {work.owner}")
    return True


def is_asked_to_stop(store: Store, work: Work) -> bool:
    """Tell whether a later operation asked *work* to stop. :raises StaleState: it is not held any more."""
    with store.read() as session:
        asked = session.scalar(_ASKED, {"work": work.id, "holder": work.owner})
    if asked is None:
        raise StaleState(f"operation {work.id} is no longer held by {work.owner}")
    return bool(asked)


def hand_over(
    session: Session, work: Work, *, queue: str, host: str | None, events: list[JsonDict] | None = None
) -> None:
    """Pass a held operation to another queue (the scheduler to the chosen host's agent), with the steps so far.

    :raises StaleState: the operation is not held any more.
    """
    extra: dict[str, Any] = {} if events is None else {"events": events}
    _own(session, work, state="pending", queue=queue, host=host, owner=None, lease_until=0.0, attempt=0, **extra)


def retry_later(session: Session, work: Work, delay_s: float, error: str, events: list[JsonDict] | None = None) -> None:
    """Put a held operation back for another attempt after *delay_s* seconds.

    :raises StaleState: the operation is not held any more.
    """
    values: dict[str, Any] = {"not_before": epoch() + delay_s, "error": error}
    if events is not None:
        values["events"] = events
    _own(session, work, state="pending", owner=None, lease_until=0.0, **values)


def untake(session: Session, work: Work, delay_s: float, reason: str) -> None:
    """Put an operation back, for at least *delay_s* seconds, that was taken and not begun: that was no attempt.

    :raises StaleState: the operation is not held any more.
    """
    again = {"attempt": work.attempt - 1, "not_before": epoch() + delay_s}
    _own(session, work, state="pending", owner=None, lease_until=0.0, error=reason, **again)


def finish(
    session: Session, work: Work, state: str, error: str | None = None, events: list[JsonDict] | None = None
) -> None:
    """End a held operation as ``done``, ``failed`` or ``cancelled``, in the transaction that sets its target's state.

    *events*: its steps, if they are known. :raises StaleState: the operation is not held any more; the transaction must
    not commit.
    """
    values: dict[str, Any] = {"finished_at": now(), "error": error}
    if events is not None:
        values["events"] = events
    _own(session, work, state=state, owner=None, lease_until=0.0, **values)


def _own(session: Session, work: Work, **values: Any) -> None:
    statement = _END.get(frozenset(values))
    if statement is None:
        # Few sets of columns are ever set together; bounded by the verbs above.
        columns = {name: bindparam(f"new_{name}", type_=_ROWS.c[name].type) for name in (*values, "updated_at")}
        statement = _END[frozenset(values)] = update(_ROWS).where(*_HELD).values(columns)
    new = {f"new_{name}": value for name, value in values.items()}
    held = {"work": work.id, "holder": work.owner, "new_updated_at": now()}
    if not count(session.execute(statement, {**held, **new})):
        raise StaleState(f"operation {work.id} is no longer held by {work.owner}")


_END: dict[frozenset[str], Any] = {}


def count(result: Any) -> int:
    """Return how many rows a statement changed."""
    assert isinstance(result, CursorResult)
    return result.rowcount

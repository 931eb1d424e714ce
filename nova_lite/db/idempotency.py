"""The verbs of kept answers: claim a key, end it with its answer, let it go, forget the old ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import IdempotencyKey
from nova_lite.db.store import Store
from nova_lite.db.types import epoch
from nova_lite.errors import StaleState

LEASE_S = 120.0
"""How long a request holds its key without an end; longer than any handler takes, it bounds what a death costs."""

_PURGED_AT_ONCE = 1000


@dataclass(frozen=True)
class Mine:
    """The key is this request's: it may do the work."""

    key: str
    owner: str


@dataclass(frozen=True)
class UnderWay:
    """Another request holds the key, for *wait_s* seconds at most."""

    wait_s: float


@dataclass(frozen=True)
class Kept:
    """The work was done; *answer* is sealed, None if it was too long to keep."""

    status: int
    answer: str | None


@dataclass(frozen=True)
class Differs:
    """The key was used for something else."""


Claim = Mine | UnderWay | Kept | Differs


def claim(store: Store, key: str, body_hash: str, lifetime_s: float) -> Claim:
    """Take *key* for one request, or tell why it is not to be had.

    A holder that died is followed once its lease has run out: its transaction can't commit any more, as :func:`end`
    asks whether the key is still its own.
    """
    owner = uuid.uuid4().hex

    def work(session: Session) -> Claim:
        moment = epoch()
        row = session.scalar(select(IdempotencyKey).where(IdempotencyKey.id == key).with_for_update())
        if row is not None and row.expires_at > moment:
            if row.body_hash != body_hash:
                return Differs()
            if row.state == "done":
                return Kept(row.status or 200, row.answer)
            if row.lease_until > moment:
                return UnderWay(row.lease_until - moment)
        if row is None:
            row = IdempotencyKey(id=key, created_at=moment)
            session.add(row)
        row.body_hash, row.state, row.owner, row.status, row.answer = body_hash, "working", owner, None, None
        row.lease_until, row.expires_at = moment + LEASE_S, moment + lifetime_s
        session.flush()
        return Mine(key, owner)

    try:
        return store.transact(work)
    except IntegrityError:
        # Another request made the row between our look and our insert; now it is there to be looked at.
        return store.transact(work)


def end(session: Session, mine: Mine, status: int, answer: str | None, lifetime_s: float) -> None:
    """Keep the answer, in the transaction that does the work.

    :raises StaleState: the key is not this request's any more; the transaction must not commit.
    """
    values = {"state": "done", "status": status, "answer": answer, "expires_at": epoch() + lifetime_s}
    result = session.execute(update(IdempotencyKey).where(*_held(mine)).values(values))
    assert isinstance(result, CursorResult)
    if not result.rowcount:
        raise StaleState("The request took so long that its Idempotency-Key was given to another; nothing was changed.")


def release(store: Store, mine: Mine) -> None:
    """Let the key go, as nothing was done under it; a key that was ended meanwhile stays."""
    store.transact(lambda session: session.execute(delete(IdempotencyKey).where(*_held(mine))))


def release_all(store: Store) -> int:
    """Let go of every key whose holder is known to be dead, as all are when the one process that there is starts; return how many.

    A holder that lives after all does no harm: its transaction does not commit, as :func:`end` asks whether the key is still its own.
    """
    result = store.transact(
        lambda session: session.execute(delete(IdempotencyKey).where(IdempotencyKey.state == "working"))
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def purge(store: Store) -> int:
    """Forget what has expired, a bounded number at once; return how many."""

    def work(session: Session) -> int:
        old = select(IdempotencyKey.id).where(IdempotencyKey.expires_at < epoch()).limit(_PURGED_AT_ONCE)
        keys = list(session.scalars(old))
        if keys:
            # Looked at again in the statement: one of them may have been taken anew meanwhile.
            session.execute(
                delete(IdempotencyKey).where(IdempotencyKey.id.in_(keys), IdempotencyKey.expires_at < epoch())
            )
        return len(keys)

    return store.transact(work)


def _held(mine: Mine) -> tuple[Any, ...]:
    return (
        IdempotencyKey.id == mine.key,
        IdempotencyKey.owner == mine.owner,
        IdempotencyKey.state == "working",
    )

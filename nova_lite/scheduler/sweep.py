"""End what nobody is at work on and whose time is over: a host that died, a worker that never came.

Every end is a compare-and-swap in one transaction, so schedulers side by side end each operation once.
"""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from nova_lite.compute import left_overs, lifecycle, undoing
from nova_lite.compute.transitions import TRANSITIONS
from nova_lite.db import operations
from nova_lite.db.models import Host, Operation
from nova_lite.db.operations import Work
from nova_lite.db.store import Store
from nova_lite.db.turns import Turns
from nova_lite.db.types import epoch
from nova_lite.errors import StaleState, Unavailable

LOG = logging.getLogger(__name__)

MOST = 100
"""Tried in one round; what is left has its turn in the next, also where none of these can be ended."""


def sweep(store: Store, owner: str, down_after: float, turns: Turns | None = None) -> int:
    """End what is overdue, ``MOST`` operations at most; return how many this call ended.

    :param turns: where this sweeper's last round has stopped, moved on by this one; None: a round by itself, which begins at the oldest.

    A create or another action ends with a fault, and what it may have begun is undone by its host's agent. A delete whose host is down ends well: its server is gone for its
    user, and when the host is back, its agent removes what is left there.
    """
    turns = turns or operations.overdue_turns()
    with store.read() as session:
        late = operations.overdue(session, turns, MOST)
    ended = 0
    for row in late:
        turns.had(row.id)
        try:
            ended += store.transact(partial(_end, row=row, owner=owner, down_after=down_after))
        except StaleState:
            continue
        except (OperationalError, InterfaceError, Unavailable):
            raise  # the database is away: no other would fare better
        except Exception:
            # One that can't be ended must not keep all others unfinished, now and each time.
            LOG.exception("operation=%d event=not-ended", row.id)
    return ended


def _end(session: Session, row: Operation, owner: str, down_after: float) -> bool:
    work = operations.seize(session, row, owner)
    if work is None:
        return False
    if work.action in undoing.ASIDE:
        undoing.overdue(session, work, host_is_up=_is_up(session, work.host, down_after))
    elif work.target_type != "server" or work.action not in TRANSITIONS:
        operations.finish(session, work, "failed", "It was not done in time.")
    elif work.action == "delete" and not _is_up(session, work.host, down_after):
        lifecycle.end_deleted(session, work.target_id)
        if work.host is not None:
            left_overs.remember(session, work.target_id, work.host)
        operations.finish(session, work, "done", f"Host {work.host} is down; it cleans up when it is back.")
    else:
        lifecycle.fail(session, work, _sentence(session, work, down_after), unsure=True)
        undoing.follow(session, work)
    LOG.warning(
        "server=%s action=%s event=overdue host=%s operation=%d", work.target_id, work.action, work.host, work.id
    )
    return True


def _is_up(session: Session, name: str | None, down_after: float) -> bool:
    row = session.execute(select(Host.last_seen, Host.forced_down).where(Host.name == name)).first()
    return row is not None and not row.forced_down and epoch() - row.last_seen <= down_after


def _sentence(session: Session, work: Work, down_after: float) -> str:
    if work.host is None:
        return f"The {work.action} was not begun in time: no scheduler took it."
    state = "is up but did not end it" if _is_up(session, work.host, down_after) else "is down"
    return f"The {work.action} was not done in time: host {work.host} {state}."

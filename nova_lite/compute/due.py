"""What nobody asks for and is due all the same: ends of soft deletes, resizes that nobody confirmed, shelved servers' hosts.

Each begins by the table of transitions in a transaction of its own, so sweepers side by side begin it once.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, new_id, now
from nova_lite.errors import Conflict, NotFound

LOG = logging.getLogger(__name__)

MOST = 100
"""Begun of each kind in one round; what is left waits for the next."""


def begin_due(store: Store, options: Any) -> set[str]:
    """Begin what is due by *options* (``[compute]``); return the hosts whose agents have work now."""
    woken: set[str] = set()
    # What is off was perhaps on when the server got into its state: with reclaiming off, a restart takes it back.
    reclaimed = options.reclaim_instance_interval
    woken |= _begin(store, VmState.SOFT_DELETED, "delete", lambda server: _is_reclaimed(server, reclaimed))
    for state, action, stamp, window, unless in (
        # One whose revert has failed is refused; begun in vain each time, a hundred of them would take all others' turn.
        (VmState.RESIZED, "confirmResize", "resized_at", options.resize_confirm_window, "reverting"),
        (VmState.SHELVED, "shelveOffload", "shelved_at", options.shelved_offload_time, None),
    ):
        if window >= 0:
            woken |= _begin(store, state, action, _since(stamp, window, unless))
    return woken


def _is_reclaimed(server: Server, interval: int) -> bool:
    limit = datetime.timedelta(seconds=interval)
    return server.deleted_at is not None and server.deleted_at + limit <= now()


def _since(stamp: str, window: float, unless: str | None) -> Callable[[Server], bool]:
    def is_due(server: Server) -> bool:
        kept = server.system_metadata or {}
        begun = kept.get(stamp)
        return begun is not None and not (unless and kept.get(unless)) and float(begun) + window <= epoch()

    return is_due


def _begin(store: Store, state: VmState, action: str, is_due: Callable[[Server], bool]) -> set[str]:
    waiting = select(Server).where(
        Server.vm_state == state.value, Server.task_state.is_(None), Server.deleted.is_(False)
    )
    with store.read() as session:
        found = [server.id for server in session.scalars(waiting.order_by(Server.updated_at)) if is_due(server)]
    woken: set[str] = set()
    for server_id in found[:MOST]:
        host = _begin_one(store, server_id, action, is_due)
        if host is not None:
            woken.add(host)
    return woken


def _begin_one(store: Store, server_id: str, action: str, is_due: Callable[[Server], bool]) -> str | None:
    def work(session: Session) -> str | None:
        server = session.scalar(select(Server).where(Server.id == server_id).with_for_update())
        if server is None or server.deleted or server.task_state is not None or not is_due(server):
            return None
        caller = Caller(f"req-{new_id()}", server.project_id, server.user_id)
        operation = lifecycle.begin(session, caller, server, action)
        return None if operation is None else server.host

    try:
        host = store.transact(work)
    except (Conflict, NotFound):
        return None  # its user was first
    LOG.info("server=%s action=%s event=due", server_id, action)
    return host

"""What nobody asks for and is due all the same: ends of soft deletes, resizes that nobody confirmed, shelved servers' hosts.

Each begins by the table of transitions in a transaction of its own, so sweepers side by side begin it once.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.turns import Turns
from nova_lite.db.types import epoch, new_id, now
from nova_lite.errors import Conflict, NotFound, Unavailable

LOG = logging.getLogger(__name__)

MOST = 100
"""Tried of each kind in one round; what is left has its turn in the next."""

_LONGEST_S = 100 * 365 * 86_400
"""No server was deleted longer ago, and no date is much earlier."""


@dataclass(frozen=True)
class _Kind:
    """Servers to which *action* is due: *which* says so of a row, in SQL that SQLite, PostgreSQL and MariaDB understand."""

    action: str
    which: tuple[Any, ...]


class Due:
    """Begins what is due, round by round; any number of them may run on one database.

    :param options: ``[compute]``, read anew in each round.
    """

    def __init__(self, store: Store, options: Any) -> None:
        self._store = store
        self._options = options
        self._turns: dict[str, Turns] = {}

    def begin(self) -> set[str]:
        """Begin at most ``MOST`` of each kind; return the hosts whose agents have work now."""
        woken: set[str] = set()
        for kind in _kinds(self._options):
            turns = self._turns.setdefault(kind.action, Turns(Server.id))
            with self._store.read() as session:
                found = turns.next(session, select(Server.id).where(*kind.which), MOST)
            for server_id in found:
                turns.had(server_id)
                host = self._begin_one(server_id, kind)
                if host is not None:
                    woken.add(host)
        return woken

    def _begin_one(self, server_id: str, kind: _Kind) -> str | None:
        def work(session: Session) -> str | None:
            server = session.scalar(select(Server).where(Server.id == server_id, *kind.which).with_for_update())
            if server is None:
                return None
            caller = Caller(f"req-{new_id()}", server.project_id, server.user_id)
            operation = lifecycle.begin(session, caller, server, kind.action)
            return None if operation is None else server.host

        try:
            host = self._store.transact(work)
        except (Conflict, NotFound):
            return None  # its user was first, or it is refused
        except (OperationalError, InterfaceError, Unavailable):
            raise  # the database is away: no other would fare better
        except Exception:
            # One that can't be begun must not keep all others waiting, now and each time.
            LOG.exception("server=%s action=%s event=not-begun", server_id, kind.action)
            return None
        LOG.info("server=%s action=%s event=due", server_id, kind.action)
        return host


def _kinds(options: Any) -> Iterator[_Kind]:
    # What is off was perhaps on when the server got into its state: with reclaiming off, a restart takes it back.
    kept = datetime.timedelta(seconds=min(options.reclaim_instance_interval, _LONGEST_S))
    yield _Kind("delete", (*_rest_in(VmState.SOFT_DELETED), Server.deleted_at <= now() - kept))
    if options.resize_confirm_window >= 0:
        # One whose revert has failed is refused.
        reverts = Server.system_metadata["reverting"].as_string().is_not(None)
        since = _since("resized_at", options.resize_confirm_window)
        yield _Kind("confirmResize", (*_rest_in(VmState.RESIZED), since, ~reverts))
    if options.shelved_offload_time >= 0:
        yield _Kind("shelveOffload", (*_rest_in(VmState.SHELVED), _since("shelved_at", options.shelved_offload_time)))


def _rest_in(state: VmState) -> tuple[Any, ...]:
    return Server.vm_state == state.value, Server.task_state.is_(None), Server.deleted.is_(False)


def _since(stamp: str, window: float) -> Any:
    """Say that *stamp*, epoch seconds in ``system_metadata``, is *window* seconds ago; one that is not there is none."""
    return Server.system_metadata[stamp].as_float() <= epoch() - window

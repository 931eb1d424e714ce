"""Change a password inside a guest: asked of its agent at once, since a password is never written down."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle, servers
from nova_lite.db import operations
from nova_lite.db.operations import Caller, Work
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, NovaLiteError, StaleState

QUEUE = "api"
"""A queue that no worker takes from: whoever begins is at work already, and if it dies the sweeper ends it."""


def change(store: Store, caller: Caller, server_id: str, *, override_lock: bool, tell: Callable[[str], object]) -> None:
    """Have *tell(host)* set the password, and keep what became of it in the server's history.

    :raises Conflict: the server's state does not allow it, it is locked, or the guest can't.
    """

    def begin(session: Session) -> Work:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        if server.host is None:
            raise Conflict(f"Instance {server_id} is not ready", "server.not_ready")
        operation = lifecycle.begin(session, caller, server, "changePassword", queue=QUEUE)
        assert operation is not None
        work = operations.seize(session, operation, operations.new_owner("api"))
        assert work is not None
        return work

    work = store.transact(begin)
    try:
        tell(str(work.host))
    except NovaLiteError as error:
        message = error.message
        _end(store, lambda session: lifecycle.fail(session, work, message, code=409))
        raise Conflict(message, "server.password_not_set") from error
    except BaseException:
        _end(store, lambda session: lifecycle.fail(session, work, "The password could not be set."))
        raise
    _end(store, lambda session: lifecycle.complete(session, work))


def _end(store: Store, end: Callable[[Session], None]) -> None:
    try:
        store.transact(end)
    except StaleState:
        return  # a delete was asked for, or the sweeper was first

"""Locks: a locked server takes no action of anybody but admins."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle, servers
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import now

OWNER, ADMIN = "owner", "admin"


def lock(store: Store, caller: Caller, server_id: str, by: str, reason: str | None) -> None:
    """Lock a server; *by* is ``owner`` or ``admin``. One that is locked gets the new reason.

    What an admin has locked stays an admin's lock. :raises NotFound: the server is gone.
    """

    def work(session: Session) -> None:
        server = servers.to_act_on(session, server_id, override_lock=True)
        if not (server.locked and server.locked_by == ADMIN):
            server.locked_by = by
        server.locked, server.locked_reason, server.updated_at = True, reason, now()
        lifecycle.record_done(session, caller, server, "lock")

    store.transact(work)


def unlock(store: Store, caller: Caller, server_id: str) -> None:
    """Unlock a server; one that is not locked is fine. :raises NotFound: the server is gone."""

    def work(session: Session) -> None:
        server = servers.to_act_on(session, server_id, override_lock=True)
        server.locked, server.locked_by, server.locked_reason, server.updated_at = False, None, None, now()
        lifecycle.record_done(session, caller, server, "unlock")

    store.transact(work)

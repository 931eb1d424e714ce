"""States that somebody sets: an admin's reset, and the two ways of deleting."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle, servers, undoing
from nova_lite.compute.transitions import OWNING, TRANSITIONS, VmState
from nova_lite.db.models import Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import now


def reset(store: Store, caller: Caller, server_id: str, state: VmState) -> str | None:
    """Say that a server is in *state*, whatever it was; what is under way ends at its next step.

    The guest is not touched: the next reconcile shows what it really does. But a resize that was not confirmed is ended, since
    nothing else could end it from there (:func:`nova_lite.compute.undoing.end_resize`). Returns the host whose agent has that to do.

    :raises NotFound: the server is gone.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=True)
        lifecycle.abandon(session, server_id)
        server.vm_state, server.task_state = state.value, None
        server.generation += 1
        server.updated_at = now()
        if state is not VmState.ERROR:
            server.fault = None
        lifecycle.record_done(session, caller, server, "resetState")
        return undoing.end_resize(session, caller, server)

    return store.transact(work)


def delete(
    store: Store, caller: Caller, server_id: str, *, override_lock: bool, reclaim_s: int, force: bool
) -> str | None:
    """Delete a server, for good or, with *reclaim_s* above 0, so that it can be restored that long.

    *force*: for good in any case. What was never built or has no host is gone at once. Returns the host whose agent has
    the work. A delete of a server that is being deleted does nothing more.

    :raises NotFound: the server is gone. :raises Conflict: it is locked.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        action = "delete" if force or not _is_kept(server, reclaim_s) else "soft-delete"
        is_deleting = server.task_state == TRANSITIONS["delete"].during
        is_soft = server.task_state in OWNING or server.vm_state == VmState.SOFT_DELETED
        if is_deleting or (action == "soft-delete" and is_soft):
            return server.host
        operation = lifecycle.begin(session, caller, server, action)
        return None if operation is None else server.host

    return store.transact(work)


def _is_kept(server: Server, reclaim_s: int) -> bool:
    can_be = server.vm_state == VmState.SOFT_DELETED or server.vm_state in TRANSITIONS["soft-delete"].allowed_from
    return reclaim_s > 0 and server.host is not None and server.launched_at is not None and can_be

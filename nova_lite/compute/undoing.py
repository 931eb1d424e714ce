"""What no user asks for: to undo what an action had begun when its deadline ended it, to run guests again after their host's boot, and to
end the resize of a server whose state was reset.

The sweeper ends an operation that nobody is at work on, or whose worker hangs, and so may leave its host in the middle: a guest of another size
than its server's, a rescue image that runs, a guest that was stopped to be shelved. In the same transaction it submits an operation that
undoes; it is carried out before anything that is asked of the server later, since operations of one server are done in their order.

The same stops the guest of a server that is put away (shelved, soft-deleted), which no guest may run for: see
:func:`nova_lite.agent.reconcile.diff`.
"""

from __future__ import annotations

from sqlalchemy import Double, bindparam, select, update
from sqlalchemy.orm import Session

from nova_lite.compute import claims, endings, lifecycle
from nova_lite.compute.transitions import OWNING, PowerState, VmState
from nova_lite.db import operations
from nova_lite.db.models import Operation, Server
from nova_lite.db.operations import Caller, Work
from nova_lite.db.types import JsonDict, epoch, new_id, now

ACTION = "undo"

RUN_AGAIN = "run-again"
"""Start the guest of a server that waits in a state of its own: it ran before its host's boot."""

END_RESIZE = "end-resize"
"""End a resize that can be neither confirmed nor reverted any more, since its server's state was reset: see :func:`end_resize`."""

ASIDE = (ACTION, RUN_AGAIN, END_RESIZE)
"""Operations that are not in the table of transitions: nobody asks for them, and they show no task state."""

DEADLINE_S = 600.0

STAYS_AWAY = frozenset({"restore", "unshelve"})
"""What brings a guest back. Where it fails its server stays put away, whatever became of the guest: the reconciler sees to that."""

_UNDONE = STAYS_AWAY | {"resize", "resize-live", "rescue", "shelve"}
"""Actions that may leave a guest that is another than its server says. What a create, or an unshelve of what was offloaded, leaves is
removed by the reconciler, an image's file by the agent's upkeep; an interface goes as a detach takes it (``endings``); of every other action
what it has done is shown, as the guest is then found."""

AWAY = {VmState.SOFT_DELETED: "restore", VmState.SHELVED: "unshelve"}
"""States whose guest never runs, and what it was that had it run."""

_LATER = (
    update(Operation)
    .where(Operation.id == bindparam("of_operation"))
    .values(deadline=bindparam("until", type_=Double))
    .execution_options(synchronize_session=False)
)


def follow(session: Session, work: Work) -> bool:
    """Have what *work* had begun undone, in the transaction that ends it by its deadline; False where there is nothing to undo.

    *work* as the one who ends it has seized it: that counts as an attempt.
    """
    if work.action not in _UNDONE or work.queue != "agent" or work.host is None or work.attempt < 2:
        return False
    if session.scalar(select(Server.host).where(Server.id == work.target_id)) != work.host:
        return False  # an offloaded server's unshelve: what it left is remembered by that end itself
    submit(session, work.target_id, work.host, work.action, work.arguments, work.project_id, work.user_id)
    return True


def submit(
    session: Session,
    server_id: str,
    host: str,
    action: str,
    arguments: JsonDict,
    project_id: str | None,
    user_id: str | None,
) -> None:
    """Have *host*'s agent undo *action*, as an action of the server that has a request of its own in its history."""
    caller = Caller(f"req-{new_id()}", project_id, user_id)
    _submit(session, caller, ACTION, server_id, host, {**arguments, "action": action})


def run_again(session: Session, server: Server) -> None:
    """Have the agent of *server*'s host start its guest, in the state that it has: a resize that is not confirmed, a rescue."""
    assert server.host is not None
    image_id = (server.system_metadata or {}).get("rescue_image_id") if server.vm_state == VmState.RESCUED else None
    caller = Caller(f"req-{new_id()}", server.project_id, server.user_id)
    _submit(session, caller, RUN_AGAIN, server.id, server.host, {"image_id": image_id} if image_id else {})


def end_resize(session: Session, caller: Caller, server: Server) -> str | None:
    """Have the resize of *server* ended, if it has one to end; its state was reset in this transaction.

    It keeps the new size, unless a revert was begun: then that is done. Until the agent has done it the row stays as it is, so
    that whoever interrupts this knows what is left to do: a restore does the same, a delete removes all. Returns the agent's host.
    """
    if server.host is None or not has_resize_to_end(server):
        return None
    own = Caller(f"req-{new_id()}", caller.project_id, caller.user_id)
    _submit(session, own, END_RESIZE, server.id, server.host, {})
    return server.host


def has_resize_to_end(server: Server) -> bool:
    """Tell whether *server* has a resize that no confirmation or revert can end: those begin where its state says that it is resized."""
    return server.vm_state != VmState.RESIZED and bool((server.system_metadata or {}).get("old_flavor"))


def _resize_ended(session: Session, server_id: str) -> None:
    server = session.scalar(select(Server).where(Server.id == server_id).with_for_update())
    if server is None or server.deleted or server.task_state in OWNING or not has_resize_to_end(server):
        return
    old = endings.goes_back_to(server)
    for name, value in endings.end_resize(session, server).items():
        setattr(server, name, value)
    server.generation += 1
    server.updated_at = now()
    session.flush()
    waiting = select(Operation.id).where(
        Operation.target_type == "server",
        Operation.target_id == server_id,
        Operation.action.in_(("resize", "resize-live")),
        Operation.state.in_(operations.UNFINISHED),
    )
    if session.scalar(waiting.limit(1)) is None:  # else it holds room for its own size, and settles that
        claims.settle(session, server_id, *(endings.held(old) if old else claims.held_by(server)))


def _submit(session: Session, caller: Caller, name: str, server_id: str, host: str, arguments: JsonDict) -> None:
    operations.submit(
        session,
        caller,
        action=name,
        target_type="server",
        target_id=server_id,
        queue="agent",
        host=host,
        arguments=arguments,
        deadline_s=DEADLINE_S,
    )


def overdue(session: Session, work: Work, *, host_is_up: bool) -> None:
    """Deal with an undoing that is past its deadline: that of a host which is down waits for it."""
    if not host_is_up:
        operations.retry_later(session, work, 0.0, f"Host {work.host} is down.")
        session.execute(_LATER, {"of_operation": work.id, "until": epoch() + DEADLINE_S})
        return
    failed(session, work, f"host {work.host} is up but did not end it", power=PowerState.NOSTATE)


def done(session: Session, work: Work, power: PowerState | None, events: list[JsonDict]) -> None:
    """End an undoing well. *power*: how the guest is now; None: there is none, or nobody could see.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    operations.finish(session, work, "done", events=events)
    if work.action == END_RESIZE:
        _resize_ended(session, work.target_id)
    if power is not None:
        lifecycle.show(session, work.target_id, {"power_state": int(power)})


def failed(
    session: Session,
    work: Work,
    reason: str,
    *,
    details: str = "",
    power: PowerState | None = None,
    events: list[JsonDict] | None = None,
) -> None:
    """End an undoing badly: its server is in ERROR, and a fault says why; one that is put away stays so, and is tried again.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    action = str(work.arguments.get("action", work.action))
    if work.action == ACTION:
        message = f"The {action} was not done in time, and what it had begun could not be undone: {reason}."
    elif work.action == END_RESIZE:
        message = f"The resize could not be ended after the state was reset: {reason}; reset the state again."
    else:
        message = f"The guest could not be started again after its host's boot: {reason}."
    operations.finish(session, work, "failed", message, events=events)
    values: JsonDict = {} if power is None else {"power_state": int(power)}
    if work.action in (ACTION, END_RESIZE) and action not in STAYS_AWAY:
        values |= {"vm_state": VmState.ERROR.value, "fault": lifecycle.fault(message, details)}
    if values:
        lifecycle.show(session, work.target_id, values)

"""Begin, complete and fail an action of a server: the only code that changes its states.

Each is one compare-and-swap inside the caller's transaction, together with the operation's own row, so the pair
can never disagree: an object in a transitional state always has an unfinished operation that will end it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.compute import action_rules, claims, endings, quotas
from nova_lite.compute.transitions import OWNING, TRANSITIONS, PowerState, Transition, VmState
from nova_lite.db import operations
from nova_lite.db.models import Operation, Port, Server
from nova_lite.db.operations import Caller, Work
from nova_lite.db.types import JsonDict, now
from nova_lite.errors import Conflict, NotFound, StaleState
from nova_lite.network import ports, touch

LOG = logging.getLogger(__name__)


# Made once, over tables rather than entities: to make a statement anew takes longer than to run it.
_SERVERS: Any = Server.__table__
_PORTS: Any = Port.__table__
_STEP = (
    update(_SERVERS)
    .where(_SERVERS.c.id == bindparam("of_server"), _SERVERS.c.deleted.is_(False))
    .where(_SERVERS.c.task_state.is_not(None), _SERVERS.c.task_state.not_in(OWNING))
    .values(task_state=bindparam("new_task_state"), updated_at=bindparam("moment"))
)
_END_DELETED = (
    update(_SERVERS)
    .where(_SERVERS.c.id == bindparam("of_server"), _SERVERS.c.deleted.is_(False))
    .values(
        vm_state=VmState.DELETED.value,
        task_state=None,
        power_state=int(PowerState.NOSTATE),
        deleted=True,
        deleted_at=bindparam("moment"),
        terminated_at=bindparam("moment"),
        updated_at=bindparam("moment"),
        generation=_SERVERS.c.generation + 1,
    )
)
_UNSEEN = (
    update(_SERVERS)
    .where(_SERVERS.c.id == bindparam("of_server"), _SERVERS.c.deleted.is_(False))
    .values(power_state=int(PowerState.NOSTATE), generation=_SERVERS.c.generation + 1)
)
_OWN_PORTS = select(_PORTS.c.id, _PORTS.c.host, _PORTS.c.made_by_compute).where(
    _PORTS.c.device_id == bindparam("of_server")
)


def begin(
    session: Session,
    caller: Caller,
    server: Server,
    action: str,
    arguments: JsonDict | None = None,
    *,
    values: JsonDict | None = None,
    not_before: float = 0.0,
    queue: str = "agent",
) -> Operation | None:
    """Start *action* on *server*: check the table, mark the server, submit the operation for its host's agent.

    *server* is a row read in this session. Returns the operation; None where the action needed no worker and is done
    (deleting or restoring a server that is on no host). *values*: columns that the action changes at its very beginning.
    *not_before*: epoch seconds. *queue*: who does it; ``scheduler`` where it needs a host first.

    :raises Conflict: the server's state does not allow the action (the message says from which states it does), or it
        never got a host, so that there is no agent that could do it.
    :raises NotFound: the server was deleted meanwhile.
    """
    transition = TRANSITIONS[action]
    action_rules.check(server, action)
    action_rules.check_adopted(server, action)
    action_rules.check_reverting(server, action)
    if server.host is None and queue == "agent" and action not in _WITHOUT_HOST:
        raise Conflict(f"Instance {server.id} has no host; delete it and make it anew.", "server.no_host")
    if transition.interrupts:
        abandon(session, server.id)
    _mark(session, server, transition, values or {})
    _log(server.id, action, "begun", caller.request_id)
    if server.host is None and action in _WITHOUT_HOST:
        _WITHOUT_HOST[action](session, server)
        record_done(session, caller, server, action)
        return None
    operation = operations.submit(
        session,
        caller,
        action=action,
        target_type="server",
        target_id=server.id,
        queue=queue,
        host=server.host,
        arguments=arguments,
        deadline_s=transition.deadline_s,
    )
    operation.not_before = not_before
    return operation


def _restore_offloaded(session: Session, server: Server) -> None:
    """Put a server back where it stood: it was offloaded just when it was deleted, and an unshelve brings it back."""
    where = {"vm_state": VmState.SHELVED_OFFLOADED.value, "task_state": None, "deleted_at": None}
    _set(session, server.id, "restore", where)


_WITHOUT_HOST: dict[str, Callable[[Session, Server], None]] = {
    "delete": lambda session, server: end_deleted(session, server.id),
    "restore": _restore_offloaded,
}
"""What is done at once to a server that is on no host: there is no agent that could do it."""


def _mark(session: Session, server: Server, transition: Transition, values: JsonDict) -> None:
    """Show that the action is under way, wherever the server stands by now, if it may begin from there."""
    changes: dict[str, Any] = {
        **values,
        "task_state": transition.during,
        "generation": Server.generation + 1,
        "updated_at": now(),
    }
    while not _swap(session, server, _unchanged(server, transition), changes):
        # Something else was first.
        session.refresh(server)
        if server.deleted:
            raise NotFound(f"Instance {server.id} could not be found.", "server.not_found")
        action_rules.check(server, transition.action)


def _unchanged(server: Server, transition: Transition) -> list[Any]:
    """Say that *server* still stands where it was read: its state, and its host, which decides who does the work."""
    condition = [
        Server.id == server.id,
        Server.deleted.is_(False),
        Server.vm_state == server.vm_state,
        Server.host.is_not_distinct_from(server.host),
    ]
    return condition if transition.interrupts else [*condition, Server.task_state.is_(None)]


def abandon(session: Session, server_id: str) -> None:
    """Ask everything that is under way on a server to stop, and end what has not begun."""
    waiting = select(Operation).where(
        Operation.target_type == "server", Operation.target_id == server_id, Operation.state == "pending"
    )
    for operation in session.scalars(waiting).all():
        endings.cancelled(session, operation)
    operations.ask_to_stop(session, "server", server_id)


def record_done(session: Session, caller: Caller, server: Server, action: str) -> None:
    """Write down an action that needed no worker and is done, for the server's history."""
    operation = operations.submit(
        session,
        caller,
        action=action,
        target_type="server",
        target_id=server.id,
        queue="agent",
        deadline_s=0,
    )
    operation.state = "done"
    operation.started_at = operation.finished_at = now()


def step(session: Session, server_id: str, action: str, task_state: str) -> None:
    """Show a finer task state while *action* runs (``scheduling`` → ``networking`` → ``spawning``).

    :raises StaleState: the server is gone.
    """
    result = session.execute(_STEP, {"of_server": server_id, "new_task_state": task_state, "moment": now()})
    if not _count(result):
        raise StaleState(f"server {server_id} has no {action} under way")


def complete(
    session: Session, work: Work, power: PowerState | None = None, events: list[JsonDict] | None = None
) -> None:
    """End *work* well: its server takes the transition's final state, and the operation is done.

    *power* None: what the table says. *events*: the operation's steps.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    transition = TRANSITIONS[work.action]
    operations.finish(session, work, "done", events=events)
    if transition.on_ok is VmState.DELETED:
        end_deleted(session, work.target_id)
    elif transition.during is None:
        endings.done(session, work, transition)
    else:
        values: dict[str, Any] = {"task_state": None, "fault": None}
        if power is None:
            power = transition.power
        if power is not None:
            values["power_state"] = int(power)
        if transition.on_ok is not None:
            values["vm_state"] = transition.on_ok.value
        elif session.scalar(select(_SERVERS.c.vm_state).where(_SERVERS.c.id == work.target_id)) == VmState.ERROR:
            del values["fault"]  # what put it there still holds
        if work.action in ("create", "adopt"):
            values["launched_at"] = now()
        values |= endings.done(session, work, transition)
        _set(session, work.target_id, work.action, values)
    _log(work.target_id, work.action, "done", work.request_id, work.id)


def fail(
    session: Session,
    work: Work,
    message: str,
    *,
    details: str = "",
    code: int = 500,
    power: PowerState | None = None,
    events: list[JsonDict] | None = None,
    broken: bool = False,
    unsure: bool = False,
) -> None:
    """End *work* badly: the server keeps a fault that says what happened and takes the transition's failed state.

    *message* is shown to the server's owner, *details* to admins only. *broken*: what was done could not be undone, so
    that the server is in ERROR whatever the table says; but one that goes off its host, whose agent then removes what it finds.
    *unsure*: nobody knows what was done there.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    operations.finish(session, work, "failed", message, events=events)
    transition = TRANSITIONS[work.action]
    if transition.during is None and not broken:
        endings.failed(session, work, clean=not unsure)
        _log(work.target_id, work.action, "failed", work.request_id, work.id)
        return
    values: dict[str, Any] = {"task_state": None, "fault": fault(message, details, code)}
    if broken or transition.on_fail is not None:
        values["vm_state"] = (transition.on_fail or VmState.ERROR).value
    if power is not None:
        values["power_state"] = int(power)
    values |= endings.failed(session, work, clean=not (broken or unsure))
    _set(session, work.target_id, work.action, values)
    _log(work.target_id, work.action, "failed", work.request_id, work.id)


def fault(message: str, details: str = "", code: int = 500) -> JsonDict:
    """Make what a server's ``fault`` shows: *message* to its owner, *details* to admins only."""
    created = now().isoformat(timespec="seconds") + "Z"
    return {"code": code, "message": message, "details": details, "created": created}


def show(session: Session, server_id: str, values: JsonDict) -> None:
    """Show how a server was found to stand, unless a delete has it; what is being done to it goes on."""
    _write(session, server_id, OWNING, values)


def retry(session: Session, work: Work, delay_s: float, error: str, events: list[JsonDict], *, unseen: bool) -> None:
    """Put *work* back for another attempt; *unseen*: nobody knows meanwhile how its guest is, and its server shows that.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    operations.retry_later(session, work, delay_s, error, events)
    if unseen:
        session.execute(_UNSEEN, {"of_server": work.target_id})


def cancel(session: Session, work: Work) -> None:
    """End *work* because a later operation (a delete) asked for it; that one owns the server's state now.

    :raises StaleState: the operation is no longer ours; the transaction must roll back.
    """
    operations.finish(session, work, "cancelled")
    endings.cancelled(session, work)
    _log(work.target_id, work.action, "cancelled", work.request_id, work.id)


def end_deleted(session: Session, server_id: str) -> None:
    """Mark a server deleted and let go of all that it held in the database.

    Also for a server whose host is gone: when that comes back, its agent's reconcile removes what is left there.
    """
    claims.release(session, server_id)
    release_ports(session, server_id)
    endings.deleted(session, server_id)
    if _count(session.execute(_END_DELETED, {"of_server": server_id, "moment": now()})):
        # Whoever marks it deleted, and nobody else, gives its quota back.
        quotas.end_server(session, server_id)


def release_ports(session: Session, server_id: str) -> None:
    """Delete the ports that compute made for a server and unbind those that its user brought."""
    found = session.execute(_OWN_PORTS, {"of_server": server_id}).all()
    if not found:
        return
    touch.touch_ports(session, *(row.id for row in found), besides=found[0].host)
    made = [row.id for row in found if row.made_by_compute]
    if made:
        ports.remove(session, made)
    if len(made) < len(found):
        ports.give_back(session, [row.id for row in found if not row.made_by_compute])


_STATES = frozenset({"vm_state", "task_state", "power_state", "fault"})


def _set(session: Session, server_id: str, action: str, values: dict[str, Any]) -> None:
    # A delete that was asked for meanwhile owns the server's state from then on.
    owning = OWNING - {TRANSITIONS[action].during} if action != "delete" else frozenset()
    if _write(session, server_id, owning, values) or not owning:
        return
    # What the guest is made of has changed all the same, and a server that is only put away comes back with it.
    rest = {name: value for name, value in values.items() if name not in _STATES}
    if rest:
        _write(session, server_id, OWNING - {TRANSITIONS["soft-delete"].during}, rest)


def _write(session: Session, server_id: str, owning: frozenset[str], values: dict[str, Any]) -> bool:
    """Set columns, unless an action of *owning* has the server; tell whether they were."""
    key = (owning, frozenset(values))
    statement = _SET.get(key)
    if statement is None:
        columns = {name: bindparam(f"new_{name}", type_=_SERVERS.c[name].type) for name in (*values, "updated_at")}
        condition = [_SERVERS.c.id == bindparam("of_server"), _SERVERS.c.deleted.is_(False)]
        if owning:
            condition.append(or_(_SERVERS.c.task_state.is_(None), _SERVERS.c.task_state.not_in(owning)))
        columns["generation"] = _SERVERS.c.generation + 1
        statement = _SET[key] = update(_SERVERS).where(*condition).values(columns)
    new = {f"new_{name}": value for name, value in values.items()}
    return bool(_count(session.execute(statement, {"of_server": server_id, "new_updated_at": now(), **new})))


_SET: dict[tuple[frozenset[str], frozenset[str]], Any] = {}
"""By the task states that keep it from being done, and by the columns that are set: there are a handful."""


def _swap(session: Session, server: Server, condition: list[Any], values: dict[str, Any]) -> bool:
    result = session.execute(
        update(Server).where(*condition).values(**values).execution_options(synchronize_session=False)
    )
    return bool(_count(result))


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


def _log(server_id: str, action: str, event: str, request_id: str, operation_id: int | None = None) -> None:
    LOG.info(
        "server=%s action=%s event=%s request=%s operation=%s",
        server_id,
        action,
        event,
        request_id,
        operation_id,
    )

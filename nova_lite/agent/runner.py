"""Run one operation: its action's steps in order, and its end in one transaction with the server's state.

Dying anywhere in here is harmless: the operation's lease runs out (or the agent's next start ends it), and the steps are
done again from the first, each of which finds its work done or does it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.orm import Session

from nova_lite.agent.actions import ACTIONS, Action, revive
from nova_lite.agent.job import Job, Step, Stopped, Tools
from nova_lite.agent.rows import read_server
from nova_lite.compute import left_overs, lifecycle, undoing
from nova_lite.compute.transitions import PowerState
from nova_lite.db import operations
from nova_lite.db.models import Server
from nova_lite.db.operations import Work
from nova_lite.db.types import epoch
from nova_lite.errors import NovaLiteError, StaleState, Unavailable
from nova_lite.host.ports import HostError
from nova_lite.virt.driver import DriverError, DriverTimeout, DriverUnavailable, GuestNotFound

LOG = logging.getLogger(__name__)
T = TypeVar("T")

Hook = Callable[[Work, str], None]
"""Called with the operation and the name of what comes next: each step, then ``finish``. For the chaos tests."""

LIVES = 10
"""Attempts, each cut off by the agent's death, after which an operation is taken for their cause."""

_TRANSIENT_CODES = {"host.failed", "host.timeout"}
_UNANSWERED = (DriverTimeout, DriverUnavailable)
"""What leaves the guest as nobody knows, and is worth another try."""


class _Deleted(Exception):
    """The server was deleted while its guest was being made."""


def no_hook(_work: Work, _step: str) -> None:
    """Do nothing between the steps."""


class Runner:
    """Runs operations of one host; one call of :meth:`run` an operation, from any thread.

    :param observing: called with a server's id just before its guest is looked at.
    """

    def __init__(
        self, tools: Tools, stopping: Callable[[], bool], observing: Callable[[str], None], hook: Hook = no_hook
    ) -> None:
        self._tools = tools
        self._store = tools.store
        self._stopping = stopping
        self._observing = observing
        self._hook = hook

    def run(self, work: Work) -> None:
        """Do *work* to its end: done, failed, cancelled or put back for another try. Raises nothing but what a hook does."""
        began = time.monotonic()
        try:
            event = self._run(work)
        except StaleState:
            event = "lost"  # somebody else holds the operation now, and does it
        except DBAPIError as error:
            event = f"database-failed:{type(error.orig).__name__}"  # its lease will run out
        except Exception:
            LOG.exception("server=%s action=%s event=crashed operation=%d", work.target_id, work.action, work.id)
            event = "crashed"
        LOG.info(
            "server=%s action=%s event=%s request=%s operation=%d attempt=%d seconds=%.3f",
            work.target_id,
            work.action,
            event,
            work.request_id,
            work.id,
            work.attempt,
            time.monotonic() - began,
        )

    def _run(self, work: Work) -> str:
        if work.action in undoing.ASIDE:
            return self._run_aside(work)
        action = ACTIONS.get(work.action) if work.target_type == "server" else None
        if action is None:
            message = f"This host's agent does not know the action {work.action}."
            self._persist(partial(operations.finish, work=work, state="failed", error=message))
            return "unknown"
        with self._store.read() as session:
            rows = read_server(session, work.target_id, work.arguments.get("image_id"))
        if rows is None or (rows.server.deleted and not action.for_deleted):
            self._persist(partial(lifecycle.cancel, work=work))
            return "gone"
        job = Job(self._tools, work, rows, events=list(work.events))
        try:
            self._check(action, job)
            for step in action.steps:
                self._step(job, step)
            self._hook(work, "finish")
            power = self._power(work.target_id) if action.observes else None
            self._persist(partial(_complete, action=action, job=job, power=power))
        except Stopped:
            self._persist(partial(lifecycle.cancel, work=work))
            return "cancelled"
        except _Deleted:
            clean = self._undo(action, job)
            self._persist(partial(_cancel, job=job, clean=clean))
            return "deleted-meanwhile"
        except (StaleState, DBAPIError):
            raise
        except Exception as error:
            return self._failed(action, job, error)
        return "done"

    def _run_aside(self, work: Work) -> str:
        """Do what nobody asked for: undo what an action had begun that its deadline ended, run a guest again, end a resize."""
        if work.action == undoing.ACTION:
            name = str(work.arguments["action"])
            done_for = replace(work, action=name, step=work.step or work.action)
            steps: tuple[Step, ...] = (Step(f"undo-{name}", ACTIONS[name].undo, noted=True),)
        else:
            done_for = work
            steps = revive.END_RESIZE if work.action == undoing.END_RESIZE else revive.RUN_AGAIN
        with self._store.read() as session:
            rows = read_server(session, work.target_id, work.arguments.get("image_id"))
        if rows is None or rows.server.deleted or rows.server.host != self._tools.host:
            self._persist(partial(lifecycle.cancel, work=work))
            return "gone"
        job = Job(self._tools, done_for, rows, events=list(work.events))
        try:
            for step in steps:
                self._step(job, step)
        except Stopped:
            self._persist(partial(lifecycle.cancel, work=work))
            return "cancelled"
        except (StaleState, DBAPIError):
            raise
        except Exception as error:
            if self._may_retry(work, error):
                self._retry(job, error, unseen=isinstance(error, _UNANSWERED))
                return "retry"
            reason, details = (error.message, error.code) if isinstance(error, NovaLiteError) else (repr(error), "")
            _log("failing", work, error)
            power = self._power_after(error, work.target_id)
            self._persist(
                partial(undoing.failed, work=work, reason=reason, details=details, power=power, events=job.events)
            )
            return "failed"
        self._persist(partial(undoing.done, work=work, power=self._power(work.target_id), events=job.events))
        return "done"

    def _check(self, action: Action, job: Job) -> None:
        work = job.work
        if work.attempt > LIVES:
            raise DriverError(f"The {action.name} was begun {work.attempt - 1} times and cut off each time.")
        if epoch() > work.deadline and not action.for_deleted:
            raise DriverError(f"The {action.name} was not done in time: host {self._tools.host} came to it too late.")
        if action.needs_guest and job.server.launched_at is None:
            raise GuestNotFound(f"The server was never built, so there is nothing to {action.name}; delete it.")

    def _step(self, job: Job, step: Step) -> None:
        if step.noted and self._store.transact(partial(_note, work=job.work, step=step)):
            raise Stopped
        self._hook(job.work, step.name)
        with job.timed(step.name.replace("-", "_")):
            step.do(job)

    def _failed(self, action: Action, job: Job, error: Exception) -> str:
        work = job.work
        if self._may_retry(work, error):
            self._retry(job, error, unseen=isinstance(error, _UNANSWERED) and action.name != "create")
            return "retry"
        _log("failing", work, error)
        clean = self._undo(action, job)
        self._hook(work, "fail")
        power = None if action.name == "create" else self._power_after(error, work.target_id)
        self._persist(partial(_fail, action=action, job=job, error=error, power=power, clean=clean))
        return "failed"

    def _retry(self, job: Job, error: Exception, *, unseen: bool) -> None:
        work = job.work
        delay = min(30.0, 0.5 * 2**work.attempt)
        self._persist(
            partial(lifecycle.retry, work=work, delay_s=delay, error=str(error), events=job.events, unseen=unseen)
        )
        LOG.warning(
            "server=%s action=%s event=retry in_s=%.1f reason=%r", work.target_id, work.action, delay, str(error)
        )

    def _may_retry(self, work: Work, error: Exception) -> bool:
        if isinstance(error, _UNANSWERED):
            passing = True
        elif isinstance(error, HostError):
            passing = error.code in _TRANSIENT_CODES
        else:
            passing = isinstance(error, Unavailable)
        return passing and work.attempt < self._tools.conf.compute.max_attempts and epoch() < work.deadline

    def _undo(self, action: Action, job: Job) -> bool:
        """Undo what the action left on the host; False when that did not go, so that its room stays taken."""
        try:
            action.undo(job)
        except Exception as error:
            _log("undo-failed", job.work, error)
            return False
        return True

    def _power_after(self, error: Exception, server_id: str) -> PowerState | None:
        """Return how the guest is after a failure; one that left a call unanswered is unknown until it is observed."""
        return PowerState.NOSTATE if isinstance(error, _UNANSWERED) else self._power(server_id)

    def _power(self, server_id: str) -> PowerState | None:
        self._observing(server_id)
        try:
            return self._tools.driver.power(server_id)
        except GuestNotFound:
            return None
        except DriverError:
            return PowerState.NOSTATE

    def _persist(self, work: Callable[[Session], T]) -> T:
        """Write an operation's end, again and again while the database is away: what was done is done.

        :raises StaleState: the operation is not ours any more, or an earlier try was committed after all.
        :raises DBAPIError: the database is there and refuses what is written, as it would each time.
        """
        delay = 0.1
        while True:
            try:
                return self._store.transact(work)
            except (DBAPIError, Unavailable) as error:
                if self._stopping() or not _is_away(error):
                    raise
                LOG.warning("event=database-away reason=%r", str(error)[:200])
                time.sleep(delay)
                delay = min(2.0, delay * 2)


def _log(event: str, work: Work, error: Exception) -> None:
    """Say what failed; and where, if nobody foresaw that it can."""
    unexpected = None if isinstance(error, NovaLiteError) else error
    LOG.log(
        logging.ERROR if unexpected else logging.WARNING,
        "server=%s action=%s event=%s reason=%r request=%s operation=%d",
        work.target_id,
        work.action,
        event,
        str(error),
        work.request_id,
        work.id,
        exc_info=unexpected,
    )


def _is_away(error: DBAPIError | Unavailable) -> bool:
    """Tell whether the database may take the same later."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError | InternalError)
    return True


def _note(session: Session, work: Work, step: Step) -> bool:
    """Record that *step* begins; True: the operation was asked to stop."""
    if operations.record_step(session, work, step.name):
        return True
    if step.task_state is not None:
        try:
            lifecycle.step(session, work.target_id, work.action, step.task_state)
        except StaleState:
            return True  # deleted, or being deleted
    return False


_SERVERS: Any = Server.__table__
# Made once: to make a statement anew takes longer than to run it.
_DELETED = select(_SERVERS.c.deleted).where(_SERVERS.c.id == bindparam("of_server"))


def _complete(session: Session, action: Action, job: Job, power: PowerState | None) -> None:
    work = job.work
    if not action.for_deleted and session.scalar(_DELETED, {"of_server": work.target_id}):
        raise _Deleted
    lifecycle.complete(session, work, power, job.events)
    action.on_ok(session, job)


def _cancel(session: Session, job: Job, clean: bool) -> None:
    lifecycle.cancel(session, job.work)
    if not clean:
        left_overs.remember(session, job.work.target_id, job.tools.host)


def _fail(session: Session, action: Action, job: Job, error: Exception, power: PowerState | None, clean: bool) -> None:
    if isinstance(error, NovaLiteError):
        message, details = error.message, error.code
    else:
        message, details = f"The {action.name} failed unexpectedly on host {job.tools.host}.", repr(error)
    unsure = isinstance(error, DriverTimeout)  # what was given up may come to its end yet
    broken = not clean and not (action.name in undoing.STAYS_AWAY and job.server.vm_state in undoing.AWAY)
    lifecycle.fail(
        session, job.work, message, details=details, power=power, events=job.events, broken=broken, unsure=unsure
    )
    if clean:
        action.on_fail(session, job)

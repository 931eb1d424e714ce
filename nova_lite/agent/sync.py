"""Carry out what reconcile decided, each by a compare-and-swap on the row that it was decided on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.agent import restarts, rows, spec, wanted_rows
from nova_lite.agent.host_boot import HostBoot
from nova_lite.agent.job import Tools, fetch_image, plug_ports, remove_guest
from nova_lite.agent.left_overs import LeftOvers
from nova_lite.agent.reconcile import Decision, Do, Wanted, diff
from nova_lite.agent.wanted_rows import swap
from nova_lite.compute import claims, endings, lifecycle, undoing
from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.db.models import Server
from nova_lite.db.operations import Caller
from nova_lite.db.types import epoch, new_id
from nova_lite.errors import Conflict, NotFound, NovaLiteError, StaleState
from nova_lite.virt.driver import DriverError, GuestNotFound, Observed

LOG = logging.getLogger(__name__)

_RUNS = (PowerState.RUNNING, PowerState.PAUSED)


class Reconciler:
    """Keeps the rows of one host's servers and its guests in step.

    :param try_hold: takes a server for this thread, False when an operation works on it; *release* lets it go.
    :param begin_at: called with the moment (epoch s) at which an operation that was begun here can be taken.
    """

    def __init__(
        self,
        tools: Tools,
        try_hold: Callable[[str], bool],
        release: Callable[[str], None],
        stopping: Callable[[], bool],
        begin_at: Callable[[float], None],
    ) -> None:
        self._tools = tools
        self._try_hold = try_hold
        self._release = release
        self._stopping = stopping
        self._begin_at = begin_at
        self._reported: set[str] = set()
        self._starting = False
        self._untaken: set[str] = set()
        """Servers that were here when the agent started, as long as their guests have not been taken up."""
        self._boot = HostBoot(Path(tools.conf.state_path), tools.host)
        self._ended: set[str] = set()
        """Servers whose guests a boot of the host may have ended, as long as something is under way on them."""
        self._left_overs = LeftOvers(tools, try_hold, release)

    def prepare_networks(self) -> None:
        """Make the host have exactly the networks and ports that the database wants here."""
        try:
            self._tools.keeper.ensure()
        except NovaLiteError as error:
            LOG.error("host=%s event=networks-not-synced reason=%r", self._tools.host, error.message)

    def run(self, *, starting: bool = False) -> list[Decision]:
        """Compare once and act; return what was decided. *starting*: the agent has just started."""
        store, host = self._tools.store, self._tools.host
        wanted = wanted_rows.of_host(store, host)
        if starting and not self._starting:
            self._starting = True
            self._untaken = {row.server_id for row in wanted}
        observed = self._observe()
        if observed is not None:
            wanted += wanted_rows.others(store, host, observed, {row.server_id for row in wanted})
            # One that goes and comes again is told of again.
            self._reported &= {guest.name for guest in observed}
            # Until the hypervisor answers, as it may not for a while after the host's boot, the agent is still about to start.
            if self._boot.is_another() and self._resumes():
                self._ended = {row.server_id for row in wanted}
            self._starting = False
            self._untaken &= _takeable(observed, wanted)
        decisions = diff(observed, wanted, untaken=self._untaken, resume=self._ended)
        self._act_on(decisions)
        if not self._stopping():
            if observed is not None:
                self._ended &= {row.server_id for row in wanted if row.busy}
                self._boot.remember()  # not before: a death in between must not cost what ran its start
            self._left_overs.remove()
        return decisions

    def awaits(self, server_id: str) -> bool:
        """Tell whether a guest that may run is still to be taken up: an operation was at work on it when the agent started."""
        return server_id in self._untaken

    def _resumes(self) -> bool:
        return bool(self._tools.conf.compute.resume_guests_state_on_host_boot)

    def look(self, told: Mapping[str, PowerState | None]) -> list[str]:
        """Compare the servers whose guests are said to have changed, and act; return those left to whatever is under way on them.

        What is told (power, or None: gone) only says where to look: where it is what the row says anyway, as after what we did ourselves, nothing
        more is asked; elsewhere the driver's answer decides. Ids of no server of this host cost nothing more.
        """
        found = wanted_rows.among(self._tools.store, self._tools.host, list(told))
        rows = [row for row in found if not row.busy and _differs(row, told[row.server_id])]
        observed: list[Observed] = []
        seen: list[Wanted] = []
        for row in rows:
            if self._stopping():
                break
            try:
                observed.append(self._observe_one(row.server_id))
            except GuestNotFound:
                pass  # seen to be gone
            except DriverError as error:
                LOG.warning("server=%s event=not-observed reason=%r", row.server_id, error.message)
                break  # the next would be as slow; the next whole comparison sees them all
            seen.append(row)
        left = self._act_on(diff(observed, seen, resume=self._ended))
        return [row.server_id for row in found if row.busy] + left

    def _observe_one(self, server_id: str) -> Observed:
        return Observed(server_id, server_id, self._tools.driver.power(server_id), "")

    def _act_on(self, decisions: list[Decision]) -> list[str]:
        """Act; return the servers on which something else was at work, or that have changed since."""
        left: list[str] = []
        for decision in decisions:
            if self._stopping():
                break
            if not self._act(decision) and decision.wanted is not None:
                left.append(decision.wanted.server_id)
        return left

    def _observe(self) -> list[Observed] | None:
        try:
            return list(self._tools.driver.observe())
        except DriverError as error:
            LOG.error("host=%s event=not-observed reason=%r", self._tools.host, error.message)
            return None

    def _act(self, decision: Decision) -> bool:
        if decision.do is Do.REPORT:
            self._report(decision)
            return True
        assert decision.wanted is not None
        if not self._try_hold(decision.wanted.server_id):
            return False
        try:
            _ACTS[decision.do](self, decision, decision.wanted)
        except StaleState:
            return False
        except NovaLiteError as error:
            LOG.error(
                "server=%s event=reconcile-failed do=%s reason=%r", decision.name, decision.do.value, error.message
            )
        except Exception:
            LOG.exception("server=%s event=reconcile-failed do=%s", decision.name, decision.do.value)
        finally:
            self._release(decision.wanted.server_id)
        return True

    def _report(self, decision: Decision) -> None:
        if decision.name not in self._reported:
            self._reported.add(decision.name)
            LOG.warning("host=%s guest=%s event=stranger (it is not touched)", self._tools.host, decision.name)

    def _show(self, decision: Decision, row: Wanted) -> None:
        values: dict[str, Any] = {}
        if decision.power is not None:
            values["power_state"] = int(decision.power)
        if decision.vm_state is not None:
            values["vm_state"] = decision.vm_state.value
        seen = partial(self._show_and_restart, decision=decision, row=row, values=values)
        due = self._tools.store.transact(seen)
        if decision.vm_state is not None:
            LOG.info("server=%s event=observed vm_state=%s power=%s", row.server_id, decision.vm_state, decision.power)
        if due is not None:
            self._begin_at(due)
        if row.server_id in self._untaken and decision.power in _RUNS:
            self._recover(decision, row)

    def _show_and_restart(
        self, session: Session, decision: Decision, row: Wanted, values: dict[str, Any]
    ) -> float | None:
        """Show what was observed, and ask for a restart of a guest that ended by itself where its policy says so.

        Return when (epoch s) the restart is due. :raises StaleState: the server has changed since it was read.
        """
        if not swap(session, row, values):
            raise StaleState(f"Server {row.server_id} has changed since it was compared.")
        if decision.vm_state is not VmState.STOPPED:
            return None
        server = session.get_one(Server, row.server_id, populate_existing=True)
        planned = restarts.plan(server, decision.power, self._tools.conf.compute, epoch())
        if planned is None:
            return None
        due, kept = planned
        lifecycle.begin(
            session,
            Caller(f"req-{new_id()}", server.project_id, server.user_id),
            server,
            "restart",
            values={"system_metadata": endings.keep(server, restarts=kept)},
            not_before=due,
        )
        LOG.warning("server=%s event=restart in_s=%.1f count=%d", row.server_id, due - epoch(), kept["count"])
        return due

    def _lose(self, _decision: Decision, row: Wanted) -> None:
        message = "The guest is no longer on its host, though the hypervisor answers."
        values = {
            "vm_state": VmState.ERROR.value,
            "power_state": int(PowerState.NOSTATE),
            "fault": lifecycle.fault(message),
        }
        if not self._tools.store.transact(partial(swap, row=row, values=values)):
            raise StaleState(f"Server {row.server_id} has changed since it was compared.")
        LOG.error("server=%s event=lost host=%s", row.server_id, self._tools.host)

    def _strand(self, _decision: Decision, row: Wanted) -> None:
        message = f"Nothing was at work on the server any more, though its task state was {row.task_state}."
        values = {"task_state": None, "vm_state": VmState.ERROR.value, "fault": lifecycle.fault(message)}
        if self._tools.store.transact(partial(swap, row=row, values=values)):
            LOG.error("server=%s event=stranded task_state=%s", row.server_id, row.task_state)

    def _remove(self, _decision: Decision, row: Wanted) -> None:
        with self._tools.store.read() as session:
            server = session.get(Server, row.server_id)
        if server is None:
            return  # it was there when this was decided, so it will be looked at again
        remove_guest(self._tools, server)
        self._tools.keeper.unplug(row.server_id)
        LOG.info("server=%s event=leftover-removed host=%s", row.server_id, self._tools.host)

    def _clear(self, _decision: Decision, row: Wanted) -> None:
        """Remove what a failed creation has left: it could not be undone, or nobody was there to do that."""
        with self._tools.store.read() as session:
            server = session.get(Server, row.server_id)
        if server is None or server.generation != row.generation:
            return
        remove_guest(self._tools, server)
        self._tools.keeper.unplug(row.server_id)

        def give_back(session: Session) -> bool:
            return swap(session, row, {"power_state": int(PowerState.NOSTATE)}) and claims.release(
                session, row.server_id
            )

        self._tools.store.transact(give_back)
        LOG.info("server=%s event=failed-creation-removed host=%s", row.server_id, self._tools.host)

    def _stop(self, decision: Decision, row: Wanted) -> None:
        """Have the guest stopped by a worker: it may take its time."""

        def begin(session: Session) -> bool:
            if not swap(session, row, {"power_state": int(decision.power or PowerState.NOSTATE)}):
                return False
            server = session.get_one(Server, row.server_id, populate_existing=True)
            action = undoing.AWAY[VmState(row.vm_state)]
            undoing.submit(session, row.server_id, self._tools.host, action, {}, server.project_id, server.user_id)
            return True

        if self._tools.store.transact(begin):
            LOG.warning("server=%s event=runs-though-put-away vm_state=%s", row.server_id, row.vm_state)
            self._begin_at(epoch())

    def _restart(self, _decision: Decision, row: Wanted) -> None:
        def begin(session: Session) -> bool:
            values = {"vm_state": VmState.STOPPED.value, "power_state": int(PowerState.SHUTDOWN)}
            if not swap(session, row, values):
                return False
            server = session.get_one(Server, row.server_id, populate_existing=True)
            lifecycle.begin(session, Caller(f"req-{new_id()}", server.project_id, server.user_id), server, "start")
            return True

        try:
            if self._tools.store.transact(begin):
                LOG.info("server=%s event=restarted-after-boot host=%s", row.server_id, self._tools.host)
        except (Conflict, NotFound):
            return  # somebody was first

    def _run_again(self, decision: Decision, row: Wanted) -> None:
        def begin(session: Session) -> bool:
            if not swap(session, row, {"power_state": int(decision.power or PowerState.SHUTDOWN)}):
                return False
            undoing.run_again(session, session.get_one(Server, row.server_id, populate_existing=True))
            return True

        if self._tools.store.transact(begin):
            LOG.info("server=%s event=restarted-after-boot host=%s", row.server_id, self._tools.host)
            self._begin_at(epoch())

    def _recover(self, _decision: Decision, row: Wanted) -> None:
        with self._tools.store.read() as session:
            server = rows.read_server(session, row.server_id)
        if server is None or server.server.deleted or server.server.task_state is not None:
            return
        image = fetch_image(self._tools, server)
        nics = plug_ports(self._tools, server)
        self._tools.driver.recover(spec.guest_spec(server.server, image, nics, None))
        self._untaken.discard(row.server_id)


def _takeable(observed: Collection[Observed], wanted: Collection[Wanted]) -> set[str]:
    """Return the servers whose guests run, or may: something is under way on the server, or its guest is as nobody knows."""
    running = {guest.server_id for guest in observed if guest.power in (*_RUNS, PowerState.NOSTATE)}
    return {row.server_id for row in wanted if not row.deleted and (row.busy or row.server_id in running)}


def _differs(row: Wanted, power: PowerState | None) -> bool:
    """Tell whether a guest of that power (None: gone) would have to be acted on."""
    guests = [] if power is None else [Observed(row.server_id, row.server_id, power, "")]
    return bool(diff(guests, [row]))


_ACTS: dict[Do, Callable[[Reconciler, Decision, Wanted], None]] = {
    Do.SHOW: Reconciler._show,
    Do.LOST: Reconciler._lose,
    Do.STRANDED: Reconciler._strand,
    Do.REMOVE: Reconciler._remove,
    Do.CLEAR: Reconciler._clear,
    Do.STOP: Reconciler._stop,
    Do.RESTART: Reconciler._restart,
    Do.RUN_AGAIN: Reconciler._run_again,
    Do.RECOVER: Reconciler._recover,
}

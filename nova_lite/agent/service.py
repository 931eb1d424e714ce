"""The agent's threads: it takes its host's operations, renews their leases, reports, reconciles, answers questions."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.agent.console_relay import ConsoleRelay
from nova_lite.agent.guest_watch import ENDED, ENDING, GuestWatch
from nova_lite.agent.job import Tools
from nova_lite.agent.lock import HostLock
from nova_lite.agent.metadata_source import MetadataSource
from nova_lite.agent.network_keeper import NetworkKeeper, NetworkWatch
from nova_lite.agent.packet_trace import PacketTrace
from nova_lite.agent.precache import Precache
from nova_lite.agent.questions import Questions
from nova_lite.agent.report import Reporter
from nova_lite.agent.runner import Hook, Runner, no_hook
from nova_lite.agent.sync import Reconciler
from nova_lite.agent.upkeep import Upkeep
from nova_lite.bus import AGENT, Bus, Listener
from nova_lite.db import operations
from nova_lite.db.operations import LEASE_S, Work
from nova_lite.db.store import Store
from nova_lite.db.types import epoch
from nova_lite.errors import StaleState
from nova_lite.host.ports import Images, Networks, TellsGuests
from nova_lite.virt.abilities import Change, TellsChanges
from nova_lite.virt.driver import Driver, DriverError, GuestNotFound

LOG = logging.getLogger(__name__)

RENEW_S = LEASE_S / 3
COLLISION_S = 1.0
"""After how long an operation is tried again whose server this agent is still at work on for an older one."""

_JOIN_S = 5.0
"""How long the agent's own threads are waited for at its end; one may be in a call that hangs."""


class Agent:
    """The worker of one host.

    :param host: the host's name; None: ``[DEFAULT] host``.
    :param bus: None: no messages, only polling.
    :param hook: called between steps (chaos tests).
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        store: Store,
        driver: Driver,
        networks: Networks,
        images: Images,
        bus: Bus | None,
        *,
        host: str | None = None,
        hook: Hook = no_hook,
    ) -> None:
        self.host = host or conf.host
        self._conf = conf
        self._store = store
        self._bus = bus
        keeper = NetworkKeeper(store, networks, self.host)
        self._tools = Tools(conf, store, driver, networks, keeper, images, self.host)
        if isinstance(networks, TellsGuests):
            networks.tell_guests(MetadataSource(conf, store, networks, keeper))
        self._stopping = threading.Event()
        self._network_watch = NetworkWatch(keeper, conf.compute.poll_interval, self._stopping)
        self._reporter = Reporter(conf, store, driver, self.host)
        self._reconciler = Reconciler(self._tools, self._try_hold, self._let_go, self._stopping.is_set, self._begin_at)
        self._compare = threading.Event()
        """Set when a whole comparison is due before its time."""
        self._guest_watch = GuestWatch(self._reconciler, self._is_held, self._compare.set, self._stopping)
        self._runner = Runner(self._tools, self._stopping.is_set, self._guest_watch.seen, hook)
        self._unwatch: Callable[[], None] = lambda: None
        self._precache = Precache(self._tools)
        self._upkeep = Upkeep(self._tools, self._precache.kept)
        self._relay = ConsoleRelay(conf)
        self._lock = HostLock(Path(conf.state_path), self.host)
        self._owner = operations.new_owner(f"agent-{self.host}")
        self._hint = threading.Event()
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._later: list[float] = []
        """When operations can be taken that this agent has begun for later (epoch s); a heap."""
        self._under_way: dict[int, Work] = {}
        self._threads: list[threading.Thread] = []
        self._taker: threading.Thread | None = None
        self._listener: Listener | None = None

    def start(self) -> None:
        """Take the host's lock, take up what was left, begin to work; returns when operations are being taken.

        :raises nova_lite.errors.Conflict: another agent of this host is running.
        """
        self._lock.take()
        left = operations.release_queue(self._store, AGENT, self.host)
        if left:
            LOG.info("host=%s event=taken-up operations=%d", self.host, left)
        self._reconciler.prepare_networks()
        self._reporter.report()
        if self._bus is not None:
            answers: dict[str, Callable[..., Any]] = {
                "wake": self.wake,
                "cache_images": self._precache.cache_images,
                **Questions(self._tools, self._relay).answers(),
                **PacketTrace(self._tools).answers(),
            }
            self._listener = self._bus.listen(AGENT, self.host, answers)
        self._taker = self._spawn("taker", self._take)
        self._spawn("networks", self._network_watch.run)
        self._spawn("leases", self._renew)
        self._spawn("report", self._report)
        if isinstance(self._tools.driver, TellsChanges):
            self._unwatch = self._tools.driver.watch(self._tell)
            self._spawn("guests", self._guest_watch.run)
        self._spawn("reconcile", self._reconcile)

    def wake(self) -> None:
        """Look at the queue, and at what changed of the networks, now."""
        self._hint.set()
        self._network_watch.wake()

    def stop(self) -> None:
        """End well: take nothing more, give what is under way ``stop_timeout`` seconds, hand the rest back."""
        self._begin_to_stop()
        deadline = time.monotonic() + self._conf.compute.stop_timeout
        if self._taker is not None:
            self._taker.join(_JOIN_S)  # what it is just taking is under way, too
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.02)
        self._hand_back()
        try:
            self._reporter.silence()
        except Exception:
            LOG.exception("host=%s event=not-silenced", self.host)
        self.abandon()

    def abandon(self) -> None:
        """Let everything go as a death would: nothing is finished and nothing handed back. For :meth:`stop`, and tests."""
        self._begin_to_stop()
        deadline = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._relay.stop()
        self._lock.release()

    def _begin_to_stop(self) -> None:
        self._stopping.set()
        self._unwatch()
        for wake in (self._hint.set, self._compare.set, self._guest_watch.wake, self._network_watch.wake):
            wake()
        if self._listener is not None:
            self._listener.stop()

    def reconcile(self) -> None:
        """Compare and act once, now."""
        self._reconciler.run()

    def _hand_back(self) -> None:
        for work in list(self._under_way.values()):
            self._put_back(work, operations.retry_later, 0.0, "the agent was stopped")

    def _put_back(
        self, work: Work, put: Callable[[Session, Work, float, str], None], delay_s: float, reason: str
    ) -> None:
        try:
            self._store.transact(lambda session: put(session, work, delay_s, reason))
        except StaleState:
            return  # it ended after all
        except Exception:
            LOG.exception("operation=%d event=not-handed-back", work.id)

    def _spawn(self, name: str, function: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=function, name=f"agent-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _take(self) -> None:
        while not self._stopping.is_set():
            self._hint.clear()
            try:
                more = self._take_some()
            except Exception:
                LOG.exception("host=%s event=take-failed", self.host)
                # Perhaps something was taken and we were not told: under a new name its lease is renewed by nobody.
                self._owner = operations.new_owner(f"agent-{self.host}")
                self._stopping.wait(min(1.0, self._conf.compute.poll_interval))
                continue
            if not more:
                self._hint.wait(self._rest_s())

    def _begin_at(self, moment: float) -> None:
        with self._guard:
            heapq.heappush(self._later, moment)
        self._hint.set()

    def _rest_s(self) -> float:
        """Return how long the queue may be left alone: until the next look, or until what is due before that."""
        rest: float = self._conf.compute.poll_interval
        with self._guard:
            moment = epoch()
            while self._later and self._later[0] <= moment:
                heapq.heappop(self._later)
                rest = 0.0  # due since the last look
            return min(rest, self._later[0] - moment) if self._later else rest

    def _take_some(self) -> bool:
        """Take what the free workers can do; return whether there may be more that could be taken now."""
        free = self._conf.compute.workers - len(self._under_way)
        if free <= 0:
            return False  # the end of one of them sets the hint
        works = operations.take(self._store, AGENT, self._owner, host=self.host, limit=free)
        for work in works:
            if not self._try_hold(work.target_id):
                self._put_back(work, operations.untake, COLLISION_S, "the agent is still at work on this server")
                continue
            self._under_way[work.id] = work
            try:
                # A thread that the process's end does not wait for: it may be in a call that hangs.
                threading.Thread(target=self._run, args=(work,), name=f"operation-{work.id}", daemon=True).start()
            except RuntimeError as error:
                # Kept, it would hold its server and a worker for good, and its lease would be renewed.
                LOG.error("host=%s event=no-thread operation=%d reason=%r", self.host, work.id, str(error))
                self._under_way.pop(work.id, None)
                self._let_go(work.target_id)
                self._put_back(work, operations.untake, COLLISION_S, "the agent could not begin another thread")
        return bool(len(works) == free)  # what comes after this look sets the hint

    def _tell(self, change: Change) -> None:
        if change.server_id is not None and change.power in ENDED:
            self._relay.end(change.server_id)
        self._guest_watch.tell(change)

    def _end_consoles(self) -> None:
        """Close the consoles of guests that have ended, where nobody told of that."""
        for server_id in self._relay.servers():
            try:
                has_ended = self._tools.driver.power(server_id) in ENDED
            except GuestNotFound:
                has_ended = True
            except DriverError:
                continue  # nobody knows
            if has_ended:
                self._relay.end(server_id)

    def _run(self, work: Work) -> None:
        try:
            self._runner.run(work)
        finally:
            if work.action in ENDING:
                self._relay.end(work.target_id)
            self._under_way.pop(work.id, None)
            self._let_go(work.target_id, work.action)
            if self._reconciler.awaits(work.target_id):
                self._compare.set()
            self._hint.set()  # a worker is free, and the server's next operation may begin

    def _try_hold(self, server_id: str) -> bool:
        with self._guard:
            if server_id in self._held:
                return False
            self._held.add(server_id)
            return True

    def _let_go(self, server_id: str, action: str | None = None) -> None:
        with self._guard:
            self._held.discard(server_id)
        self._guest_watch.let_go(server_id, action)

    def _is_held(self, server_id: str) -> bool:
        with self._guard:
            return server_id in self._held

    def _renew(self) -> None:
        while not self._stopping.wait(RENEW_S):
            for owner in {work.owner for work in list(self._under_way.values())}:
                try:
                    operations.renew(self._store, owner)
                except Exception:
                    LOG.exception("host=%s event=renew-failed", self.host)

    def _report(self) -> None:
        while not self._stopping.wait(self._conf.compute.report_interval):
            try:
                self._reporter.report()
            except Exception:
                LOG.exception("host=%s event=report-failed", self.host)

    def _reconcile(self) -> None:
        starting = True
        while not self._stopping.is_set():
            self._compare.clear()
            try:
                self._reconciler.run(starting=starting)
                starting = False
                self._end_consoles()
                self._upkeep.run()
            except Exception:
                LOG.exception("host=%s event=reconcile-failed", self.host)
            if not self._stopping.is_set():
                self._compare.wait(self._conf.compute.reconcile_interval)

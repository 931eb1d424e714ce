"""The scheduler's threads: placements, and the sweeper."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from nova_lite.bus import AGENT, SCHEDULER, Bus, Listener, Waker
from nova_lite.compute import console_tokens, due, purge
from nova_lite.db import operations
from nova_lite.db.operations import LEASE_S, Work
from nova_lite.db.store import Store
from nova_lite.errors import StaleState
from nova_lite.scheduler import assign, snapshot, sweep
from nova_lite.scheduler.place import Weights

LOG = logging.getLogger(__name__)

BATCH = 8
"""Servers that are placed on one snapshot of the hosts; small, so that several threads and schedulers share a burst."""

RETRY_S = 1.0
PURGE_EVERY_S = 60.0
PURGE_MOST = 1000
"""Servers, and operations, that one look removes at most; what is left waits for the next."""


class Scheduler:
    """Places servers until it is stopped. Any number of them may run on one database.

    :param bus: None: no messages, only polling (tests of exactly that).
    """

    def __init__(self, conf: cfg.ConfigOpts, store: Store, bus: Bus | None, waker: Waker) -> None:
        self._conf = conf
        self._store = store
        self._bus = bus
        self._waker = waker
        self._owner = operations.new_owner(f"scheduler-{conf.host}")
        self._weights = Weights(memory=conf.scheduler.memory_weight, vcpus=conf.scheduler.vcpu_weight)
        self._stopping = threading.Event()
        self._hint = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._listener: Listener | None = None
        self._purge_at = time.monotonic() + PURGE_EVERY_S
        self._overdue = operations.overdue_turns()
        self._due = due.Due(store, conf.compute)

    def start(self) -> None:
        """Begin to listen and to work; returns at once."""
        if self._bus is not None:
            self._listener = self._bus.listen(SCHEDULER, self._conf.host, {"wake": self.wake})
        for number in range(self._conf.scheduler.workers):
            self._spawn(f"scheduler-{number}", self._work)
        self._spawn("sweeper", self._sweep)

    def wake(self) -> None:
        """Have one thread look at the queue now."""
        self._hint.release()

    def stop(self, timeout: float = 10.0) -> None:
        """End after the placements under way (a few milliseconds each); at most *timeout* seconds."""
        self._stopping.set()
        for _ in self._threads:
            self._hint.release()
        if self._listener is not None:
            self._listener.stop()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _spawn(self, name: str, function: Callable[[], Any]) -> None:
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self.place_some()
            except Exception:
                LOG.exception("scheduler=%s event=round-failed", self._conf.host)
                # What was taken and not placed is anybody's once its lease is over; this life's name is done with.
                self._owner = operations.new_owner(f"scheduler-{self._conf.host}")
                self._stopping.wait(min(1.0, self._conf.scheduler.poll_interval))
                continue
            # Fewer than it asked for: that was all there was, and whatever came since has left a hint.
            if taken < BATCH:
                self._hint.acquire(timeout=self._conf.scheduler.poll_interval)
                while not self._stopping.is_set() and self._hint.acquire(blocking=False):
                    pass  # one look answers all the hints that came before it

    def place_some(self) -> int:
        """Take up to ``BATCH`` operations and place their servers; return how many were taken."""
        works = operations.take(self._store, SCHEDULER, self._owner, limit=BATCH)
        if not works:
            return 0
        if len(works) == BATCH:
            self._hint.release()  # there is likely more, and another thread may be idle
        deadline = time.monotonic() + LEASE_S / 2
        with self._store.read() as session:
            hosts = snapshot.read_hosts(session, self._conf.compute.down_after)
        for work in works:
            if time.monotonic() > deadline:
                operations.renew(self._store, self._owner)
                deadline = time.monotonic() + LEASE_S / 2
            self._place(work, hosts)
        return len(works)

    def _place(self, work: Work, hosts: snapshot.Snapshot) -> None:
        try:
            outcome = assign.assign(self._store, work, hosts, self._weights)
        except StaleState:
            return  # another scheduler holds it now
        except Exception:
            LOG.exception("server=%s event=placing-failed operation=%d", work.target_id, work.id)
            self._store.transact(lambda session: operations.retry_later(session, work, RETRY_S, "placing failed"))
            return
        if isinstance(outcome, assign.Assigned):
            self._waker.wake(AGENT, outcome.host)

    def _purge_now_and_then(self) -> None:
        if time.monotonic() < self._purge_at:
            return
        self._purge_at = time.monotonic() + PURGE_EVERY_S
        console_tokens.purge(self._store)
        went = purge.purge(self._store, purge.limits(self._conf), most=PURGE_MOST)
        if went != purge.Purged():
            LOG.info(
                "scheduler=%s event=purged servers=%d operations=%d", self._conf.host, went.servers, went.operations
            )

    def _sweep(self) -> None:
        while not self._stopping.wait(self._conf.scheduler.sweep_interval):
            for work in (self._end_overdue, self._purge_now_and_then, self._begin_due):
                try:
                    work()
                except Exception:
                    LOG.exception("scheduler=%s event=sweep-failed", self._conf.host)

    def _end_overdue(self) -> None:
        sweep.sweep(self._store, self._owner, self._conf.compute.down_after, self._overdue)

    def _begin_due(self) -> None:
        for host in self._due.begin():
            self._waker.wake(AGENT, host)

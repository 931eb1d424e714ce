"""A listener that never makes its service wait, and gets a whole new connection when it has gone deaf."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from nova_lite.bus import inprocess
from nova_lite.bus.link import Link, end

LOG = logging.getLogger(__name__)

STOP_S = 5.0
"""How long a listener may take to end; after that its connection is ended by force."""

PROBE_S = 5.0
"""Seconds between the hints that a listener on a broker sends itself."""

HEAR_S = 4.0
"""Seconds in which such a hint arrives."""

MISSES = 2
"""Hints in a row that did not arrive: one may have been lost with the broker."""

SHARED_EVERY = 10
"""Of so many times in a row that it is found deaf, the third takes its topic's queue, too, which costs all others on it something."""

START_S = 30.0
"""How long one connection is tried; a broker that is away is met by the next one, too."""


class Heard:
    """Counts the hints that were heard."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.count = 0

    def note(self) -> None:
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait_beyond(self, count: int, timeout: float) -> bool:
        """Wait until more than *count* were heard; False: not within *timeout* seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: self.count > count, timeout)


class Listener:
    """A server of oslo.messaging on a link of its own.

    It sends itself a hint every ``PROBE_S`` seconds. When ``MISSES`` in a row don't arrive, whatever the reason, link and
    server are scrapped and made anew; while the broker is away that costs little, and the new ones wait for it. Where
    the new ones hear nothing either, the fault is the broker's, and its queue is made anew, too. RabbitMQ 3.10 that is killed
    while it makes a quorum queue may not find a leader for it ever again, and after a restart it may show a binding by
    which it routes nothing (https://github.com/rabbitmq/rabbitmq-server/issues/5075); both last as long as the queue. What is
    of no use with its own queue is tried with that of its topic, too, whose other consumers come back by themselves.

    :param connect: makes the link.
    :param serve: makes the server on a link.
    :param queues: the queue that is this listener's alone, and that of all of its topic.
    :param probe: sends a hint to this listener; None: it is never deaf (a bus within the process).
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        serve: Callable[[Link], Any],
        queues: tuple[str, str],
        name: str,
        heard: Heard,
        probe: Callable[[Link], None] | None,
    ) -> None:
        self._connect = connect
        self._serve = serve
        self._queues = queues
        self._name = name
        self._heard = heard
        self._probe = probe
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._swap = threading.Lock()
        self._deaf = 0
        """How often in a row it was found deaf without having heard anything."""
        self._heard_before = 0
        """What had been heard when it was last found deaf."""
        self._link = connect()
        self._server = serve(self._link)
        threading.Thread(target=self._run, name=f"bus-{name}", daemon=True).start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the listener is connected; False when it is not after *timeout* seconds."""
        return self._ready.wait(timeout)

    def stop(self) -> None:
        """Stop hearing; bounded by ``STOP_S``."""
        with self._swap:
            self._stopping.set()
        deaf = threading.Event()
        threading.Thread(target=self._finish, args=(deaf,), name=f"bus-stop-{self._name}", daemon=True).start()
        deadline = time.monotonic() + STOP_S
        while self._ready.is_set() and not deaf.wait(0.02) and time.monotonic() < deadline:
            inprocess.ARRIVALS.interrupt()

    def _finish(self, deaf: threading.Event) -> None:
        """End the server in good order if it can be had, by force if not."""
        if self._ready.is_set():
            ending = threading.Thread(target=end, args=(self._server, deaf), name=f"bus-end-{self._name}", daemon=True)
            ending.start()
            ending.join(STOP_S)
        if self._probe is not None:
            self._link.scrap(self._server)

    def _run(self) -> None:
        self._start()
        while self._probe is not None and not self._stopping.wait(PROBE_S):
            if any(self._hears() for _ in range(MISSES)) or self._stopping.is_set():
                continue
            self._deaf = self._deaf + 1 if self._heard.count == self._heard_before else 1
            self._heard_before = self._heard.count
            LOG.warning("listener=%s event=deaf (it is made anew)", self._name)
            self._renew()
            self._start()

    def _start(self) -> None:
        """Start the server; on a broker, not return before it is started."""
        while not self._stopping.is_set():
            started: Future[bool] = Future()
            threading.Thread(target=self._begin, args=(self._link, self._server, started), daemon=True).start()
            with contextlib.suppress(TimeoutError):
                if started.result(START_S):
                    self._ready.set()
                    if self._stopping.is_set():
                        end(self._server)  # stopped while it began: whoever stopped it found nothing to end
                    return
            if self._probe is None:
                return
            if not self._stopping.wait(1.0):
                self._renew()

    def _begin(self, link: Link, server: Any, started: Future[bool]) -> None:
        try:
            self._forget(link)
            server.start()
        except Exception as error:
            if not self._stopping.is_set():
                LOG.warning("listener=%s event=not-started reason=%r (work is polled for)", self._name, str(error))
            started.set_result(False)
        else:
            started.set_result(True)

    def _forget(self, link: Link) -> None:
        """Have the broker forget its queue where a new listener was deaf, too; now and then that of its topic."""
        own, shared = self._queues
        for queue in [own] * (self._deaf > 1) + [shared] * (self._deaf % SHARED_EVERY == 3):
            try:
                link.forget(queue)
            except Exception as error:  # it is away: then that is why
                LOG.info("listener=%s event=queue-not-forgotten queue=%s reason=%r", self._name, queue, str(error))

    def _renew(self) -> None:
        with self._swap:
            if self._stopping.is_set():
                return
            self._ready.clear()
            link, server = self._link, self._server
            self._link = self._connect()
            self._server = self._serve(self._link)
        link.scrap(server)

    def _hears(self) -> bool:
        before = self._heard.count
        threading.Thread(target=self._try, args=(self._link,), name=f"bus-probe-{self._name}", daemon=True).start()
        deadline = time.monotonic() + HEAR_S
        while not self._heard.wait_beyond(before, 0.5):
            if self._stopping.is_set() or time.monotonic() > deadline:
                return False
        return True

    def _try(self, link: Link) -> None:
        assert self._probe is not None
        try:
            self._probe(link)
        except Exception as error:
            LOG.info("listener=%s event=probe-failed reason=%r", self._name, str(error))

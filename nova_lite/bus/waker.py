"""Wake workers without ever making the one who asks wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nova_lite.errors import NovaLiteError

LOG = logging.getLogger(__name__)

LIMIT = 1024
"""Different workers that may be waiting to be woken; more are dropped, as they poll anyway."""


class Waker:
    """Sends hints from a thread of its own; the same hint twice is sent once. A worker of the same process is told without a message.

    :param send: sends one hint (topic, host); it may block and fail (``Bus.cast``).
    """

    def __init__(self, send: Callable[[str, str | None], None]) -> None:
        self._send = send
        self._waiting: dict[tuple[str, str | None], None] = {}
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._down = False
        self._own: dict[tuple[str, str | None], Callable[[], None]] = {}

    def tell(self, topic: str, host: str | None, worker: Callable[[], None]) -> None:
        """Let hints for *topic* (on *host*) go straight to *worker*, which runs in this process, returns at once and never fails.

        A message would take a hundred times as long, and would tell nobody else anything: any one worker of a topic is enough.
        """
        self._own[topic, host] = worker

    def wake(self, topic: str, host: str | None = None) -> None:
        """Hint that *topic* has work, on *host*. Returns at once; never fails."""
        worker = self._own.get((topic, host))
        if worker is not None:
            worker()
            return
        with self._condition:
            if self._stopping or len(self._waiting) >= LIMIT:
                return
            self._waiting[topic, host] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                self._thread.start()
            self._condition.notify()

    def stop(self, timeout: float = 1.0) -> None:
        """Send what waits, if that goes within *timeout* seconds, and end."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                topic, host = next(iter(self._waiting))
                del self._waiting[topic, host]
            self._try(topic, host)

    def _try(self, topic: str, host: str | None) -> None:
        try:
            self._send(topic, host)
        except Exception as error:
            if not self._down:
                reason = error.message if isinstance(error, NovaLiteError) else repr(error)
                LOG.warning("bus=down reason=%r (workers poll meanwhile)", reason)
            self._down = True
            return
        if self._down:
            LOG.warning("bus=up")
        self._down = False

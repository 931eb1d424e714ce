"""Several processes that share one listening socket, kept alive by a parent that holds nothing but it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable

LOG = logging.getLogger(__name__)

TERMINATE_S = 15.0
QUICK_S = 1.0
"""A worker that lived shorter than this is started again only after as long a pause."""

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Workers:
    """Forks *count* workers, starts dead ones again, and ends them all on SIGTERM or SIGINT.

    :param run: what a worker does; it gets the descriptor whose end of file says that the parent is gone. It is called
        in a fresh child, so the parent should have imported little and started no thread.
    """

    def __init__(self, count: int, run: Callable[[int], None]) -> None:
        self._count = count
        self._run = run
        self._born: dict[int, float] = {}
        self._alive, self._life = os.pipe()

    def supervise(self) -> None:
        """Keep the workers alive until a signal says to end; returns when they have ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            while True:
                while len(self._born) < self._count:
                    self._fork()
                if signal.sigwait(_WATCHED) != signal.SIGCHLD:
                    return
                self._bury()
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)

    def _fork(self) -> None:
        pid = os.fork()
        if pid:
            self._born[pid] = time.monotonic()
            return
        code = 1
        try:
            os.close(self._life)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            self._run(self._alive)
            code = 0
        except BaseException:
            LOG.exception("event=worker-crashed pid=%d", os.getpid())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _bury(self) -> None:
        while self._born:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            lived = time.monotonic() - self._born.pop(pid, 0.0)
            LOG.warning("event=worker-ended pid=%d status=%d lived_s=%.1f", pid, status, lived)
            if lived < QUICK_S:
                time.sleep(QUICK_S)

    def _end(self) -> None:
        for pid in self._born:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + TERMINATE_S
        while self._born and time.monotonic() < deadline:
            pid, _status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._born.pop(pid, None)
            else:
                time.sleep(0.02)
        for pid in self._born:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._born.clear()

"""Where a process kills itself: it is armed with a point and a number, and dies when it passes that point for the n-th time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

POINTS = {
    "api": ("commit-before", "commit-after"),
    "scheduler": ("commit-before", "commit-after"),
    "agent": ("step", "commit-before", "commit-after", "driver-before", "driver-after"),
    "cloud": ("step", "commit-before", "commit-after", "driver-before", "driver-after"),
}
"""Points that each kind of process passes; ``cloud`` is all of it in one process."""


@dataclass(frozen=True)
class Strike:
    """``point`` ``time``: killed from outside after ``delay`` seconds; else by itself at the ``number``-th pass."""

    victim: str
    point: str
    number: int
    delay: float


class Death:
    """Kills this process with SIGKILL when what it was armed with comes to pass."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """:param note: is told where the process dies, just before it does."""
        self._note = note
        self._lock = threading.Lock()
        self._point = ""
        self._left = 0

    def arm(self, point: str, number: int) -> None:
        """Die at the *number*-th pass of *point* from now on."""
        with self._lock:
            self._point, self._left = point, number

    def at(self, point: str, detail: str = "") -> None:
        """Pass a point."""
        with self._lock:
            if point != self._point:
                return
            self._left -= 1
            if self._left > 0:
                return
            self._note(f"{point} {detail}".strip())
            os.kill(os.getpid(), signal.SIGKILL)

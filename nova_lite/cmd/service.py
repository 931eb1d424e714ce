"""Run a service that is made of native threads until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
from collections.abc import Callable

_ENDS = (signal.SIGTERM, signal.SIGINT)


def run_until_signal(start: Callable[[], None], stop: Callable[[], None]) -> None:
    """Call *start*, wait for the signal, call *stop*. The signals are blocked before any thread is started, so that this
    thread alone gets them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        start()
        signal.sigwait(_ENDS)
    finally:
        stop()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)

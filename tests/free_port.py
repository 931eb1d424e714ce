"""A port for a server that another process will listen on, which nobody else takes in the meantime."""

from __future__ import annotations

import os
import socket
from itertools import count

_FIRST, _LAST = 20_000, 32_000
"""Below those that the kernel gives to whoever asks for any: one of these may be gone before the server has come so far."""
_WORKERS = 8

_turns = count()


def free_port() -> int:
    """Return a port of the loopback that is free, and that no other worker of this run is given either."""
    share = (_LAST - _FIRST) // _WORKERS
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    for _ in range(share):
        # Where a process begins is its own, so that runs beside each other do not meet.
        port = _FIRST + worker * share + (os.getpid() * 7 + next(_turns)) % share
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")

"""One agent per host: a lock on a file in the state directory, which the kernel lets go when its process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from nova_lite.errors import Conflict


class HostLock:
    """Holds ``<state_path>/agent-<host>.lock`` until it is released or the process ends."""

    def __init__(self, state_path: Path, host: str) -> None:
        self._path = state_path / f"agent-{host}.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; ours already is well. :raises Conflict: another agent of this host has it."""
        if self._descriptor is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise Conflict(f"Another agent of this host is running: it holds {self._path}.", "agent.running") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go; the file stays, as to remove it would let two agents hold one lock each."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

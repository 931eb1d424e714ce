"""Console logs: bounded, read while the guest runs and after it has stopped.

QEMU guests' logs are written by virtlogd, which outlives agent and libvirtd and rotates them (``max_size`` and
``max_backups`` in virtlogd.conf; 2 MiB and 3 by default). libvirt's LXC driver has no log, so one thread of the agent
reads all containers' consoles. While no agent runs, a container's output waits in its terminal (some 4 kB; then
its writes wait); after the agent's restart :meth:`ConsoleReader.follow` takes it up again.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
from dataclasses import dataclass
from pathlib import Path

LOG = logging.getLogger(__name__)

_BACKUPS = 3
_PIECE = 65_536


def read_tail(log: Path, limit: int) -> bytes:
    """Return the last *limit* bytes of *log* and the older files that it was rotated into (``.0`` is the newest)."""
    pieces: list[bytes] = []
    left = limit
    for path in (log, *(log.with_name(f"{log.name}.{number}") for number in range(_BACKUPS))):
        if left <= 0:
            break
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - left, 0))
                pieces.append(file.read(left))
        except FileNotFoundError:
            continue
        left -= len(pieces[-1])
    return b"".join(reversed(pieces))


@dataclass
class _Followed:
    server_id: str
    log: Path
    terminal: str


class ConsoleReader:
    """One thread that copies containers' consoles into their logs."""

    def __init__(self, max_bytes: int) -> None:
        """:param max_bytes: a log's size when it becomes its ``.0``, so twice that is kept at most."""
        self._max_bytes = max_bytes
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._pending: list[tuple[int, _Followed]] = []
        self._known: dict[str, str] = {}

    def follow(self, server_id: str, terminal: str, log: Path) -> None:
        """Copy what *terminal* (``/dev/pts/…``) says to *log* from now on; following it already is success.

        A container that has ended meanwhile has no terminal any more, which is no error.
        """
        with self._lock:
            if self._known.get(server_id) == terminal:
                return
            try:
                descriptor = os.open(terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                LOG.info("console gone server=%s terminal=%s error=%s", server_id, terminal, error.strerror)
                return
            self._known[server_id] = terminal
            self._pending.append((descriptor, _Followed(server_id, log, terminal)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="container consoles", daemon=True)
                self._thread.start()
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, _PIECE)
                    self._take_pending()
                else:
                    self._copy(key.fd, key.data)

    def _take_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for descriptor, followed in pending:
            self._selector.register(descriptor, selectors.EVENT_READ, followed)

    def _copy(self, descriptor: int, followed: _Followed) -> None:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            try:
                append(followed.log, piece, self._max_bytes)
                return
            except OSError as error:
                # The guest is being removed, or the disk is full: its output is not worth the other guests' logs.
                LOG.warning("console log server=%s error=%s", followed.server_id, error.strerror)
                if followed.log.parent.exists():
                    return
        self._selector.unregister(descriptor)
        os.close(descriptor)
        with self._lock:
            if self._known.get(followed.server_id) == followed.terminal:
                del self._known[followed.server_id]


def append(log: Path, piece: bytes, max_bytes: int) -> None:
    """Write *piece* at the end of *log*; a log that is full is first renamed to ``.0``, in place of the one there."""
    with log.open("ab") as file:
        file.write(piece)
        full = file.tell() >= max_bytes
        os.fchmod(file.fileno(), 0o600)
    if full:
        log.rename(log.with_name(f"{log.name}.0"))

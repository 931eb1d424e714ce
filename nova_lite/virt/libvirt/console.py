"""Console logs: bounded, read while the guest runs and after it has stopped.

QEMU guests' logs are written by virtlogd, which outlives agent and libvirtd and rotates them (``max_size`` and
``max_backups`` in virtlogd.conf; 2 MiB and 3 by default). libvirt's LXC driver has none: ``console_reader`` writes those.
"""

from __future__ import annotations

import os
from pathlib import Path

_BACKUPS = 3


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


def append(log: Path, piece: bytes, max_bytes: int) -> None:
    """Write *piece* at the end of *log*; a log that is full is first renamed to ``.0``, in place of the one there."""
    with log.open("ab") as file:
        file.write(piece)
        full = file.tell() >= max_bytes
        os.fchmod(file.fileno(), 0o600)
    if full:
        log.rename(log.with_name(f"{log.name}.0"))

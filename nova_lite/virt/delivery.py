"""Hand a finished file over to whoever asked for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nova_lite.virt.waiting import GoOn, go_on

_CHUNK = 4 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def put_in_place(part: Path, target: Path) -> None:
    """Rename *part* to *target* once its content is on the disk: after a power failure there is the old file or the new, whole."""
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.rename(target)


def deliver(part: Path, target: Path, go_on: GoOn = go_on) -> None:
    """Move *part* to *target* in one step, as ours; another filesystem is copied to first, unless *go_on* raises something."""
    beside = target.with_name(f"{target.name}.part")
    try:
        part.rename(beside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy(part, target, go_on)
        part.unlink()
        return
    os.chown(beside, os.geteuid(), os.getegid())
    beside.rename(target)


def copy(source: Path, target: Path, go_on: GoOn = go_on) -> None:
    """Copy a file to *target*, 0600, which is there as a whole or as it was; *go_on* is called for each chunk."""
    beside = target.with_name(f"{target.name}.part")
    beside.unlink(missing_ok=True)
    try:
        with source.open("rb") as read, open(os.open(beside, _NEW, 0o600), "wb") as written:
            at = 0
            while sent := os.sendfile(written.fileno(), read.fileno(), at, _CHUNK):
                at += sent
                go_on()
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)

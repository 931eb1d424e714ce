"""The files that dnsmasq reads, one directory a process: ``<state_path>/networks/<network's number or router's name>/``."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def make_directory(directory: Path, gid: int) -> None:
    """Have a directory that dnsmasq's group may read and only root may write."""
    with contextlib.suppress(FileNotFoundError):
        found = directory.stat()
        if (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, gid, 0o750):
            return
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(directory, 0, gid)
    directory.chmod(0o750)


def replace(path: Path, content: str, mode: int) -> bool:
    """Have *path* hold *content*; False: it did already. A reader sees the old or the new, never a part."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == content:
            return False
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    os.replace(draft, path)
    return True


def read(path: Path) -> str:
    """Return what *path* holds; no file: nothing."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def remove(directory: Path) -> None:
    """Remove a directory; none there is success."""
    shutil.rmtree(directory, ignore_errors=True)

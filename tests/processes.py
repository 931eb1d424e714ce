"""What runs on the machine. Not by ``Path.glob``, which raises ProcessLookupError where a process ends while it looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def command_lines() -> Iterator[tuple[int, bytes]]:
    """Give each process's id and command line, in which a NUL ends each word; one that ends meanwhile is left out."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            line = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        yield int(name), line


def children(pid: int) -> list[int]:
    """Return what a process has started and not outlived; nothing where it has ended."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += [int(word) for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    return found

"""Build a FAT16 volume with long names, in pure Python: what a config drive is where its guest reads no ISO 9660.

Format: Microsoft's "FAT: General Overview of On-Disk Format" (1.03). The volume has 16 MiB, of which the file holds only what is used.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from nova_lite.host.ports import HostError

SECTOR = 512
SECTORS = 32_768
PER_CLUSTER = 2
CLUSTER = SECTOR * PER_CLUSTER
ROOT_ENTRIES = 512
FAT_SECTORS = 64
RESERVED = 1
ROOT_SECTORS = ROOT_ENTRIES * 32 // SECTOR
DATA_AT = (RESERVED + 2 * FAT_SECTORS + ROOT_SECTORS) * SECTOR
CLUSTERS = (SECTORS * SECTOR - DATA_AT) // CLUSTER
MEDIUM = 0xF8
END = 0xFFFF
DIRECTORY, LABEL, FILE, LONG = 0x10, 0x08, 0x20, 0x0F
DATE = 0x0021
"""1 January 1980: the same bytes from the same files each time."""


@dataclass
class _Directory:
    files: dict[str, bytes] = field(default_factory=dict)
    directories: dict[str, _Directory] = field(default_factory=dict)


def write(target: BinaryIO, label: str, files: Mapping[str, bytes]) -> None:
    """Write a volume with *files* (relative path → content) to the empty file *target*.

    :raises HostError: it does not hold them.
    """
    volume = _Volume(target)
    root = _Directory()
    for path, content in files.items():
        *parts, name = path.split("/")
        here = root
        for part in parts:
            here = here.directories.setdefault(part, _Directory())
        here.files[name] = content
    target.truncate(SECTORS * SECTOR)
    volume.finish(label, volume.entries(root, parent=0))


class _Volume:
    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._fat: list[int] = [0xFF00 | MEDIUM, END]

    def entries(self, directory: _Directory, parent: int) -> bytes:
        """Write what is in *directory*, and return its own table of entries. *parent*: its first cluster; 0: the root."""
        table = b""
        number = 0
        for name, below in sorted(directory.directories.items()):
            number += 1
            # Room first: the directory's own entries name its first cluster.
            first = self._reserve(self._size(below))
            dots = _short(b".".ljust(11), DIRECTORY, first, 0) + _short(b"..".ljust(11), DIRECTORY, parent, 0)
            self._put(first, dots + self.entries(below, parent=first))
            table += _named(name, number, DIRECTORY, first, 0)
        for name, content in sorted(directory.files.items()):
            number += 1
            first = self._reserve(len(content)) if content else 0
            if content:
                self._put(first, content)
            table += _named(name, number, FILE, first, len(content))
        return table

    def finish(self, label: str, root: bytes) -> None:
        """Write boot sector, both tables of clusters and the root directory."""
        name = label.encode("ascii").ljust(11)[:11]
        root = _short(name, LABEL, 0, 0) + root
        if len(root) > ROOT_ENTRIES * 32:
            raise _full()
        fat = struct.pack(f"<{len(self._fat)}H", *self._fat).ljust(FAT_SECTORS * SECTOR, b"\0")
        boot = struct.pack(
            "<3s8sHBHBHHBHHHIIBBBI11s8s", b"\xeb\x3c\x90", b"MSWIN4.1", SECTOR, PER_CLUSTER, RESERVED, 2, ROOT_ENTRIES,
            SECTORS, MEDIUM, FAT_SECTORS, 32, 64, 0, 0, 0x80, 0, 0x29, 0x6E6F7661, name, b"FAT16   ",
        )  # fmt: skip
        self._target.seek(0)
        self._target.write(boot.ljust(SECTOR - 2, b"\0") + b"\x55\xaa" + fat + fat + root)

    def _size(self, directory: _Directory) -> int:
        names = [*directory.directories, *directory.files]
        return 64 + sum(len(_named(name, 1, FILE, 0, 0)) for name in names)

    def _reserve(self, size: int) -> int:
        """Take clusters in a row for *size* bytes and return the first. :raises HostError: there are not enough."""
        count = max(1, -(-size // CLUSTER))
        first = len(self._fat)
        if first - 2 + count > CLUSTERS:
            raise _full()
        self._fat += [*range(first + 1, first + count), END]
        return first

    def _put(self, first: int, content: bytes) -> None:
        self._target.seek(DATA_AT + (first - 2) * CLUSTER)
        self._target.write(content)


def _named(name: str, number: int, kind: int, first: int, size: int) -> bytes:
    """Return the entries of a name: its long form from the end to the beginning, then a short form that is only unique."""
    short = f"{number:08d}".encode().ljust(11)
    total = 0
    for byte in short:
        total = ((total & 1) << 7) + (total >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    pieces = [units[start : start + 26] for start in range(0, len(units), 26)]
    found = b""
    for order, piece in reversed(list(enumerate(pieces, 1))):
        padded = (piece + b"\0\0" if len(piece) < 26 else piece).ljust(26, b"\xff")
        last = 0x40 if order == len(pieces) else 0
        found += struct.pack("<B10sBBB12sH4s", order | last, padded[:10], LONG, 0, total, padded[10:22], 0, padded[22:])
    return found + _short(short, kind, first, size)


def _short(name: bytes, kind: int, first: int, size: int) -> bytes:
    return struct.pack("<11sBBBHHHHHHHI", name, kind, 0, 0, 0, DATE, DATE, 0, 0, DATE, first, size)


def _full() -> HostError:
    return HostError("The config drive has no room for these files", code="host.config_drive_full")

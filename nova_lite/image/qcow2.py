"""Tell whether a qcow2 file holds all the clusters that its tables refer to, in time that grows with the file and nothing else.

Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from typing import BinaryIO

_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_L1_ENTRIES = 4 * 1024 * 1024
"""QEMU itself takes no larger L1 table (32 MiB)."""


class CutShort(Exception):
    """The file ends before what it refers to."""


class Odd(Exception):
    """Its tables lie over one another, which no program writes."""


def check_whole(path: Path) -> None:
    """Walk the tables of the file at *path*.

    :raises CutShort: it refers to data beyond its end. :raises Odd: two of its tables share a part of the file.
    """
    try:
        with path.open("rb") as file:
            _walk(file, path.stat().st_size)
    except struct.error:
        raise CutShort from None


def _walk(file: BinaryIO, size: int) -> None:
    fields = _HEADER.unpack(file.read(_HEADER.size))
    cluster_bits, l1_size, l1_offset = fields[4], fields[7], fields[8]
    if not 9 <= cluster_bits <= 21 or l1_size > _L1_ENTRIES:
        raise CutShort
    cluster = 1 << cluster_bits
    seen: set[int] = set()
    for entry in _table(file, l1_offset, l1_size, size):
        offset = entry & _OFFSET
        if not offset:
            continue
        # Tables that lie over one another would be read again and again: millions of entries may name the same one.
        if offset % cluster or offset in seen:
            raise Odd
        seen.add(offset)
        _check_clusters(_table(file, offset, cluster // 8, size), cluster_bits, size)


def _check_clusters(entries: array[int], cluster_bits: int, size: int) -> None:
    cluster = 1 << cluster_bits
    host_bits = 62 - (cluster_bits - 8)
    for entry in entries:
        if not entry:
            continue
        if entry & _COMPRESSED:
            start = entry & ((1 << host_bits) - 1)
            # The last sector of the file may be shorter than the count of sectors says.
            if start >= size:
                raise CutShort
        elif (entry & _OFFSET) + cluster > size + cluster - 512:
            raise CutShort


def _table(file: BinaryIO, offset: int, entries: int, size: int) -> array[int]:
    if offset + entries * 8 > size:
        raise CutShort
    file.seek(offset)
    table = array("Q", file.read(entries * 8))
    if sys.byteorder == "little":
        table.byteswap()
    return table

"""Make an empty FAT32 filesystem in pure Python: what ephemeral disks have by default, whatever is installed on the host.

Format: Microsoft's "FAT: General Overview of On-Disk Format" (1.03).
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

SECTOR = 512
LARGEST = (1 << 32) * SECTOR - SECTOR
"""Bytes: the number of sectors has 32 bits."""

_RESERVED = 32
_FATS = 2
_INFO, _BACKUP, _ROOT = 1, 6, 2
_MEDIUM = 0xF8
_END = 0x0FFFFFFF
_VOLUME_LABEL = 0x08
_CLUSTERS = ((260 << 20, 1), (8 << 30, 8), (16 << 30, 16), (32 << 30, 32))
"""The largest volume (bytes) with clusters of so many sectors, as Microsoft's table has it; a larger one has 64."""


def write(target: BinaryIO, size: int, label: str) -> None:
    """Write an empty filesystem of *size* bytes with *label* (at most 11 characters) to *target*, which is empty and sparse.

    Only what is not zero is written: boot sector and its copy, the beginnings of both tables, the root directory.
    """
    sectors = size // SECTOR
    per_cluster = next((count for most, count in _CLUSTERS if size <= most), 64)
    per_fat_sector = (256 * per_cluster + _FATS) // 2
    fat_sectors = -(-(sectors - _RESERVED) // per_fat_sector)
    clusters = (sectors - _RESERVED - _FATS * fat_sectors) // per_cluster
    name = label.encode("ascii").ljust(11)[:11]
    boot = struct.pack(
        "<3s8sHBHBHHBHHHIIIHHIHH12sBBBI11s8s", b"\xeb\x58\x90", b"MSWIN4.1", SECTOR, per_cluster, _RESERVED, _FATS, 0, 0,
        _MEDIUM, 0, 63, 255, 0, sectors, fat_sectors, 0, 0, _ROOT, _INFO, _BACKUP, b"", 0x80, 0, 0x29,
        int.from_bytes(os.urandom(4), "little"), name, b"FAT32   ",
    )  # fmt: skip
    info = struct.pack("<I480xIII12xI", 0x41615252, 0x61417272, clusters - 1, _ROOT + 1, 0xAA550000)
    start = boot.ljust(SECTOR - 2, b"\0") + b"\x55\xaa" + info
    target.truncate(size)
    for sector in (0, _BACKUP):
        target.seek(sector * SECTOR)
        target.write(start)
    for index in range(_FATS):
        target.seek((_RESERVED + index * fat_sectors) * SECTOR)
        target.write(struct.pack("<III", _END & ~0xFF | _MEDIUM, _END, _END))
    target.seek((_RESERVED + _FATS * fat_sectors) * SECTOR)
    target.write(struct.pack("<11sB20x", name, _VOLUME_LABEL))

"""Boot media of a few bytes: what boots from them writes one letter on the serial port, so it is seen which of them was booted."""

from __future__ import annotations

import struct

_SECTOR = 2048
_DESCRIPTORS, _CATALOG, _PROGRAM = 16, 19, 20
"""Sectors of a CD: descriptors of the volume, of how to boot it, and their end; the boot catalog; what is booted."""


def boot_sector(letter: bytes) -> bytes:
    """Return a disk's first sector: mov dx, 0x3f8; mov al, *letter*; out dx, al; hlt; and again hlt."""
    program = b"\xba\xf8\x03\xb0" + letter + b"\xee\xf4\xeb\xfd"
    return program.ljust(510, b"\0") + b"\x55\xaa"


def disk(letter: bytes) -> bytes:
    """Return a raw disk of 1 MiB."""
    return boot_sector(letter).ljust(1 << 20, b"\0")


def cd(letter: bytes) -> bytes:
    """Return an ISO 9660 image without files, which boots *letter* (El Torito, no emulation).

    Source: https://pdos.csail.mit.edu/6.828/2014/readings/boot-cdrom.pdf
    """
    sectors = _PROGRAM + 1
    volume = bytearray(_SECTOR)
    volume[:7] = b"\x01CD001\x01"
    volume[80:88] = struct.pack("<I", sectors) + struct.pack(">I", sectors)
    volume[128:132] = struct.pack("<H", _SECTOR) + struct.pack(">H", _SECTOR)
    boot = bytearray(_SECTOR)
    boot[:39] = b"\x00CD001\x01" + b"EL TORITO SPECIFICATION".ljust(32, b"\0")
    boot[71:75] = struct.pack("<I", _CATALOG)
    end = b"\xffCD001\x01".ljust(_SECTOR, b"\0")
    check = struct.pack("<HBB24s", 1, 0, 0, b"")
    entry = check + struct.pack("<H", -(sum(struct.unpack("<14H", check)) + 0xAA55) & 0xFFFF) + b"\x55\xaa"
    entry += struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 4, _PROGRAM)
    image = bytes(_DESCRIPTORS * _SECTOR) + volume + boot + end
    return image + entry.ljust(_SECTOR, b"\0") + boot_sector(letter).ljust(_SECTOR, b"\0")

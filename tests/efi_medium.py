"""A disk that says which firmware has booted it: a FAT volume with a program for UEFI, and a boot sector for BIOS."""

from __future__ import annotations

import io
import struct

from nova_lite.host import config_fat

SAYS = "booted by UEFI"
BIOS_SAYS = b"B"
_FILE = "EFI/BOOT/BOOTX64.EFI"
"""What UEFI boots from a disk that its variables know nothing of."""

_TEXT_AT, _IMAGE, _HEADERS = 0x1000, 0x2000, 0x200
_BOOT_CODE_AT = 62


def program() -> bytes:
    """Return a UEFI application (PE32+, x86-64) that writes :data:`SAYS` on the console and stays.

    Source: https://learn.microsoft.com/windows/win32/debug/pe-format, UEFI 2.10, 4.3 (system table) and 12.4 (text output)
    """
    # sub rsp, 40; mov rcx, [rdx + 64] (ConOut); lea rdx, [rip + 5]; call [rcx + 8] (OutputString); jmp $
    code = b"\x48\x83\xec\x28" + b"\x48\x8b\x4a\x40" + b"\x48\x8d\x15\x05\x00\x00\x00" + b"\xff\x51\x08" + b"\xeb\xfe"
    text = (code + f"{SAYS}\r\n\0".encode("utf-16-le")).ljust(_HEADERS, b"\0")
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x0022)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, len(text), 0, 0, _TEXT_AT, _TEXT_AT)
    optional += struct.pack("<QIIHHHHHHIIIIHH", 0, 0x1000, _HEADERS, 0, 0, 0, 0, 0, 0, 0, _IMAGE, _HEADERS, 0, 10, 0)
    optional += struct.pack("<QQQQII", 0x1000, 0x1000, 0x1000, 0x1000, 0, 16) + bytes(16 * 8)
    section = struct.pack("<8sIIIIIIHHI", b".text", len(text), _TEXT_AT, len(text), _HEADERS, 0, 0, 0, 0, 0x60000020)
    return (dos + coff + optional + section).ljust(_HEADERS, b"\0") + text


def disk() -> bytes:
    """Return the raw disk, of 16 MiB."""
    volume = io.BytesIO()
    config_fat.write(volume, "EFI", {_FILE: program()})
    # A file of that length would be sparse; bytes are not.
    content = bytearray(volume.getvalue().ljust(config_fat.SECTORS * config_fat.SECTOR, b"\0"))
    # mov dx, 0x3f8; mov al, letter; out dx, al; hlt; and again hlt.
    code = b"\xba\xf8\x03\xb0" + BIOS_SAYS + b"\xee\xf4\xeb\xfd"
    content[:3] = b"\xeb" + bytes([_BOOT_CODE_AT - 2]) + b"\x90"
    content[_BOOT_CODE_AT : _BOOT_CODE_AT + len(code)] = code
    content[510:512] = b"\x55\xaa"
    return bytes(content)

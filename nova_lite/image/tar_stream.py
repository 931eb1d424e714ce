"""Walk a tar archive of a stranger's in bounded memory and time.

Python's ``tarfile`` reads an extended header whole into memory, however large it says that it is, and has no bound on what
a compressed archive unfolds to. This reader knows headers, sizes and names, and nothing else.
Format: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

BLOCK = 512
CHUNK = 1 << 18
MAX_EXTENDED_HEADER = 1 << 20
FILE_TYPES = (b"\0", b"0", b"7", b"S")
DEVICE_TYPES = (b"3", b"4")
DATALESS_TYPES = (b"1", b"2", *DEVICE_TYPES, b"5", b"6")


class HostileArchive(Exception):
    """The archive is damaged, or passes a limit; the text says how."""


@dataclass(frozen=True)
class Member:
    """An entry: ``kind`` is the header's type flag, ``size`` what its data has, in bytes."""

    name: str
    kind: bytes
    size: int
    reader: Reader

    def is_file(self) -> bool:
        """Say whether it is a plain file."""
        return self.kind in FILE_TYPES

    def is_device(self) -> bool:
        """Say whether it is a device node."""
        return self.kind in DEVICE_TYPES

    def chunks(self) -> Iterator[bytes]:
        """Yield the data, to be read before the next entry is asked for; what is left over is skipped."""
        return self.reader.data()


class Reader:
    """Reads from a stream and counts. ``limit``: the most bytes that it reads in all."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._left_in_all = limit
        self._left = 0
        self._padding = 0

    def exactly(self, size: int) -> bytes:
        """Read *size* bytes. :raises HostileArchive: the stream ends before, or the limit is passed."""
        self._left_in_all -= size
        if self._left_in_all < 0:
            raise HostileArchive("it unpacks to more than is allowed")
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise HostileArchive(f"it is damaged ({error})") from error
        if len(data) != size:
            raise HostileArchive("it is cut short")
        return data

    def begin(self, size: int) -> None:
        """Stand before an entry's data of *size* bytes."""
        self._left, self._padding = size, -size % BLOCK

    def data(self) -> Iterator[bytes]:
        """Yield what is left of the entry's data."""
        while self._left:
            chunk = self.exactly(min(self._left, CHUNK))
            self._left -= len(chunk)
            yield chunk

    def finish(self) -> None:
        """Go to the next header."""
        for _ in self.data():
            pass
        self.exactly(self._padding)
        self._padding = 0


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a tar or a tar.gz, by its first bytes. :raises HostileArchive: it is compressed in a way that is not taken."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as unfolded:
                yield cast(BinaryIO, unfolded)
        elif magic in (b"\x28\xb5\x2f\xfd", b"\xfd7zX") or magic[:3] == b"BZh":
            raise HostileArchive("it is compressed with zstd, xz or bzip2; only gzip is taken")
        else:
            yield file


def members(stream: BinaryIO, limit: int) -> Iterator[Member]:
    """Yield the entries of an archive. *limit*: bytes of the unfolded archive, headers included.

    :raises HostileArchive: it is damaged, cut short or larger than *limit*.
    """
    reader = Reader(stream, limit)
    records: dict[str, str] = {}
    long_name = ""
    while True:
        header = reader.exactly(BLOCK)
        if not header.strip(b"\0"):
            return
        _check_sum(header)
        kind = header[156:157]
        size = 0 if kind in DATALESS_TYPES else _number(header[124:136])
        if kind in (b"x", b"L", b"K", b"g"):
            if size > MAX_EXTENDED_HEADER:
                raise HostileArchive("an extended header is larger than 1 MiB")
            text = reader.exactly(size + -size % BLOCK)[:size]
            if kind == b"x":
                records = _records(text)
            elif kind == b"L":
                long_name = text.rstrip(b"\0").decode(errors="replace")
            continue
        if "size" in records and size:
            size = _decimal(records["size"])
        reader.begin(size)
        yield Member(records.get("path") or long_name or _name(header), kind, size, reader)
        reader.finish()
        records, long_name = {}, ""


def _check_sum(header: bytes) -> None:
    total = sum(header) - sum(header[148:156]) + 8 * 0x20
    if total != _number(header[148:156]):
        raise HostileArchive("a header's checksum is wrong")


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode(errors="replace")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text or b"0", 8)
    except ValueError as error:
        raise HostileArchive("a header holds no number where one should be") from error


def _records(text: bytes) -> dict[str, str]:
    """Read pax records: ``length key=value`` and a newline, where length counts it all."""
    found = {}
    while text.strip(b"\0"):
        digits, _, _ = text.partition(b" ")
        length = _decimal(digits.decode(errors="replace"))
        if not len(digits) + 1 < length <= len(text):
            raise HostileArchive("an extended header is damaged")
        key, _, value = text[len(digits) + 1 : length - 1].partition(b"=")
        found[key.decode(errors="replace")] = value.decode(errors="replace")
        text = text[length:]
    return found


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise HostileArchive("an extended header holds no number where one should be")
    return int(text)

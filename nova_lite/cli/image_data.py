"""An image's bytes: sent from a file or stdin as they are read, saved to a file and checked."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nova_lite.cli import names
from nova_lite.cli.command import Command
from nova_lite.cli.connection import TRANSFER_TIMEOUT_S, Connection
from nova_lite.cli.faults import CommandError
from nova_lite.cli.progress import Progress

_CHUNK = 1 << 20
_MIB = 1 << 20


class Source:
    """A file that says how far it has been read.

    ``requests`` asks for ``__len__`` to send a Content-Length; a stream has none and is sent in chunks.
    """

    def __init__(self, stream: BinaryIO, size: int, progress: Progress) -> None:
        self._stream = stream
        self._size = size
        self._progress = progress
        self._read = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        data = self._stream.read(size if 0 <= size < _CHUNK else _CHUNK) if size != 0 else b""
        self._read += len(data)
        self._progress.say(_how_far("sent", self._read, self._size))
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(_CHUNK):
            yield data


def _how_far(done: str, count: int, size: int) -> str:
    if not size:
        return f"{done} {count / _MIB:.1f} MiB"
    return f"{done} {count / _MIB:.1f} of {size / _MIB:.1f} MiB ({count * 100 // size} %)"


def open_source(name: str, stdin: Any) -> BinaryIO:
    """Open a file, or stdin for ``-``. :raises CommandError: it can't be read."""
    if name == "-":
        if stdin.isatty():
            raise CommandError("Stdin is a terminal; send an image into it, or name a file with --file.")
        found: BinaryIO = stdin.buffer
        return found
    try:
        return open(name, "rb")
    except OSError as error:
        raise CommandError(f"The image can't be read: {error.strerror}: {name}") from None


def upload(connection: Connection, image_id: str, stream: BinaryIO, progress: Progress) -> None:
    """Send *stream* as an image's data. :raises CommandError: the service refused it, or the connection broke."""
    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    source = Source(stream, size, progress)
    connection.image.request(
        "PUT",
        f"images/{image_id}/file",
        data=source if size else iter(source),
        headers={"Content-Type": "application/octet-stream"},
        timeout=TRANSFER_TIMEOUT_S,
    )


class SaveImage(Command):
    """Save an image's data to a file; its checksum is verified."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the image and the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="IMAGE", help="name or id")
        parser.add_argument("--file", metavar="FILE", help="where to (default: stdout, if it is no terminal)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Fetch and save it. A file appears only when it is whole."""
        if not parsed_args.file and self.app.stdout.isatty():
            raise CommandError("An image is nothing for a terminal; name a file with --file.")
        image = names.image(self.connection, parsed_args.image)
        if not parsed_args.file:
            self._fetch(image, self.app.stdout.buffer)
            return
        target = Path(parsed_args.file)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with partial.open("xb") as stream:
                self._fetch(image, stream)
            partial.replace(target)
        except OSError as error:
            raise CommandError(f"{target} can't be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()

    def _fetch(self, image: Mapping[str, Any], target: BinaryIO) -> None:
        response = self.connection.image.request(
            "GET",
            f"images/{image['id']}/file",
            headers={"Accept": "application/octet-stream"},
            stream=True,
        )
        if response.status_code == 204:
            raise CommandError(f"Image {image['name']} has no data; its status is {image['status']}.")
        digest = hashlib.new(image.get("os_hash_algo") or "md5", usedforsecurity=False)
        expected = image.get("os_hash_value") or image.get("checksum")
        size, count = int(image.get("size") or 0), 0
        with Progress(self.app.stderr, enabled=self.app.stderr.isatty()) as progress:
            for chunk in _chunks(response):
                digest.update(chunk)
                target.write(chunk)
                count += len(chunk)
                progress.say(_how_far("received", count, size))
        target.flush()
        if (size and count != size) or (expected and digest.hexdigest() != expected):
            raise CommandError(f"What came is not image {image['name']}: {count} bytes, and another checksum.")


def _chunks(response: Any) -> Iterator[bytes]:
    from requests.exceptions import RequestException

    try:
        yield from response.iter_content(_CHUNK)
    except RequestException as error:
        raise CommandError(f"The connection broke while the image was fetched: {error}") from None

"""The image store: one file an image, written beside and renamed, so that a name always means a whole image."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nova_lite.conf import state_path
from nova_lite.errors import Invalid, NotFound, TooLarge, Unavailable

CHUNK = 64 * 1024


@dataclass(frozen=True)
class Written:
    """A file that was written and not yet taken into the store. ``md5`` and ``sha512`` are hex."""

    path: Path
    size: int
    md5: str
    sha512: str


class Files:
    """The store's directory. Image ids are UUIDs and nothing else ever becomes part of a path.

    :param conf: names ``[image] store_path``, ``max_size`` and ``keep_free_bytes``.
    """

    def __init__(self, conf: Any) -> None:
        self.root = Path(conf.image.store_path) if conf.image.store_path else state_path(conf, "images")
        self._max_size = conf.image.max_size
        self._keep_free = conf.image.keep_free_bytes
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, image_id: str) -> Path:
        """Return where an image's bytes are. :raises NotFound: *image_id* is no UUID."""
        try:
            return self.root / str(uuid.UUID(image_id))
        except ValueError:
            raise NotFound(f"No image found with ID {image_id}", "image.not_found") from None

    def write(self, image_id: str, chunks: Iterable[bytes]) -> Written:
        """Write *chunks* to a file beside the image's, hashing on the way; memory holds one chunk at a time. It is to :meth:`settle` then.

        :raises TooLarge: more than ``max_size`` bytes came.
        :raises Unavailable: the store is nearly full. Whatever is raised, nothing is left behind.
        """
        part = self.path(image_id).with_suffix(f".{uuid.uuid4().hex}.part")
        md5, sha512, size = hashlib.md5(usedforsecurity=False), hashlib.sha512(), 0
        try:
            with part.open("xb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    self._bound(size)
                    md5.update(chunk)
                    sha512.update(chunk)
                    file.write(chunk)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise _not_taken(error) from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return Written(part, size, md5.hexdigest(), sha512.hexdigest())

    def _bound(self, size: int) -> None:
        if size > self._max_size:
            raise TooLarge(f"The image is larger than the {self._max_size} bytes allowed.", "image.too_large")
        if size % (16 * 1024 * 1024) < CHUNK:
            stat = os.statvfs(self.root)
            if stat.f_bavail * stat.f_frsize < self._keep_free:
                raise TooLarge("The image store is nearly full.", "image.store_full")

    def settle(self, written: Written) -> None:
        """Have a written file on the disk, which may take seconds. :raises Unavailable: the disk does not take it."""
        try:
            _sync(written.path)
        except OSError as error:
            raise _not_taken(error) from None

    def keep(self, image_id: str, written: Written) -> None:
        """Make a file that has settled the image's own, durably."""
        written.path.chmod(0o600)
        written.path.rename(self.path(image_id))
        _sync(self.root)

    def drop(self, written: Written) -> None:
        """Remove a written file that was not kept."""
        written.path.unlink(missing_ok=True)

    def open(self, image_id: str) -> BinaryIO:
        """Open an image's bytes. :raises NotFound: there are none."""
        try:
            return self.path(image_id).open("rb")
        except FileNotFoundError:
            raise NotFound(f"Image {image_id} has no data", "image.no_data") from None

    def remove(self, image_id: str) -> None:
        """Remove an image's bytes; none is fine."""
        self.path(image_id).unlink(missing_ok=True)

    def unfinished(self, older_than: float) -> Iterator[Path]:
        """List what uploads have begun to write and left, last written to before *older_than* (epoch seconds)."""
        for path in self.root.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    yield path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_taken(error: OSError) -> Unavailable:
    return Unavailable(f"The image store could not take the data: {error.strerror}.", "image.store_failed")


def stream(file: BinaryIO, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Read *length* bytes from *start* in chunks, and close the file at the end.

    :raises Invalid: *start* lies beyond the file's end.
    """
    with file:
        if start > os.fstat(file.fileno()).st_size:
            raise Invalid("The range begins beyond the end of the image.", "image.range")
        file.seek(start)
        left = length
        while left is None or left > 0:
            chunk = file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk

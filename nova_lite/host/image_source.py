"""Where image bytes come from, and how they are copied into the cache: hashed on the way, never trusted."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Protocol

from nova_lite.host.ports import HostError, ImageSpec
from nova_lite.virt.waiting import GoOn, go_on

CHUNK = 1 << 20
FICLONE = 0x40049409
_ZEROS = bytes(CHUNK)


class Source(Protocol):
    """A place that images are fetched from."""

    def open(self, image_id: str) -> BinaryIO:
        """Open an image's bytes for reading. :raises HostError: it has no such image."""


class FileSource:
    """The image store's directory: a file for each image, named by its id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, image_id: str) -> BinaryIO:
        """Open the file of an image. :raises HostError: it is not there, or is no plain file."""
        try:
            descriptor = os.open(self._root / image_id, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(
                f"Image {image_id} is not in the image store ({error.strerror})", code="host.image_missing"
            ) from error
        return os.fdopen(descriptor, "rb")


def copy(source: BinaryIO, target: Path, image: ImageSpec, go_on: GoOn = go_on) -> None:
    """Copy an image to the new file *target*, 0644 and on disk for good, and verify its size and SHA-512.

    Blocks are shared where the filesystem can (btrfs, xfs); holes stay holes elsewhere. *go_on* is called for each chunk.

    :raises HostError: size or checksum is another than declared.
    """
    with open(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as file:
        if _clone(source, file):
            size, digest = _hash(file, go_on)
        else:
            size, digest = _copy(source, file, image.size, go_on)
        if size != image.size:
            raise HostError(
                f"Image {image.image_id} is cut short or too long: {size} bytes, not {image.size}",
                code="host.image_corrupt",
            )
        if digest != image.sha512.lower():
            raise HostError(
                f"Image {image.image_id} has another checksum than it was uploaded with", code="host.image_corrupt"
            )
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


def _clone(source: BinaryIO, target: BinaryIO) -> bool:
    with contextlib.suppress(OSError, AttributeError):
        fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        return True
    return False


def _hash(file: BinaryIO, go_on: GoOn) -> tuple[int, str]:
    digest = hashlib.sha512()
    size = 0
    while chunk := file.read(CHUNK):
        go_on()
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _copy(source: BinaryIO, target: BinaryIO, limit: int, go_on: GoOn) -> tuple[int, str]:
    digest = hashlib.sha512()
    size = 0
    # One byte past the limit tells that there is more; the rest of a wrong image is not worth the disk.
    while size <= limit and (chunk := source.read(CHUNK)):
        go_on()
        size += len(chunk)
        digest.update(chunk)
        if chunk == _ZEROS[: len(chunk)]:
            target.seek(len(chunk), os.SEEK_CUR)
        else:
            target.write(chunk)
    target.truncate(size)
    return size, digest.hexdigest()

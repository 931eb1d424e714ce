"""HostImages: the host's image cache, ``<state_path>/cache/<image id>/``; implements :class:`nova_lite.host.ports.Images`.

An entry is built in a directory of another name and renamed when it is whole and on disk, so that an entry that is there
is good, whenever the agent was killed. It holds ``image`` (what QEMU reads as a backing file: 0644), ``entry.json`` and, for a
container, ``unpacked/rootfs`` behind a directory that only root passes.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite.conf import state_path
from nova_lite.errors import Invalid
from nova_lite.host import config_drive, image_source, oci
from nova_lite.host.image_source import FileSource, Source
from nova_lite.host.networks.checks import uuid
from nova_lite.host.ports import HostError, ImageSpec
from nova_lite.image import inspection
from nova_lite.virt.driver import LocalImage
from nova_lite.virt.waiting import GoOn, go_on

LOG = logging.getLogger(__name__)
_LOCK_POLL_S = 0.05
_SHA512 = re.compile(r"[0-9a-fA-F]{128}", re.ASCII)


_DRIVES = {config_drive.ISO9660: "config.iso", config_drive.VFAT: "config.img"}


class HostImages:
    """The image cache of this host.

    :param source: where images come from; None: the image store's directory (``[image] store_path``).
    """

    def __init__(self, conf: cfg.ConfigOpts, source: Source | None = None) -> None:
        store = Path(conf.image.store_path) if conf.image.store_path else state_path(conf, "images")
        self._source = source or FileSource(store)
        self._root = state_path(conf, "cache")
        self._instances = state_path(conf, "instances")
        self._drive_format = conf.compute.config_drive_format
        self._limits = oci.Limits(
            conf.image.max_unpacked_bytes, conf.image.max_unpacked_files, conf.image.unpack_timeout
        )

    def fetch(self, image: ImageSpec, go_on: GoOn = go_on) -> LocalImage:
        """Have *image*, and its kernel and ramdisk, in the cache, verified and inspected.

        A second fetch costs a look at the file's inode, not another hash. Two callers at once, of whatever process, fetch
        once. *go_on* is called at least every few MiB, and while another caller's fetch is waited for.

        :raises HostError: size, checksum or format are not what was declared, or the container image is refused.
        """
        _check(image)
        kernel = self.fetch(image.kernel, go_on) if image.kernel else None
        ramdisk = self.fetch(image.ramdisk, go_on) if image.ramdisk else None
        entry = self._entry(image)
        if entry is None:
            with self._awaited_lock(image.image_id, go_on):
                entry = self._entry(image) or self._make(image, go_on)
        directory = self._root / image.image_id
        is_container = image.container_format == "docker"
        return LocalImage(
            image_id=image.image_id,
            path=directory / "image",
            disk_format=str(entry["format"]),
            virtual_size=int(entry["virtual_size"]),
            kernel=kernel.path if kernel else None,
            ramdisk=ramdisk.path if ramdisk else None,
            rootfs=directory / "unpacked/rootfs" if is_container else None,
            config=entry["config"],
        )

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        """Write the server's config drive and return its path. :raises HostError: the id is no UUID, or a path is odd."""
        directory = self._instances / uuid(server_id, "The server's id")
        for each in (self._instances, directory):
            each.mkdir(mode=0o711, parents=True, exist_ok=True)
        path = directory / _DRIVES[self._drive_format]
        with _in_words("The config drive could not be written"):
            config_drive.write(path, files, self._drive_format)
            for other in set(_DRIVES.values()) - {path.name}:
                (directory / other).unlink(missing_ok=True)
        return path

    def evict(self, keep: Collection[str], unused_s: float = 300.0) -> list[str]:
        """Remove the images that are not of *keep* and that nobody fetched for *unused_s* seconds; return their ids.

        *keep*: ids of all images that guests here are made from, kernels and ramdisks among them: a disk or a root of a
        guest may stand on them. What killed processes have left half-made goes too.
        """
        removed = []
        for path in sorted(self._root.glob("[0-9a-f]*")):
            if path.name in keep or time.time() - path.stat().st_mtime < unused_s:
                continue
            with self._lock(path.name) as held:
                if held:
                    self._set_aside(path.name)
                    removed.append(path.name)
        for path in self._root.glob(".new-*"):
            with self._lock(_image_of(path)) as held:
                if held:
                    shutil.rmtree(path, ignore_errors=True)
        for path in self._root.glob(".old-*"):
            if _image_of(path) not in keep:
                shutil.rmtree(path, ignore_errors=True)
        return removed

    def _entry(self, image: ImageSpec) -> dict[str, Any] | None:
        """Return what is known of a whole entry; None: there is none, or its file is not the one that was verified."""
        directory = self._root / image.image_id
        try:
            entry: dict[str, Any] = json.loads((directory / "entry.json").read_text())
            # The directory's time says when it was last used; QEMU's user may own the file by now, which changes no byte.
            if entry["declared"] != _declared(image) or entry["inode"] != _inode(directory / "image"):
                return None
            os.utime(directory)
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return entry

    def _make(self, image: ImageSpec, go_on: GoOn) -> dict[str, Any]:
        """Build the entry anew; the caller holds its lock."""
        began = time.monotonic()
        for left in self._root.glob(f".new-{image.image_id}-*"):
            shutil.rmtree(left, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix=f".new-{image.image_id}-", dir=self._root))
        try:
            with _in_words(f"Image {image.image_id} could not be fetched"):
                entry = self._fill(draft, image, go_on)
                self._set_aside(image.image_id)
                os.rename(draft, self._root / image.image_id)
                _sync_directory(self._root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        LOG.info("image=%s event=cached bytes=%d seconds=%.3f", image.image_id, image.size, time.monotonic() - began)
        return entry

    def _fill(self, draft: Path, image: ImageSpec, go_on: GoOn) -> dict[str, Any]:
        path = draft / "image"
        with self._source.open(image.image_id) as source:
            image_source.copy(source, path, image, go_on)
        config: dict[str, object] = {}
        found, virtual_size = "raw", image.size
        if image.container_format == "docker":
            unpacked = draft / "unpacked"
            unpacked.mkdir(mode=0o700)
            config = oci.unpack(path, unpacked, self._limits, go_on)
            _sync_filesystem(unpacked)
        else:
            try:
                facts = inspection.inspect(path, image.disk_format, image.container_format)
            except Invalid as error:
                raise HostError(
                    f"Image {image.image_id} is refused: {error.message}", code="host.image_refused"
                ) from error
            found = facts.format if facts.format in ("qcow2", "iso") else "raw"
            virtual_size = facts.virtual_size if found == "qcow2" else image.size
        entry = {
            "declared": _declared(image),
            "inode": _inode(path),
            "format": found,
            "virtual_size": virtual_size,
            "config": config,
        }
        (draft / "entry.json").write_text(json.dumps(entry))
        with (draft / "entry.json").open("rb") as file:
            os.fsync(file.fileno())
        draft.chmod(0o711)
        _sync_directory(draft)
        return entry

    def _set_aside(self, image_id: str) -> None:
        """Take an entry out of use at once; its files go with the next eviction, as a guest's root may stand on them."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._root / image_id, self._root / f".old-{image_id}-{time.time_ns()}")

    @contextmanager
    def _awaited_lock(self, image_id: str, go_on: GoOn) -> Iterator[None]:
        """Wait for the image's lock and hold it."""
        while True:
            with self._lock(image_id) as held:
                if held:
                    yield
                    return
            go_on()
            time.sleep(_LOCK_POLL_S)

    @contextmanager
    def _lock(self, image_id: str) -> Iterator[bool]:
        """Hold the image's lock, against threads and processes alike; False: it is taken."""
        for directory in (self._root, self._root / ".locks"):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(self._root / ".locks" / image_id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def _check(image: ImageSpec) -> None:
    uuid(image.image_id, "The image's id")
    if not _SHA512.fullmatch(image.sha512) or image.size < 0:
        raise HostError(f"Image {image.image_id} has no checksum to verify it by", code="host.refused_value")


def _image_of(path: Path) -> str:
    """Return the image id in ``.new-<id>-…`` and ``.old-<id>-…``."""
    return path.name[5:41]


def _declared(image: ImageSpec) -> list[object]:
    return [image.sha512.lower(), image.size, image.disk_format, image.container_format]


def _inode(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_filesystem(path: Path) -> None:
    """Have all files of a tree on disk: one by one would take an fsync for each of thousands."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(f"{what}: {error.strerror or error}") from error

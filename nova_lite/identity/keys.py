"""The Fernet key repository: a directory of numbered key files, laid out as Keystone's.

``0`` is staged (it will be the next primary, so every API host can already read what another one writes with it),
the highest number is primary (it writes), the others only read.
Source: https://docs.openstack.org/keystone/latest/admin/fernet-token-faq.html
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from oslo_config import cfg

from nova_lite.conf import state_path
from nova_lite.errors import Unavailable

LOOK_AGAIN_S = 2.0
"""How often a process looks whether the keys were rotated."""


def key_repository(conf: cfg.ConfigOpts) -> Path:
    """Return the directory of the keys."""
    return Path(conf.identity.key_repository or state_path(conf, "fernet-keys"))


def ensure(directory: Path) -> bool:
    """Make the repository with a staged and a primary key unless it has keys; return whether it was made."""
    with _locked(directory):
        if _numbers(directory):
            return False
        _write(directory, 1)
        _write(directory, 0)
        return True


def rotate(directory: Path, max_active_keys: int) -> int:
    """Promote the staged key to primary, stage a new one, drop the oldest; return the primary's number.

    A process that dies half-way leaves a repository that still reads all it read before; the next rotation goes on.
    """
    with _locked(directory):
        numbers = _numbers(directory)
        primary = max(numbers, default=0) + 1
        if 0 in numbers:
            os.replace(directory / "0", directory / str(primary))
        else:
            _write(directory, primary)
        _write(directory, 0)
        active = sorted(number for number in _numbers(directory) if number)
        surplus = len(active) + 1 - max(max_active_keys, 2)
        for number in active[: max(surplus, 0)]:
            (directory / str(number)).unlink(missing_ok=True)
        return primary


class Keyring:
    """The keys of a repository, read again when the directory changes.

    :param directory: the repository; it may be made later, until then each use raises ``Unavailable``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._keys: MultiFernet | None = None
        self._seen: tuple[int, ...] | None = None
        self._looked = 0.0
        self._generation = 0

    def generation(self) -> int:
        """Return a number that grows when the keys change, so that what old keys opened is not remembered."""
        self._current()
        return self._generation

    def encrypt(self, payload: bytes) -> bytes:
        """Return *payload* sealed by the primary key.

        :raises Unavailable: there are no keys.
        """
        return self._current().encrypt(payload)

    def decrypt(self, token: bytes) -> bytes | None:
        """Return what *token* seals, or None when none of the keys made it.

        :raises Unavailable: there are no keys.
        """
        try:
            return self._current().decrypt(token)
        except (InvalidToken, ValueError):
            return None

    def _current(self) -> MultiFernet:
        moment = time.monotonic()
        keys = self._keys
        if keys is None or moment - self._looked > LOOK_AGAIN_S:
            with self._lock:
                keys = self._read()
                self._looked = moment
        return keys

    def _read(self) -> MultiFernet:
        try:
            numbers = sorted(_numbers(self._directory), reverse=True)
            seen = tuple(os.stat(self._directory / str(number)).st_mtime_ns ^ number for number in numbers)
            if self._keys is not None and seen == self._seen:
                return self._keys
            keys = [Fernet((self._directory / str(number)).read_bytes().strip()) for number in numbers]
        except (OSError, ValueError) as error:
            if self._keys is not None:
                # A rotation may be under way; what was read before is still good.
                return self._keys
            raise _no_keys(self._directory) from error
        if not keys:
            raise _no_keys(self._directory)
        self._keys, self._seen = MultiFernet(keys), seen
        self._generation += 1
        return self._keys


def _no_keys(directory: Path) -> Unavailable:
    return Unavailable(
        f"There are no Fernet keys that can be read in {directory}; run nova-lite-manage bootstrap.",
        "identity.no_keys",
    )


def _numbers(directory: Path) -> list[int]:
    return [int(entry.name) for entry in directory.iterdir() if entry.name.isascii() and entry.name.isdigit()]


def _write(directory: Path, number: int) -> None:
    temporary = directory / f".{number}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, Fernet.generate_key())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, directory / str(number))
    parent = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    with open(directory / ".lock", "w", opener=_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

"""Hear from the kernel at once what would else be seen at the next look: a device that comes, a table of rules that goes."""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from nova_lite.host.networks.namespace import Namespace

LOG = logging.getLogger(__name__)
ROUTE, LINKS = socket.NETLINK_ROUTE, 1
NETFILTER, NFTABLES = 12, 7
"""Netlink protocols, each with the group (1 is the first) that tells of changes."""
NEW_LINK = 16
DELETED_TABLE = 10 << 8 | 2
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE."""
_HEADER = struct.Struct("=IHHII")
_SETTLE_S = 0.1
"""What comes in one go is looked at once."""


class KernelWatch:
    """A thread that calls *heard* when a message of *kind* has one of ``names()`` in it.

    Messages may be lost, and *heard* may be called for nothing: it compares, and sets what differs.
    """

    def __init__(
        self,
        namespace: Namespace,
        protocol: int,
        group: int,
        kind: int,
        names: Callable[[], frozenset[bytes]],
        heard: Callable[[], object],
    ) -> None:
        self._kind = kind
        self._names = names
        self._heard = heard
        self._stopping = threading.Event()
        self._socket = namespace.open_socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.bind((0, 1 << (group - 1)))
        self._socket.settimeout(0.5)
        self._thread = threading.Thread(target=self._run, name="kernel-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._is_meant(self._socket.recv(65_536)):
                    continue
            except TimeoutError:
                continue
            except OSError as error:
                # More came than there was room for: something of ours may have been among it.
                if error.errno != errno.ENOBUFS:
                    LOG.error("event=kernel-watch-ended reason=%r", str(error))
                    return
            self._settle()
            try:
                self._heard()
            except Exception as error:
                LOG.error("event=kernel-watch-failed reason=%r", str(error))

    def _settle(self) -> None:
        end = time.monotonic() + _SETTLE_S
        self._socket.settimeout(_SETTLE_S)
        try:
            while time.monotonic() < end:
                self._socket.recv(65_536)
        except OSError:
            return  # nothing more came, or more than there was room for: both are looked at now
        finally:
            self._socket.settimeout(0.5)

    def _is_meant(self, received: bytes) -> bool:
        names = self._names()
        return any(kind == self._kind and any(name in body for name in names) for kind, body in messages(received))


def messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Take what netlink sent apart: type and content of each message."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, _, _, _ = _HEADER.unpack_from(received, at)
        if length < _HEADER.size:
            return
        yield kind, received[at + _HEADER.size : at + length]
        at += (length + 3) & ~3

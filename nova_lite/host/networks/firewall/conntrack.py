"""The kernel's open connections, by netlink: what is asked of them here needs no program, and one look for any number of addresses.

Formats: linux/netfilter/nfnetlink_conntrack.h; numbers in attributes are in network order.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NETFILTER = 12
_DONE, _ERROR = 3, 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_SUBSYSTEM = 1 << 8
_GET, _DELETE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP = 1
_SOURCES_AND_DESTINATIONS = {1: 4, 2: 4, 3: 16, 4: 16}
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_FAMILY_HEADER = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Connection:
    """An open connection: its zone, all addresses in it, and by what the kernel finds it."""

    zone: int
    addresses: frozenset[bytes]
    """Packed, of both directions: translation of addresses makes more than two."""
    family: int
    key: bytes


class Conntrack:
    """The connections of a network namespace. For one thread at a time; ``with`` closes it."""

    def __init__(self, namespace: Namespace) -> None:
        self._socket = namespace.open_socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sequence = 0

    def __enter__(self) -> Conntrack:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the socket."""
        self._socket.close()

    def connections(self, addresses: Iterable[bytes] = (), zones: Iterable[int] = ()) -> list[Connection]:
        """Return what is open, of both IP versions; given *addresses* or *zones*, at least what has one of them.

        All of 100,000 take a second, those of some addresses a fifth of it: what has none of these bytes is not taken apart.

        :raises HostError: the kernel does not tell.
        """
        needles = [
            *addresses,
            *(_ATTRIBUTE.pack(_ATTRIBUTE.size + 2, _ZONE) + zone.to_bytes(2, "big") for zone in zones),
        ]
        meant = re.compile(b"|".join(map(re.escape, needles)), re.DOTALL).search
        return [
            made
            for body in self._ask(_GET, _REQUEST | _DUMP, _FAMILY_HEADER.pack(socket.AF_UNSPEC, 0, 0))
            if meant(body) and (made := _connection(body)) is not None
        ]

    def delete(self, connection: Connection) -> None:
        """End a connection; one that is gone meanwhile is success. :raises HostError: the kernel refused."""
        body = _FAMILY_HEADER.pack(connection.family, 0, 0) + connection.key
        for _ in self._ask(_DELETE, _REQUEST | _ACK, body):
            pass

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        try:
            self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
            while True:
                received = self._socket.recv(1 << 16)
                at = 0
                while at + _HEADER.size <= len(received):
                    length, said, _, sequence, _ = _HEADER.unpack_from(received, at)
                    content = received[at + _HEADER.size : at + length]
                    at += (length + 3) & ~3
                    if sequence != self._sequence:
                        continue
                    if said in (_ERROR, _DONE):
                        _raise_refused(content)
                        return
                    yield content
        except OSError as error:
            raise HostError(f"The kernel does not tell its open connections: {error.strerror or error}") from error


def _raise_refused(content: bytes) -> None:
    number = -struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
    if number not in (0, errno.ENOENT):
        raise OSError(number, os.strerror(number))


def _connection(body: bytes) -> Connection | None:
    zone = 0
    key, addresses = [], []
    for kind, content, raw in _attributes(body[_FAMILY_HEADER.size :]):
        if kind in (_TUPLE_ORIG, _TUPLE_REPLY):
            addresses += list(_tuple_addresses(content))
        if kind in (_TUPLE_ORIG, _ID, _ZONE):
            key.append(raw)
        if kind == _ZONE:
            zone = int.from_bytes(content[:2], "big")
    return Connection(zone, frozenset(addresses), body[0], b"".join(key)) if key else None


def _tuple_addresses(content: bytes) -> Iterator[bytes]:
    for kind, inner, _ in _attributes(content):
        if kind == _TUPLE_IP:
            for of, address, _ in _attributes(inner):
                size = _SOURCES_AND_DESTINATIONS.get(of)
                if size is not None:
                    yield address[:size]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Give type, content and the whole, padded, of each attribute."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        end = at + ((length + 3) & ~3)
        yield kind & ~_NESTED, data[at + _ATTRIBUTE.size : at + length], data[at:end].ljust(end - at, b"\0")
        at = end

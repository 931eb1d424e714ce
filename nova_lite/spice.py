"""How a SPICE connection begins, without I/O: what the front door's console proxy reads of it, and the fake driver answers.

A client opens a connection for each channel. On each it says first which one it is (the link message), so that whoever carries the bytes
can tell a session's main channel from those that come after it. All numbers are little-endian.

Source: https://www.spice-space.org/spice-protocol.html (Link stage), ``spice/protocol.h``, ``spice/enums.h``
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

MAGIC = b"REDQ"
MAJOR, MINOR = 2, 2
LONGEST_LINK = 4096
"""Bytes after the header of a link message, which the server takes at most as well."""
PUBLIC_KEY_BYTES = 162
TICKET_BYTES = 128

_HEADER = struct.Struct("<4sIII")
_LINK = struct.Struct("<IBBIII")
_REPLY = struct.Struct(f"<I{PUBLIC_KEY_BYTES}sIII")
_MESSAGE = struct.Struct("<HI")


class Channel(enum.IntEnum):
    """The kinds of channel that a screen has."""

    MAIN = 1
    DISPLAY = 2
    INPUTS = 3
    CURSOR = 4


class Capability(enum.IntFlag):
    """What both ends say of themselves, whatever the channel."""

    AUTH_SELECTION = 1
    AUTH_SPICE = 2
    MINI_HEADER = 8


class Refusal(enum.IntEnum):
    """Why a server lets somebody not in; 0: it does."""

    NONE = 0
    INVALID_DATA = 3
    PERMISSION_DENIED = 7
    BAD_CONNECTION_ID = 8


class LinkError(Exception):
    """What was said is no beginning of a SPICE connection."""


@dataclass(frozen=True)
class Link:
    """Which channel a connection is for. ``session``: the number that the main channel was given; 0: a session is to begin."""

    session: int
    channel: int
    number: int = 0

    @property
    def begins(self) -> bool:
        """Say whether a session begins with this connection."""
        return self.channel == Channel.MAIN

    @property
    def name(self) -> str:
        """Return what this channel is called among those of its session."""
        return f"{self.channel}.{self.number}"


def read_link(said: bytes) -> Link | None:
    """Return which channel a client's first bytes are for; None: it has not said all of it yet. What follows the message is not looked at.

    :raises LinkError: it speaks another protocol, or names a session where it can't, or none where it must.
    """
    body = _body(said)
    if body is None:
        return None
    session, channel, number, common, own, offset = _LINK.unpack_from(body)
    if not _LINK.size <= offset <= len(body) or (common + own) * 4 > len(body) - offset:
        raise LinkError("the link message's capabilities are not where it says")
    found = Link(session, channel, number)
    if found.begins is not (session == 0):
        raise LinkError("the main channel begins a session, and every other one names it")
    if found.begins and number:
        raise LinkError("a session has one main channel")
    return found


def _body(said: bytes) -> bytes | None:
    """Return what follows a link's header, once it is whole. :raises LinkError: the header is none, or announces too little or much."""
    if said[: len(MAGIC)] != MAGIC[: len(said)]:
        raise LinkError("this is not the SPICE protocol")
    if len(said) < _HEADER.size:
        return None
    _, major, _, size = _HEADER.unpack_from(said)
    if major != MAJOR:
        raise LinkError(f"SPICE has the version {MAJOR} here")
    if not _LINK.size <= size <= LONGEST_LINK:
        raise LinkError("the link message has an impossible length")
    body = said[_HEADER.size : _HEADER.size + size]
    return body if len(body) == size else None


def link(session: int, channel: int, number: int = 0) -> bytes:
    """Make the link message of a client which is asked how it authenticates, and takes short message headers."""
    capabilities = struct.pack("<I", Capability.AUTH_SELECTION | Capability.AUTH_SPICE | Capability.MINI_HEADER)
    return _framed(_LINK.pack(session, channel, number, 1, 0, _LINK.size) + capabilities)


def reply(public_key: bytes, error: int = Refusal.NONE) -> bytes:
    """Make the server's answer to a link message. *public_key*: what the ticket is to be encrypted with, as DER."""
    capabilities = struct.pack("<I", Capability.AUTH_SELECTION | Capability.AUTH_SPICE | Capability.MINI_HEADER)
    return _framed(_REPLY.pack(error, public_key, 1, 0, _REPLY.size) + capabilities)


def _framed(body: bytes) -> bytes:
    return _HEADER.pack(MAGIC, MAJOR, MINOR, len(body)) + body


def message(kind: int, payload: bytes = b"") -> bytes:
    """Make a message as it goes over a channel once that is linked."""
    return _MESSAGE.pack(kind, len(payload)) + payload

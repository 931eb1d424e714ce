"""WebSocket frames (RFC 6455), without I/O: what the front door's console proxy and the client both speak.

A console is a stream of bytes, so a message's fragments are handed on as they come: nothing is collected, and memory is bounded by one
frame. No extension is ever agreed to.
"""

from __future__ import annotations

import base64
import enum
import hashlib
from dataclasses import dataclass

FRAME_LIMIT = 65_536
"""Bytes of one frame's payload that are taken."""

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST_CONTROL = 125


class Opcode(enum.IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True)
class Frame:
    """One frame. A fragment's payload is part of the stream like any other."""

    opcode: Opcode
    payload: bytes


class ProtocolError(Exception):
    """The other side does not keep to the protocol; ``code`` is what a close frame says of it."""

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` that answers a ``Sec-WebSocket-Key``."""
    # The protocol wants SHA-1; nothing is protected by it.
    digest = hashlib.sha1((key + _GUID).encode("latin-1"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def encode(opcode: Opcode, payload: bytes, mask: bytes | None = None) -> bytes:
    """Make one whole frame. *mask*: four random bytes, which a client must and a server must not use."""
    size = len(payload)
    bit = 0 if mask is None else 0x80
    head = bytes([0x80 | opcode])
    if size <= _LONGEST_CONTROL:
        head += bytes([bit | size])
    elif size <= 0xFFFF:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + masked(payload, mask)


def close(code: int, reason: str = "", mask: bytes | None = None) -> bytes:
    """Make a close frame; *reason* is cut where it is too long."""
    words = reason.encode()[: _LONGEST_CONTROL - 2].decode("utf-8", "ignore").encode()
    return encode(Opcode.CLOSE, code.to_bytes(2, "big") + words, mask)


def close_reason(payload: bytes) -> str:
    """Return what a close frame's payload says in words, or the empty string."""
    return payload[2:].decode("utf-8", "replace")


def masked(payload: bytes, mask: bytes) -> bytes:
    """Put a mask on, or take it off."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Decoder:
    """Takes frames out of what was received.

    :param masked: whether the other side must mask (it is the client). :param limit: bytes of one frame's payload.
    """

    def __init__(self, *, masked: bool, limit: int = FRAME_LIMIT) -> None:
        self._masked = masked
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take *data*, any piece of the stream, and return the frames that are whole now.

        :raises ProtocolError: it is no frame that may come here; the connection is good for nothing more.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode = self._checked(first, second)
        size, at = second & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
        if size > self._limit:
            raise ProtocolError(f"a frame is longer than {self._limit} bytes", 1009)
        mask = b""
        if self._masked:
            mask, at = bytes(buffer[at : at + 4]), at + 4
        if len(buffer) < at + size:
            return None
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        if opcode < Opcode.CLOSE:
            self._inside = not first & 0x80
        return Frame(opcode, masked(payload, mask) if mask else payload)

    def _checked(self, first: int, second: int) -> Opcode:
        if first & 0x70:
            raise ProtocolError("a frame uses an extension that was not agreed to")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise ProtocolError("a frame is of no known kind") from None
        if bool(second & 0x80) is not self._masked:
            raise ProtocolError("a frame is not masked" if self._masked else "a frame is masked")
        if opcode >= Opcode.CLOSE:
            if not first & 0x80 or second & 0x7F > _LONGEST_CONTROL:
                raise ProtocolError("a control frame is in pieces or too long")
        elif (opcode is Opcode.CONTINUATION) is not self._inside:
            raise ProtocolError("a message's fragments are out of order")
        return opcode

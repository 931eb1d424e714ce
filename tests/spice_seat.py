"""Somebody at a SPICE screen, as a browser sits there: a connection for each channel, linked and with its ticket.

Source: https://www.spice-space.org/spice-protocol.html
"""

from __future__ import annotations

import socket
import struct
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nova_lite import spice
from nova_lite.cli import attach
from nova_lite.spice import Channel as Kind

INIT, CHANNELS, ATTACH = 103, 104, 104
DISPLAY_INIT, FILL, COPY, SURFACE = 101, 302, 304, 314
INPUTS_INIT, KEY_DOWN, KEY_UP, MODIFIERS = 101, 101, 102, 102


class Ended(Exception):
    """The other side closed the connection, and why, if it said."""


class Channel:
    """One connection: a WebSocket (``ws://…``) through the proxy, or the server's own socket (a path)."""

    def __init__(self, place: str) -> None:
        self._got = b""
        self.line: Any
        if place.startswith("ws"):
            self.line = attach.Line(place)
            self.line._socket.settimeout(120)
        else:
            self.line = socket.socket(socket.AF_UNIX)
            self.line.settimeout(120)
            self.line.connect(place)

    def write(self, data: bytes) -> None:
        (self.line.write if isinstance(self.line, attach.Line) else self.line.sendall)(data)

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        while len(self._got) < count:
            if isinstance(self.line, attach.Line):
                piece = self.line.read()
                if piece is None:
                    raise Ended(self.line.reason)
            else:
                piece = self.line.recv(65_536)
                if not piece:
                    raise Ended("")
            self._got += piece
        taken, self._got = self._got[:count], self._got[count:]
        return taken

    def link(self, session: int, kind: int, number: int = 0) -> int:
        """Link, answer with an encrypted empty password, and return the server's verdict (0: come in)."""
        self.write(spice.link(session, kind, number))
        magic, major, _minor, size = struct.unpack("<4sIII", self.take(16))
        assert (magic, major) == (b"REDQ", 2)
        body = self.take(size)
        (error,) = struct.unpack_from("<I", body)
        assert error == 0
        common, own, offset = struct.unpack_from("<III", body, 4 + 162)
        assert offset + 4 * (common + own) == size
        assert struct.unpack_from("<I", body, offset)[0] & spice.Capability.MINI_HEADER
        key: Any = load_der_public_key(body[4 : 4 + 162])
        ticket = key.encrypt(b"\0", padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
        self.write(struct.pack("<I", 1) + ticket)
        (verdict,) = struct.unpack("<I", self.take(4))
        return int(verdict)

    def send(self, kind: int, payload: bytes = b"") -> None:
        self.write(spice.message(kind, payload))

    def until(self, wanted: int) -> bytes:
        """Return the payload of the next message of that kind."""
        while True:
            kind, size = struct.unpack("<HI", self.take(6))
            payload = self.take(size)
            if kind == wanted:
                return payload

    def close(self) -> None:
        self.line.close()

    def ended(self) -> str:
        """Wait until the other side closes; return why."""
        try:
            while True:
                self.take(1)
        except Ended as error:
            return str(error)
        except ConnectionError:
            return ""


class Seat:
    """A session: its main channel, what that was told, and the channels that were opened beside it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.main = Channel(place)
        assert self.main.link(0, Kind.MAIN) == 0
        self.session, _, self.pointers = struct.unpack_from("<3I", self.main.until(INIT))
        self.main.send(ATTACH)
        listed = self.main.until(CHANNELS)
        (count,) = struct.unpack_from("<I", listed)
        self.offered = {struct.unpack_from("<BB", listed, 4 + 2 * at) for at in range(count)}
        self.channels: list[Channel] = [self.main]

    def open(self, kind: int) -> Channel:
        """Open another channel."""
        assert (kind, 0) in self.offered
        channel = Channel(self.place)
        self.channels.append(channel)
        assert channel.link(self.session, kind) == 0
        return channel

    def look(self) -> tuple[Channel, tuple[int, int]]:
        """Open the display; return it with the screen's width and height."""
        display = self.open(Kind.DISPLAY)
        display.send(DISPLAY_INIT, struct.pack("<BQBI", 1, 10 << 20, 0, 0))
        surface, width, height = struct.unpack_from("<3I", display.until(SURFACE))
        assert surface == 0
        return display, (width, height)

    def type(self, inputs: Channel, *codes: int) -> None:
        """Press keys, by their codes of PC scan code set 1."""
        for code in codes:
            inputs.send(KEY_DOWN, struct.pack("<I", code))
            inputs.send(KEY_UP, struct.pack("<I", code | 0x80))

    def close(self) -> None:
        for channel in self.channels:
            channel.close()


def websocket(url: str, endpoint: str) -> str:
    """Return the WebSocket that a page's *url* tells of, on *endpoint*."""
    path = parse_qs(urlsplit(url).query)["path"][0]
    return "ws" + endpoint.removeprefix("http") + "/" + path.lstrip("/")

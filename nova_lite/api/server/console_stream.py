"""A console's bytes: WebSocket frames on the browser's side, a plain stream on the guest's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from nova_lite import websocket
from nova_lite.api.server.green import eventlet
from nova_lite.websocket import Decoder, Frame, Opcode, ProtocolError

socket: Any = eventlet.green.socket

PING_S = 30.0
"""After so long a silence the browser is asked whether it is there; after twice that it is not. One piece may take as long."""

NORMAL, GOING_AWAY, NOT_ALLOWED, BROKEN = 1000, 1001, 1008, 1011
"""What a close frame says."""

_PIECE = 32_768

T = TypeVar("T")


class Browser:
    """The WebSocket, once it is one. What it sends is taken out of its frames, and what it is sent is put into some."""

    def __init__(self, connection: Any, answer: bytes) -> None:
        """Finish the handshake with *answer*. :raises OSError: the browser has gone."""
        self._socket = connection
        self._sending = eventlet.semaphore.Semaphore()
        self._decoder = Decoder(masked=True)
        self._ended = False
        self._closed = False
        connection.settimeout(PING_S)
        connection.sendall(answer)

    def read(self) -> bytes:
        """Return what the browser sends next; nothing: it has ended. :raises OSError: it has gone."""
        awaited = False
        while not self._ended and not self._closed:
            try:
                piece = self._socket.recv(_PIECE)
            except TimeoutError:
                if awaited:
                    return b""
                awaited = True
                self._send(websocket.encode(Opcode.PING, b""))
                continue
            if not piece:
                return b""
            awaited = False
            try:
                frames = self._decoder.feed(piece)
            except ProtocolError as error:
                self.close(error.code, str(error))
                return b""
            if payload := b"".join(map(self._taken, frames)):
                return payload
        return b""

    def _taken(self, frame: Frame) -> bytes:
        """Return what a frame has for the guest, and answer it, if it wants that."""
        if self._ended:
            return b""
        if frame.opcode is Opcode.CLOSE:
            self._ended = True
            self.close(NORMAL)
            return b""
        if frame.opcode is Opcode.PING:
            self._send(websocket.encode(Opcode.PONG, frame.payload))
            return b""
        return b"" if frame.opcode is Opcode.PONG else frame.payload

    def write(self, piece: bytes) -> None:
        """Send a piece of the guest's. :raises OSError: the browser does not take it."""
        self._send(websocket.encode(Opcode.BINARY, piece))

    def close(self, code: int, reason: str = "") -> None:
        """Say why this ends, once."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._send(websocket.close(code, reason))

    def shut(self) -> None:
        """Wake up whoever reads."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _send(self, frame: bytes) -> None:
        with self._sending:
            self._socket.sendall(frame)


def splice(browser: Browser, guest: Any) -> None:
    """Carry both directions until one ends. *guest*: a connected socket."""
    guest.settimeout(None)
    outward = eventlet.spawn(_outward, browser, guest)
    try:
        with suppress(OSError):
            while piece := browser.read():
                guest.sendall(piece)
    finally:
        with suppress(OSError):
            guest.shutdown(socket.SHUT_RDWR)
        outward.wait()


def _outward(browser: Browser, guest: Any) -> None:
    """Hand on what the guest writes."""
    try:
        while piece := guest.recv(_PIECE):
            browser.write(piece)
        browser.close(GOING_AWAY, "the console has ended")
    except OSError:
        browser.close(BROKEN, "the console is broken")
    finally:
        browser.shut()


def first(browser: Browser, read: Callable[[bytes], T | None], limit_s: float) -> tuple[bytes, T]:
    """Return what the browser says until *read* makes something of it, and that.

    :raises TimeoutError: it takes longer than *limit_s*. :raises EOFError: it ends before.
    """
    said = b""
    try:
        with eventlet.Timeout(limit_s):
            while (found := read(said)) is None:
                piece = browser.read()
                if not piece:
                    raise EOFError
                said += piece
    except eventlet.Timeout:
        raise TimeoutError("the browser did not say enough") from None
    return said, found

"""Sit at a server's serial console: a terminal over the WebSocket, left by ctrl-].

At a terminal, what the guest writes is shown as it is, but for the strings that a terminal obeys beyond its screen (titles, clipboard,
links, device strings). Where standard output is no terminal, lines are made harmless as everywhere else.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import ssl
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from nova_lite import websocket
from nova_lite.cli.faults import CommandError
from nova_lite.cli.hostile import clean
from nova_lite.cli.terminal_filter import LineFilter, TerminalFilter
from nova_lite.websocket import Decoder, Opcode, ProtocolError

LEAVE = b"\x1d"
"""ctrl-]"""

_TIMEOUT_S = 30.0
_PIECE = 32_768
_LONGEST_ANSWER = 16_384
_RESET = b"\x1b[0m\x1b[?25h\x1b[?1l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b>"
"""Colours, cursor, key and mouse modes, the other screen: as they were before."""


class Line:
    """An open console: bytes in, bytes out. :param url: ``ws`` or ``wss``. :param verify: as requests takes it."""

    def __init__(self, url: str, verify: Any = True) -> None:
        """Connect. :raises CommandError: it can't be reached, or the token is good for nothing."""
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise CommandError(f"{parts.scheme}: is no console that can be attached to.")
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            plain = socket.create_connection((parts.hostname, port), _TIMEOUT_S)
            self._socket = _secured(plain, parts.hostname, verify) if parts.scheme == "wss" else plain
            rest = self._shake(parts, port)
        except OSError as error:
            raise CommandError(f"The console at {parts.hostname}:{port} can't be reached: {error}") from None
        self._decoder = Decoder(masked=False, limit=1 << 20)
        self._early = rest
        self.reason = ""

    def _shake(self, parts: Any, port: int) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        lines = [
            f"GET {parts.path or '/'}{f'?{parts.query}' if parts.query else ''} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: binary",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self._socket.recv(_PIECE)
            answer += piece
            if not piece or len(answer) > _LONGEST_ANSWER:
                raise CommandError("The console's front door closed the connection.")
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = clean(head.split(b"\r\n", 1)[0].decode("latin-1"))
        if not status.startswith("HTTP/1.1 101"):
            raise CommandError(f"The console's front door refused the connection: {status[:80]}")
        if f"sec-websocket-accept: {websocket.accept_key(key)}".lower() not in head.decode("latin-1").lower():
            raise CommandError("What answered is no WebSocket.")
        return rest

    def fileno(self) -> int:
        """Return the descriptor that can be waited for."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Tell whether bytes are here that waiting for the descriptor would not tell of."""
        return bool(self._early) or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0)

    def read(self) -> bytes | None:
        """Return what has come, maybe nothing; None: the console is closed, and ``reason`` may say why."""
        data, self._early = self._early, b""
        if not data:
            try:
                data = self._socket.recv(_PIECE)
            except OSError:
                return None
            if not data:
                return None
        text = b""
        try:
            frames = self._decoder.feed(data)
        except ProtocolError as error:
            self.reason = str(error)
            return None
        for frame in frames:
            if frame.opcode is Opcode.CLOSE:
                self.reason = clean(websocket.close_reason(frame.payload))
                return text or None
            if frame.opcode is Opcode.PING:
                self._send(Opcode.PONG, frame.payload)
            elif frame.opcode is not Opcode.PONG:
                text += frame.payload
        return text

    def write(self, data: bytes) -> None:
        """Send *data* to the guest."""
        self._send(Opcode.BINARY, data)

    def _send(self, opcode: Opcode, data: bytes) -> None:
        for at in range(0, max(len(data), 1), _PIECE):
            self._socket.sendall(websocket.encode(opcode, data[at : at + _PIECE], os.urandom(4)))

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(OSError):
            self._socket.sendall(websocket.close(1000, "", os.urandom(4)))
        self._socket.close()


def _secured(plain: socket.socket, host: str, verify: Any) -> socket.socket:
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)


def sit(line: Line, quiet_s: float) -> str:
    """Carry between *line* and standard input and output until one ends; return why it ended, in words.

    :param quiet_s: where standard input is no terminal: seconds of silence after its end until the console is left.
    """
    source, sink = sys.stdin.fileno(), sys.stdout.fileno()
    if os.isatty(source) and os.isatty(sink):
        with _raw(source, sink):
            return _carry(line, source, sink, TerminalFilter(), None)
    lines = LineFilter()
    try:
        return _carry(line, source, sink, lines, quiet_s)
    finally:
        _put(sink, lines.end())


def _carry(line: Line, source: int, sink: int, shown: TerminalFilter | LineFilter, quiet_s: float | None) -> str:
    inputs: list[Any] = [line, source]
    until: float | None = None
    while True:
        wait = None if until is None else max(0.0, until - time.monotonic())
        ready = [line] if line.pending() else select.select(inputs, [], [], wait)[0]
        if not ready:
            return "the guest is quiet"
        if line in ready:
            piece = line.read()
            if piece is None:
                return line.reason or "the console was closed"
            _put(sink, shown.feed(piece))
            if until is not None and quiet_s is not None and piece:
                until = time.monotonic() + quiet_s
        if source in ready:
            typed = os.read(source, 4096)
            if quiet_s is None and LEAVE in typed:
                line.write(typed[: typed.index(LEAVE)])
                return "detached"
            if not typed:
                inputs.remove(source)
                until = time.monotonic() + (quiet_s or 0.0)
                continue
            try:
                line.write(typed)
            except OSError:
                return line.reason or "the console was closed"


def _put(sink: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(sink, left) :]


@contextlib.contextmanager
def _raw(source: int, sink: int) -> Iterator[None]:
    """Have the terminal hand every key on, and as it was again afterwards."""
    before = termios.tcgetattr(source)
    tty.setraw(source)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
        _put(sink, _RESET)

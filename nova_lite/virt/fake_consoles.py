"""Consoles of fake guests: listeners on loopback that a proxy can really be connected to."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Mapping

from nova_lite.virt.fake_spice import SpiceChannel, take

GREETING = b"fake console\r\n"
VERSION = b"RFB 003.008\n"
KINDS = ("serial", "novnc", "spice-html5")
_PIECE = 65_536
_SIDE = 16
"""Pixels of the fake screen's sides."""
_COLOUR = bytes((64, 128, 192, 255))


class _Line(socketserver.BaseRequestHandler):
    """A serial line: a greeting, and then what comes is sent back."""

    def handle(self) -> None:
        """Serve one connection until its other end closes it."""
        with contextlib.suppress(OSError):
            self.request.sendall(GREETING)
            while piece := self.request.recv(_PIECE):
                self.request.sendall(piece)


class _Screen(socketserver.BaseRequestHandler):
    """A screen: RFB 3.8 (RFC 6143) without a password, one colour all over."""

    def handle(self) -> None:
        """Greet, and answer each request for a picture, until the other end goes or says what is not understood."""
        with contextlib.suppress(OSError, EOFError):
            self._greet()
            while True:
                kind = self._take(1)[0]
                if kind == 0:
                    self._take(19)
                elif kind == 2:
                    self._take(4 * struct.unpack(">xH", self._take(3))[0])
                elif kind == 3:
                    self._show(wanted=self._take(9)[0] == 0)
                elif kind == 4:
                    self._take(7)
                elif kind == 5:
                    self._take(5)
                elif kind == 6:
                    self._take(min(struct.unpack(">3xI", self._take(7))[0], _PIECE))
                else:
                    return

    def _greet(self) -> None:
        self.request.sendall(VERSION)
        self._take(len(VERSION))
        self.request.sendall(b"\x01\x01")
        self._take(1)
        self.request.sendall(bytes(4))
        self._take(1)
        pixels = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
        name = b"fake screen"
        self.request.sendall(struct.pack(">HH", _SIDE, _SIDE) + pixels + struct.pack(">I", len(name)) + name)

    def _show(self, *, wanted: bool) -> None:
        """Send the whole picture; a change is never seen, so who asks for changes is never answered."""
        if wanted:
            head = struct.pack(">BxHHHHHi", 0, 1, 0, 0, _SIDE, _SIDE, 0)
            self.request.sendall(head + _COLOUR * (_SIDE * _SIDE))

    def _take(self, count: int) -> bytes:
        return take(self.request, count)


_HANDLERS: Mapping[str, type[socketserver.BaseRequestHandler]] = dict(
    zip(KINDS, (_Line, _Screen, SpiceChannel), strict=True)
)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, object]:
        """Answer small pieces at once."""
        request, address = super().get_request()
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return request, address


class FakeConsoles:
    """One listener for each kind of console, made when it is first asked for."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}
        self._lock = threading.Lock()

    def port(self, kind: str) -> int:
        """Return the loopback port where consoles of *kind* (one of :data:`KINDS`) listen."""
        with self._lock:
            if kind not in self._listeners:
                listener = _Listener(("127.0.0.1", 0), _HANDLERS[kind])
                self._listeners[kind] = listener
                threading.Thread(target=listener.serve_forever, name=f"fake {kind}", daemon=True).start()
            return int(self._listeners[kind].server_address[1])

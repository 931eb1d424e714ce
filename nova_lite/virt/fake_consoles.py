"""Consoles of fake guests: listeners on loopback that a proxy can really be connected to."""

from __future__ import annotations

import socketserver
import threading
from typing import cast

GREETINGS = {"serial": b"fake console\r\n", "novnc": b"RFB 003.008\n"}
_PIECE = 65_536


class _Echo(socketserver.BaseRequestHandler):
    """Greet, then send back what comes."""

    def handle(self) -> None:
        """Serve one connection until its other end closes it."""
        self.request.sendall(cast("_Listener", self.server).greeting)
        while piece := self.request.recv(_PIECE):
            self.request.sendall(piece)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, greeting: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.greeting = greeting


class FakeConsoles:
    """One listener for each kind of console, made when it is first asked for."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}
        self._lock = threading.Lock()

    def port(self, kind: str) -> int:
        """Return the loopback port where consoles of *kind* (a key of :data:`GREETINGS`) listen."""
        with self._lock:
            if kind not in self._listeners:
                listener = _Listener(GREETINGS[kind])
                self._listeners[kind] = listener
                threading.Thread(target=listener.serve_forever, name=f"fake {kind}", daemon=True).start()
            return int(self._listeners[kind].server_address[1])

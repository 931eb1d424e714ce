"""A TCP relay from a private host's loopback to this machine's: real servers are reached, and can be out of reach."""

from __future__ import annotations

import contextlib
import socket
import threading

from private_host import PrivateHost


class Relay:
    """Listen on 127.0.0.1:*port* of *host* and hand each connection on to 127.0.0.1:*port* of this machine.

    :meth:`cut` ends every connection and refuses new ones, as a server does that was stopped; :meth:`mend` undoes it.
    Make it outside of the host's network.
    """

    def __init__(self, host: PrivateHost, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        # Threads are in the network that they were started from, so one that connects must be started here.
        self._work: list[socket.socket] = []
        self._there = threading.Condition()
        self._connector = threading.Thread(target=self._connect_all, daemon=True)
        self._connector.start()
        self.mend()

    def mend(self) -> None:
        """Listen."""
        with self._host.inside():
            listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Stop listening and end what is connected."""
        listener, self._listener = self._listener, None
        with self._lock:
            ended, self._sockets = self._sockets, set()
        for one in {*ended, *([listener] if listener else [])}:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        """End the relay."""
        self.cut()
        with self._there:
            self._port = 0
            self._there.notify()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            with self._there:
                self._work.append(near)
                self._there.notify()

    def _connect_all(self) -> None:
        while True:
            with self._there:
                self._there.wait_for(lambda: self._work or self._port == 0)
                if self._port == 0:
                    return
                near = self._work.pop()
            try:
                far = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            self._sockets.discard(source)

"""A place at a container's console: a socket whose clients see what the container writes, and may type."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from pathlib import Path

_PIECE = 4096
_MOST_CLIENTS = 8
_REST_S = 0.05
"""The other consoles wait as long, so it is short."""


class ConsoleSeat:
    """One container's listener and clients; used by the console reader's thread alone.

    A client that does not keep up loses output (the log has it); it never holds the container or other consoles up.
    """

    def __init__(self, selector: selectors.BaseSelector, path: Path, terminal: int) -> None:
        """Listen at *path*, for root only. :param terminal: where what is typed is written; open without blocking."""
        self._selector = selector
        self._terminal = terminal
        self._path = path
        self._clients: list[socket.socket] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(_MOST_CLIENTS)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptor is left, and who waits goes on waiting: without a rest this would be tried all the time.
            time.sleep(_REST_S)
            return
        if len(self._clients) >= _MOST_CLIENTS:
            client.close()
            return
        client.setblocking(False)
        self._clients.append(client)
        self._selector.register(client, selectors.EVENT_READ, lambda: self._type(client))

    def _type(self, client: socket.socket) -> None:
        """Hand on what a client typed; what the terminal can't take at once is lost, as on a real line."""
        try:
            piece = client.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._leave(client)
            return
        with contextlib.suppress(OSError):
            os.write(self._terminal, piece)

    def show(self, piece: bytes) -> None:
        """Send what the container wrote to every client."""
        for client in tuple(self._clients):
            try:
                client.send(piece)
            except BlockingIOError:
                continue
            except OSError:
                self._leave(client)

    def _leave(self, client: socket.socket) -> None:
        self._clients.remove(client)
        self._selector.unregister(client)
        client.close()

    def close(self) -> None:
        """End the listener and all clients."""
        for client in tuple(self._clients):
            self._leave(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

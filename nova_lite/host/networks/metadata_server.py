"""The metadata server: one thread that waits on all sockets, and a few that answer.

Everything is bounded: connections in all and of each guest, a request's size, and the time that it may take from the first to the last byte.
A guest that sends slowly holds a place in a table and no thread.
"""

from __future__ import annotations

import errno
import http
import logging
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from nova_lite.host import metadata_http
from nova_lite.host.metadata_http import Refused, Request
from nova_lite.host.metadata_tree import Answer
from nova_lite.host.network_state import HostState
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.metadata_sockets import Listener, Sockets, places
from nova_lite.host.ports import HostError, MetadataSource

LOG = logging.getLogger(__name__)
MOST_CONNECTIONS = 512
MOST_OF_ONE = 16
REQUEST_S = 10.0
ANSWERERS = 4
REST_S = 0.1
"""How long nobody is let in where no descriptor is left: who waits goes on waiting, and would be tried all the time."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def owners(state: HostState) -> dict[tuple[str, str], str]:
    """Return (network id, address) → port id, for the addresses that guests here have, their link-local ones among them."""
    found: dict[tuple[str, str], str] = {}
    for port in state.ports.values():
        for _, address in port.addresses:
            found[(port.network_id, address)] = port.port_id
        try:
            own = str(values.link_local(values.mac(port.mac)).network_address)
        except HostError:
            continue
        found.setdefault((port.network_id, own), port.port_id)
    return found


@dataclass
class _Connection:
    socket: socket.socket
    port_id: str
    deadline: float
    received: bytearray = field(default_factory=bytearray)
    to_send: memoryview = field(default_factory=lambda: memoryview(b""))
    is_answering: bool = False


class MetadataServer:
    """Answers metadata on one host. :meth:`serve` may be called by any thread, one at a time."""

    def __init__(self, source: MetadataSource) -> None:
        self._source = source
        self._sockets = Sockets()
        self._selector = selectors.DefaultSelector()
        self._answerers = ThreadPoolExecutor(ANSWERERS, thread_name_prefix="metadata")
        self._owners: Mapping[tuple[str, str], str] = {}
        self._connections: dict[int, _Connection] = {}
        self._of_port: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._changes: list[tuple[list[Listener], list[Listener]]] = []
        self._answered: list[tuple[_Connection, bytes]] = []
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._stopping = False
        self._is_exhausted = False
        """Found in this round: no descriptor is left."""
        self._thread: threading.Thread | None = None

    def serve(self, state: HostState, rooms: Mapping[str, str], touched: Collection[str] | None = None) -> None:
        """Answer the guests of *state* in each namespace.

        :param rooms: network or router id → namespace's name.
        :param touched: names of the namespaces that may be other than they were; None: all.
        """
        self._owners = owners(state)
        change = self._sockets.ensure(places(state, rooms), touched)
        if not any(change):
            return
        if self._thread is None:
            self._selector.register(self._wake_out, selectors.EVENT_READ)
            self._thread = threading.Thread(target=self._run, name="metadata", daemon=True)
            self._thread.start()
        with self._guard:
            self._changes.append(change)
        self._wake()

    def close(self) -> None:
        """Stop answering, and close everything."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
        self._answerers.shutdown(cancel_futures=True)
        for listener in self._sockets.close():
            listener.socket.close()
        for end in (self._wake_in, self._wake_out):
            end.close()
        self._selector.close()

    def _wake(self) -> None:
        try:
            self._wake_in.send(b"x")
        except (BlockingIOError, OSError):
            return  # it has been woken already, or is gone

    def _run(self) -> None:
        while not self._stopping:
            try:
                for key, _ in self._selector.select(1.0):
                    self._happened(key.fileobj, key.data)
                self._take_changes()
                self._end_late_ones()
                if self._is_exhausted:
                    self._is_exhausted = False
                    time.sleep(REST_S)
            except Exception:
                LOG.exception("event=metadata-loop-failed")
                time.sleep(REST_S)
        for connection in list(self._connections.values()):
            self._end(connection)

    def _happened(self, file: object, data: object) -> None:
        if isinstance(data, Listener):
            self._accept(data)
        elif isinstance(data, _Connection):
            if data.to_send:
                self._send(data)
            else:
                self._receive(data)
        elif file is self._wake_out:
            try:
                self._wake_out.recv(4096)
            except BlockingIOError:
                return

    def _take_changes(self) -> None:
        with self._guard:
            changes, self._changes = self._changes, []
            answered, self._answered = self._answered, []
        for new, gone in changes:
            for listener in gone:
                self._selector.unregister(listener.socket)
                listener.socket.close()
            for listener in new:
                self._selector.register(listener.socket, selectors.EVENT_READ, listener)
        for connection, content in answered:
            self._begin_to_send(connection, content)

    def _accept(self, listener: Listener) -> None:
        if self._is_exhausted:
            return
        try:
            accepted, peer = listener.socket.accept()
        except OSError as error:
            # Else it went away before it was taken.
            self._is_exhausted = error.errno in _EXHAUSTED
            return
        address = str(peer[0]).partition("%")[0]
        port_id = self._owners.get((listener.place.network_id, address))
        crowded = len(self._connections) >= MOST_CONNECTIONS or (port_id and self._of_port[port_id] >= MOST_OF_ONE)
        if port_id is None or crowded:
            # Nobody here: without a word, since an answer would need a place in the table too.
            accepted.close()
            return
        accepted.setblocking(False)
        connection = _Connection(accepted, port_id, time.monotonic() + REQUEST_S)
        self._connections[accepted.fileno()] = connection
        self._of_port[port_id] += 1
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(metadata_http.MAX_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(connection)
            return
        connection.received += data
        try:
            request = metadata_http.parse(bytes(connection.received))
        except Refused as refused:
            self._begin_to_send(connection, metadata_http.rendered(refused.answer))
            return
        if request is not None:
            # Until there is an answer nothing more is read.
            self._selector.unregister(connection.socket)
            connection.is_answering = True
            self._answerers.submit(self._answer, connection, request)

    def _answer(self, connection: _Connection, request: Request) -> None:
        try:
            answer = self._source.answer(connection.port_id, request)
        except Exception:
            LOG.exception("port=%s event=metadata-not-answered", connection.port_id)
            answer = Answer(http.HTTPStatus.SERVICE_UNAVAILABLE, b"Try again\n")
        with self._guard:
            self._answered.append((connection, metadata_http.rendered(answer, is_head=request.method == "HEAD")))
        self._wake()

    def _begin_to_send(self, connection: _Connection, content: bytes) -> None:
        connection.to_send = memoryview(content)
        if connection.is_answering:
            connection.is_answering = False
            self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        connection.deadline = time.monotonic() + REQUEST_S

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.to_send)
        except BlockingIOError:
            return
        except OSError:
            self._end(connection)
            return
        connection.to_send = connection.to_send[sent:]
        if not connection.to_send:
            self._end(connection)

    def _end_late_ones(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._connections.values() if each.deadline < now]:
            if not connection.is_answering:
                self._end(connection)

    def _end(self, connection: _Connection) -> None:
        if not connection.is_answering and connection.socket.fileno() >= 0:
            self._selector.unregister(connection.socket)
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()
        self._of_port[connection.port_id] -= 1
        if self._of_port[connection.port_id] <= 0:
            del self._of_port[connection.port_id]

"""The relay between the front door's console proxy and a guest's console, which only its host can reach.

A proxy is told a secret over the bus; it connects, shows the secret (``CONNECT secret HTTP/1.1``, as Nova's proxies do with an
``internal_access_path``), is answered ``HTTP/1.1 200 OK`` and then has the guest's bytes. A secret lets one connection through, and
only soon. Nothing is listened to before the first console is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import socket
import threading
import time
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.errors import Unavailable
from nova_lite.virt.abilities import ConsoleTarget

LOG = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
GRANTED = b"HTTP/1.1 200 OK\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\n\r\n"
SECRET_S = 30.0
"""How long a secret waits for its connection."""

_SECRET_BYTES = 32
_LONGEST_REQUEST = 256
_PIECE = 65_536
_LOOK_S = 5.0
"""How often a quiet connection looks whether its time is over; and how long one piece may take to be taken."""
_SEND_S = 30.0
_MOST_WAITING = 256


@dataclass(frozen=True)
class Relayed:
    """Where a proxy connects, and what it has to show there."""

    host: str
    port: int
    secret: str


@dataclass(frozen=True, eq=False)
class _Grant:
    server_id: str
    name: str
    target: ConsoleTarget
    until: float


class _Session:
    """One console that is open: two sockets, and when a byte last went through."""

    def __init__(self, proxy: socket.socket, guest: socket.socket, channels: bool) -> None:
        self.proxy = proxy
        self.guest = guest
        self.channels = channels
        self.moved_at = time.monotonic()

    def cut(self) -> None:
        """Have both directions end."""
        for end in (self.proxy, self.guest):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class ConsoleRelay:
    """One host's relay. Safe to be used by many threads. :param conf: ``[console]``, ``[compute] address`` and ``[bus]``."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf.console
        embedded = conf.bus.transport_url.startswith("kombu+memory:")
        self._bind = LOOPBACK if embedded else conf.console.relay_host or conf.compute.address or LOOPBACK
        self._shown = LOOPBACK if embedded else conf.compute.address or self._bind
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._stopped = False
        self._grants: dict[str, _Grant] = {}
        self._opening: set[_Grant] = set()
        """Let through, and not in ``_sessions`` yet."""
        self._last: dict[str, _Grant] = {}
        """Who came last to each exclusive console: an earlier one gives way, however far it has got."""
        self._sessions: dict[_Session, _Grant] = {}
        self._places = threading.BoundedSemaphore(conf.console.max_connections)

    def grant(self, server_id: str, kind: str, target: ConsoleTarget) -> Relayed:
        """Let one connection through to *target*, a server's console of a kind; at an exclusive one the last who comes stays.

        :raises Unavailable: the relay can't listen, or too many wait to be let through.
        """
        secret = secrets.token_hex(_SECRET_BYTES)
        with self._lock:
            port = self._listening()
            moment = time.monotonic()
            self._grants = {key: grant for key, grant in self._grants.items() if grant.until > moment}
            if len(self._grants) >= _MOST_WAITING:
                raise Unavailable("Too many consoles are being opened on this host; try again.", "console.busy")
            self._grants[_hashed(secret)] = _Grant(server_id, f"{server_id}/{kind}", target, moment + SECRET_S)
        return Relayed(self._shown, port, secret)

    def servers(self) -> set[str]:
        """Return the servers whose consoles are open, or may be opened with a secret that is out."""
        with self._lock:
            grants = (*self._grants.values(), *self._opening, *self._sessions.values())
            return {grant.server_id for grant in grants}

    def end(self, server_id: str) -> None:
        """Close every console of a server whose guest has ended, and let nobody through to where it was: that may be another's next."""
        with self._lock:
            self._grants = {key: grant for key, grant in self._grants.items() if grant.server_id != server_id}
            self._opening = {grant for grant in self._opening if grant.server_id != server_id}
            sessions = [session for session, grant in self._sessions.items() if grant.server_id == server_id]
        for session in sessions:
            LOG.info("server=%s event=console-cut reason=guest-ended", server_id)
            session.cut()

    def stop(self) -> None:
        """Close the listener and every console that is open."""
        with self._lock:
            self._stopped = True
            self._grants.clear()
            sessions = tuple(self._sessions)
            if self._listener is not None:
                with contextlib.suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)  # close alone does not wake who waits in accept
                self._listener.close()
        for session in sessions:
            session.cut()

    def _listening(self) -> int:
        """Listen, if that is not done yet, and return the port. The caller holds the lock."""
        if self._stopped:
            raise Unavailable("This host's agent is stopping.", "console.stopping")
        if self._listener is None:
            try:
                listener = socket.create_server(
                    (self._bind, self._conf.relay_port),
                    family=socket.AF_INET6 if ":" in self._bind else socket.AF_INET,
                )
            except OSError as error:
                LOG.error("event=console-relay-failed address=%s reason=%r", self._bind, str(error))
                raise Unavailable(
                    f"The host's console relay can't listen on {self._bind}: {error.strerror}.", "console.no_relay"
                ) from error
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), name="console-relay", daemon=True).start()
        return int(self._listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped:
            try:
                proxy, _ = listener.accept()
            except OSError:
                if self._stopped:
                    return
                time.sleep(0.1)  # no descriptor left, say: it passes
                continue
            if not self._places.acquire(blocking=False):
                LOG.warning("event=console-refused reason=too-many")
                proxy.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(proxy,), name="console", daemon=True).start()
            except RuntimeError as error:  # no thread can be had just now: that must not be the end of this one
                LOG.warning("event=console-refused reason=%r", str(error))
                proxy.close()
                self._places.release()

    def _serve(self, proxy: socket.socket) -> None:
        try:
            with proxy:
                grant = self._admitted(proxy)
                proxy.settimeout(self._conf.connect_timeout)
                if grant is None:
                    proxy.sendall(REFUSED)
                    return
                try:
                    self._open(grant, proxy)
                finally:
                    with self._lock:
                        self._opening.discard(grant)
                        if self._last.get(grant.name) is grant:
                            del self._last[grant.name]
        except OSError as error:
            LOG.info("event=console-ended reason=%r", str(error))
        finally:
            self._places.release()

    def _open(self, grant: _Grant, proxy: socket.socket) -> None:
        if grant.target.exclusive:
            self._make_room(grant.name)
        with _connect(grant.target, self._conf.connect_timeout) as guest:
            self._run(grant, _Session(proxy, guest, grant.target.channels))

    def _admitted(self, proxy: socket.socket) -> _Grant | None:
        request = b""
        # For all of it: who sends a byte now and then would hold a place without ever having shown a secret.
        deadline = time.monotonic() + self._conf.connect_timeout
        while b"\r\n\r\n" not in request:
            proxy.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = proxy.recv(_LONGEST_REQUEST)
            request += piece
            if not piece or len(request) > _LONGEST_REQUEST:
                return None
        words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "CONNECT":
            return None
        with self._lock:
            # Looked up by its hash, so that the time it takes tells nothing of the secret.
            grant = self._grants.pop(_hashed(words[1]), None)
            if grant is None or grant.until <= time.monotonic():
                return None
            self._opening.add(grant)
            if grant.target.exclusive:
                self._last[grant.name] = grant
            return grant

    def _make_room(self, name: str) -> None:
        with self._lock:
            others = [session for session, grant in self._sessions.items() if grant.name == name]
        for session in others:
            LOG.info("console=%s event=taken-over", name)
            session.cut()

    def _run(self, grant: _Grant, session: _Session) -> None:
        with self._lock:
            if self._stopped or grant not in self._opening:
                return
            if self._last.get(grant.name, grant) is not grant:
                LOG.info("console=%s event=gave-way", grant.name)
                return
            self._opening.remove(grant)
            # Before the proxy hears that it is through, so that whoever comes from then on finds it here.
            self._sessions[session] = grant
        began = time.monotonic()
        LOG.info("console=%s kind=%s event=opened", grant.name, grant.target.kind)
        other = threading.Thread(
            target=self._carry, args=(session, session.guest, session.proxy, began), name="console-out", daemon=True
        )
        try:
            session.proxy.sendall(GRANTED)
            other.start()
            self._carry(session, session.proxy, session.guest, began)
            other.join()
        finally:
            with self._lock:
                del self._sessions[session]
            LOG.info("console=%s kind=%s event=closed", grant.name, grant.target.kind)

    def _carry(self, session: _Session, source: socket.socket, sink: socket.socket, began: float) -> None:
        """Carry one direction to its end, which ends the other one too."""
        source.settimeout(_LOOK_S)
        try:
            while True:
                try:
                    piece = source.recv(_PIECE)
                except TimeoutError:
                    moment = time.monotonic()
                    if (
                        moment - self._moved_at(session) > self._conf.idle_timeout
                        or moment - began > self._conf.session_timeout
                    ):
                        return
                    continue
                if not piece or time.monotonic() - began > self._conf.session_timeout:
                    return
                session.moved_at = time.monotonic()
                _send(sink, piece)
        except OSError:
            return
        finally:
            session.cut()

    def _moved_at(self, session: _Session) -> float:
        """Return when a byte last went through *session*, or through another channel of the same console."""
        if not session.channels:
            return session.moved_at
        with self._lock:
            mine = self._sessions.get(session)
            name = None if mine is None else mine.name
            return max(
                (other.moved_at for other, grant in self._sessions.items() if grant.name == name),
                default=session.moved_at,
            )


def _send(sink: socket.socket, piece: bytes) -> None:
    """Send all of *piece*, a part at a time: a sink's time-out is that of its own reading.

    :raises TimeoutError: nothing of it was taken for long.
    """
    left = memoryview(piece)
    deadline = time.monotonic() + _SEND_S
    while left:
        try:
            left = left[sink.send(left) :]
            deadline = time.monotonic() + _SEND_S
        except TimeoutError:
            if time.monotonic() > deadline:
                raise


def _connect(target: ConsoleTarget, timeout_s: float) -> socket.socket:
    if target.unix_path is None:
        return socket.create_connection((target.host, target.port), timeout_s)
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        guest.settimeout(timeout_s)
        guest.connect(str(target.unix_path))
    except OSError:
        guest.close()
        raise
    return guest


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("latin-1")).hexdigest()

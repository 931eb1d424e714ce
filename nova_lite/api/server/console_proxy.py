"""The console proxy: a WebSocket on the one side, the relay of a guest's host on the other, and two pages.

It stands before the WSGI application and takes what lies below ``/console/``. Everything that decides is
:class:`nova_lite.api.console.doorman.Doorman`'s; here bytes are carried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from nova_lite import websocket
from nova_lite.api.console import pages, urls
from nova_lite.api.console.doorman import Doorman, Passage
from nova_lite.api.context import Services
from nova_lite.api.errors import status_of
from nova_lite.api.server.green import eventlet
from nova_lite.errors import Invalid, NotFound, NovaLiteError, Unavailable
from nova_lite.websocket import Decoder, Opcode, ProtocolError

LOG = logging.getLogger(__name__)

socket: Any = eventlet.green.socket

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

PING_S = 30.0
"""After so long a silence the browser is asked whether it is there; after twice that it is not. One piece may take as long."""

_PIECE = 32_768
_LONGEST_ANSWER = 1024
_MOST_PARAMETERS = 8
_SUBPROTOCOL = "binary"
_REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 503: "Service Unavailable"}
_GOING_AWAY, _BROKEN, _NORMAL = 1001, 1011, 1000


class ConsoleProxy:
    """A WSGI application before another one. Origins and pages are fixed when it is made."""

    def __init__(self, application: WsgiApp, services: Services) -> None:
        self._application = application
        self._doorman = Doorman(services)
        self._pages = pages.load(services.endpoint)
        self._connect_s = services.conf.console.connect_timeout
        self._most = services.conf.console.max_connections
        self._open = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(urls.PREFIX):
            return self._application(environ, start_response)
        if environ.get("REQUEST_METHOD") != "GET":
            return _refuse(start_response, 404)
        page = self._pages.get(path)
        if page is not None:
            start_response("200 OK", [*page.headers.items(), ("Content-Length", str(len(page.body)))])
            return [page.body]
        if path != urls.WEBSOCKET:
            return _refuse(start_response, 404)
        return self._websocket(environ, start_response)

    def _websocket(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._open >= self._most:
            LOG.warning("event=console-refused reason=too-many open=%d", self._open)
            return _refuse(start_response, 503)
        self._open += 1
        try:
            return self._carried(environ, start_response)
        finally:
            self._open -= 1

    def _carried(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = _handshake(environ)
            self._doorman.check_origin(environ.get("HTTP_ORIGIN"))
            passage = self._doorman.let_through(_token(environ))
            guest = self._reach(passage)
        except NovaLiteError as error:
            LOG.info("event=console-refused reason=%s", error.code)
            return _refuse(start_response, status_of(error))
        except OSError as error:
            LOG.warning("event=console-refused reason=%r", str(error))
            return _refuse(start_response, 503)
        LOG.info("server=%s console=%s event=opened", passage.server_id, passage.console_type)
        # An open console does not keep the server from stopping.
        environ["eventlet.set_idle"]()
        try:
            browser = environ["eventlet.input"].get_socket()
            with guest:
                _Splice(browser, guest).run(answer)
        finally:
            LOG.info("server=%s console=%s event=closed", passage.server_id, passage.console_type)
        # As eventlet's own WebSocket does it: the socket was answered on, and is closed.
        eventlet.wsgi.WSGI_LOCAL.already_handled = True
        return []

    def _reach(self, passage: Passage) -> Any:
        """Connect to the host's relay. :raises OSError: it can't be reached. :raises Unavailable: it does not let us through."""
        guest = socket.create_connection((passage.host, passage.port), self._connect_s)
        try:
            guest.sendall(f"CONNECT {passage.secret} HTTP/1.1\r\n\r\n".encode())
            # A byte at a time: what follows the answer is the guest's.
            said = b""
            while not said.endswith(b"\r\n\r\n"):
                byte = guest.recv(1)
                said += byte
                if not byte or len(said) > _LONGEST_ANSWER:
                    raise Unavailable("The console's host closed the connection.", "console.no_guest")
            if said.split(b" ", 2)[1:2] != [b"200"]:
                raise Unavailable("The console's host refused the connection.", "console.no_guest")
        except BaseException:
            guest.close()
            raise
        return guest


class _Splice:
    """One console: frames on the one side, bytes on the other."""

    def __init__(self, browser: Any, guest: Any) -> None:
        self._browser = browser
        self._guest = guest
        self._sending = eventlet.semaphore.Semaphore()
        self._closed = False

    def run(self, answer: bytes) -> None:
        """Finish the handshake and carry both directions until one ends."""
        self._browser.settimeout(PING_S)
        self._guest.settimeout(None)
        with suppress(OSError):
            self._send(answer)
            outward = eventlet.spawn(self._outward)
            try:
                self._inward()
            finally:
                with suppress(OSError):
                    self._guest.shutdown(socket.SHUT_RDWR)
                outward.wait()

    def _inward(self) -> None:
        """Hand on what the browser sends."""
        decoder = Decoder(masked=True)
        awaited = False
        while not self._closed:
            try:
                piece = self._browser.recv(_PIECE)
            except TimeoutError:
                if awaited:
                    return
                awaited = True
                self._send(websocket.encode(Opcode.PING, b""))
                continue
            if not piece:
                return
            awaited = False
            try:
                frames = decoder.feed(piece)
            except ProtocolError as error:
                self._close(error.code, str(error))
                return
            for frame in frames:
                if frame.opcode is Opcode.CLOSE:
                    self._close(_NORMAL, "")
                    return
                if frame.opcode is Opcode.PING:
                    self._send(websocket.encode(Opcode.PONG, frame.payload))
                elif frame.opcode is not Opcode.PONG and frame.payload:
                    self._guest.sendall(frame.payload)

    def _outward(self) -> None:
        """Hand on what the guest writes."""
        try:
            while piece := self._guest.recv(_PIECE):
                self._send(websocket.encode(Opcode.BINARY, piece))
            self._close(_GOING_AWAY, "the console has ended")
        except OSError:
            self._close(_BROKEN, "the console is broken")
        finally:
            with suppress(OSError):
                self._browser.shutdown(socket.SHUT_RDWR)

    def _send(self, frame: bytes) -> None:
        with self._sending:
            self._browser.sendall(frame)

    def _close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._send(websocket.close(code, reason))


def _handshake(environ: dict[str, Any]) -> bytes:
    """Return the answer that makes a request a WebSocket. :raises Invalid: it asks for none, or for another version."""
    named = {part.strip() for part in environ.get("HTTP_CONNECTION", "").lower().split(",")}
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    is_asked = "upgrade" in named and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
    if not is_asked or not key or environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        raise Invalid("A WebSocket of version 13 is to be had here, and nothing else.", "console.no_websocket")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {websocket.accept_key(key)}",
    ]
    if _SUBPROTOCOL in {part.strip() for part in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")}:
        lines.append(f"Sec-WebSocket-Protocol: {_SUBPROTOCOL}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _token(environ: dict[str, Any]) -> str:
    found: list[str]
    try:
        found = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=_MOST_PARAMETERS).get("token", [""])
    except ValueError:
        found = [""]
    if not found[0]:
        raise NotFound("Token not found", "console.token_not_found")
    return found[0]


def _refuse(start_response: Callable[..., Any], status: int) -> Iterable[bytes]:
    """Answer without a body: a client that wanted a WebSocket would take it for one's beginning."""
    start_response(f"{status} {_REASONS.get(status, 'Refused')}", [("Content-Length", "0"), ("Connection", "close")])
    return []

"""The console proxy: a WebSocket on the one side, the relay of a guest's host on the other, and the pages that open one.

It stands before the WSGI application and takes what lies below ``/console/``. Everything that decides is
:class:`nova_lite.api.console.doorman.Doorman`'s; here bytes are carried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import parse_qs

from nova_lite import spice, websocket
from nova_lite.api.console import pages, urls
from nova_lite.api.console.doorman import Doorman, Passage
from nova_lite.api.context import Services
from nova_lite.api.errors import status_of
from nova_lite.api.server import console_stream
from nova_lite.api.server.console_stream import Browser
from nova_lite.api.server.green import eventlet
from nova_lite.errors import Invalid, NotFound, NovaLiteError, Unavailable

LOG = logging.getLogger(__name__)

socket: Any = eventlet.green.socket

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LONGEST_ANSWER = 1024
_MOST_PARAMETERS = 8
_SUBPROTOCOL = "binary"
_REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 503: "Service Unavailable"}


class ConsoleProxy:
    """A WSGI application before another one. Origins and pages are fixed when it is made."""

    def __init__(self, application: WsgiApp, services: Services) -> None:
        self._application = application
        self._doorman = Doorman(services)
        self._pages = pages.load(services.conf, services.endpoint)
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
            start_response(page.status, [*page.headers.items(), ("Content-Length", str(len(page.body)))])
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
            token = _token(environ)
            guest = None
            if not self._doorman.has_channels(token):
                passage = self._doorman.let_through(token)
                guest = self._reach(passage)
        except NovaLiteError as error:
            LOG.info("event=console-refused reason=%s", error.code)
            return _refuse(start_response, status_of(error))
        except OSError as error:
            LOG.warning("event=console-refused reason=%r", str(error))
            return _refuse(start_response, 503)
        # An open console does not keep the server from stopping.
        environ["eventlet.set_idle"]()
        with suppress(OSError), nullcontext() if guest is None else guest:
            browser = Browser(environ["eventlet.input"].get_socket(), answer)
            if guest is None:
                self._channel(browser, token)
            else:
                self._run(browser, guest, passage)
        # As eventlet's own WebSocket does it: the socket was answered on, and is closed.
        eventlet.wsgi.WSGI_LOCAL.already_handled = True
        return []

    def _run(self, browser: Browser, guest: Any, passage: Passage, channel: str = "") -> None:
        """Carry a console's bytes to its end."""
        what = f"{passage.console_type}/{channel}" if channel else passage.console_type
        LOG.info("server=%s console=%s event=opened", passage.server_id, what)
        try:
            console_stream.splice(browser, guest)
        finally:
            LOG.info("server=%s console=%s event=closed", passage.server_id, what)

    def _channel(self, browser: Browser, token: str) -> None:
        """Carry one channel of a console that has several; only its first bytes say which, so it is refused in the open WebSocket."""
        try:
            said, link = console_stream.first(browser, spice.read_link, self._connect_s)
            passage = self._doorman.let_channel_through(token, link)
        except (spice.LinkError, NovaLiteError) as error:
            LOG.info("event=console-refused reason=%r", str(error))
            browser.close(console_stream.NOT_ALLOWED, str(error))
            return
        except (TimeoutError, EOFError):
            browser.close(console_stream.NOT_ALLOWED, "nobody has said what this is for")
            return
        try:
            with self._reach(passage) as guest:
                guest.sendall(said)
                self._run(browser, guest, passage, link.name)
        except (OSError, NovaLiteError) as error:
            LOG.warning("server=%s event=console-refused reason=%r", passage.server_id, str(error))
            browser.close(console_stream.BROKEN, "the console can't be reached")
        finally:
            if link.begins:
                self._doorman.end_session(token)

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

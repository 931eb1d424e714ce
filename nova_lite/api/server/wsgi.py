"""Serve a WSGI application with eventlet, and get slow work off its hub."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from oslo_config import cfg

from nova_lite.api.server.green import eventlet
from nova_lite.api.server.listening import listen

LOG = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

URL_LIMIT = 16_384
HEADER_LINE_LIMIT = 32_768
"""Bytes; a Fernet token is below 1 KiB, but clients send cookies and the like."""
HEADERS_LIMIT = 65_536
OFFLOAD_THREADS = 8
STOP_S = 10.0
"""How long requests under way may take to end when the server stops."""


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """eventlet's protocol; it never writes to standard error, and does not tell what it is made of."""

    server_version = "nova-lite"
    sys_version = ""

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if self.headers.get("content-type") is None:
            # eventlet says text/plain then, which no client did.
            environ["CONTENT_TYPE"] = ""
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        LOG.debug("http " + format, *args)


def patch() -> None:
    """Make this process cooperative (the stand-alone API): sockets, threads and psycopg2 wait without blocking the hub."""
    eventlet.monkey_patch()
    try:
        from eventlet.support import psycopg2_patcher

        psycopg2_patcher.make_psycopg_green()
    except ImportError:
        LOG.debug("psycopg2 is not installed; PostgreSQL can't be used")


def offload(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Run *function* in a native thread and return its result; the hub goes on meanwhile.

    In a process that is patched, a method of something ``cooperative`` (the bus) waits without blocking the hub, and must
    stay there: what it waits for belongs to the hub's own thread. Other functions given to this must then not use
    sockets, queues or locks that the hub uses.
    """
    if eventlet.patcher.is_monkey_patched("thread") and _is_cooperative(function):
        return function(*arguments, **named)
    return eventlet.tpool.execute(function, *arguments, **named)


def _is_cooperative(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return bool(getattr(getattr(function, "__self__", None), "cooperative", False))


def serve(
    application: WsgiApp,
    host: str,
    port: int,
    *,
    conf: cfg.ConfigOpts,
    ready: Callable[[str], None] = lambda _url: None,
    listener: socket.socket | None = None,
    until_closed: int | None = None,
) -> None:
    """Serve *application* until SIGTERM or SIGINT; then end the requests under way, for at most ``STOP_S`` seconds.

    Must be called in the main thread, whose hub it runs. *ready* is called with the URL once connections are taken.
    *listener*: a socket that listens already (workers share one). *until_closed*: a descriptor whose end of file also
    stops the server (a worker's parent has died).

    :raises OSError: the address can't be listened on.
    """
    eventlet.wsgi.MAX_HEADER_LINE = HEADER_LINE_LIMIT
    eventlet.wsgi.MAX_TOTAL_HEADER_SIZE = HEADERS_LIMIT
    eventlet.tpool.set_num_threads(OFFLOAD_THREADS)
    plain = listener if listener is not None else listen(host, port)
    green = eventlet.greenio.GreenSocket(plain)
    with _signals() as wakeup:
        server = eventlet.spawn(_run, green, application, conf)
        ready(f"http://{host}:{plain.getsockname()[1]}")
        watchers = [wakeup] if until_closed is None else [wakeup, until_closed]
        _wait(server, watchers)
        server.kill()
        try:
            with eventlet.Timeout(STOP_S):
                server.wait()
        except eventlet.Timeout:
            LOG.warning("event=stopped-with-requests-under-way")
        except eventlet.greenlet.GreenletExit:
            LOG.debug("event=stopped")


def _run(green: Any, application: WsgiApp, conf: cfg.ConfigOpts) -> None:
    keepalive = conf.api.keepalive_timeout
    eventlet.wsgi.server(
        green,
        application,
        log=LOG.getChild("eventlet"),
        log_output=False,
        debug=False,
        protocol=_Protocol,
        max_size=conf.api.max_connections,
        keepalive=keepalive > 0,
        socket_timeout=keepalive or None,
        url_length_limit=URL_LIMIT,
        capitalize_response_headers=False,
    )


def _wait(server: Any, descriptors: list[int]) -> None:
    """Wait until one of *descriptors* can be read, or the server has ended by itself."""
    done = eventlet.Event()

    def watch(descriptor: int) -> None:
        eventlet.hubs.trampoline(descriptor, read=True)
        if not done.ready():
            done.send(None)

    def ended(_thread: Any) -> None:
        if not done.ready():
            done.send(None)

    watchers = [eventlet.spawn(watch, descriptor) for descriptor in descriptors]
    server.link(ended)
    done.wait()
    for watcher in watchers:
        watcher.kill()


@contextmanager
def _signals() -> Iterator[int]:
    """Give a descriptor that can be read once SIGTERM or SIGINT has come.

    A handler alone would not do: Python goes on waiting in poll after it has run, so the hub would not look for a minute.
    """
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield reading
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)

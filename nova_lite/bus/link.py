"""A transport of oslo.messaging that can be thrown away whole, whatever its connections are stuck in.

oslo.messaging 18.3.1 mends its connections by itself, each on its own, and sometimes does not get there: a server that
is stopped while the broker is away keeps its consumers without anybody reading them, and they swallow every message of
their queue until the broker misses their heartbeats. What can't be mended is replaced here: ``Link.scrap`` ends each
socket by force and lets none come back, so that the broker forgets the old consumers before the new ones are there.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from oslo_config import cfg

from nova_lite.bus import transport
from nova_lite.bus.catalogue import EXCHANGE

LOG = logging.getLogger(__name__)

SETTLE_S = 2.0
"""How long the threads of a scrapped link have to see that their sockets are gone, before what is left is collected."""


class Link:
    """A transport, its client, and every connection that oslo.messaging opens for them.

    :param patient: whether a connection for hearing may be tried for ever (a listener's) or must fail (a caller's).
    """

    def __init__(self, conf: cfg.ConfigOpts, *, patient: bool) -> None:
        messaging = transport.load_messaging()
        self.transport = transport.make(conf)
        # One more try meets a connection that died unnoticed (the broker was restarted).
        self.client = messaging.get_rpc_client(self.transport, messaging.Target(exchange=EXCHANGE), retry=1)
        self.patient = patient
        self.scrapped = False
        self._refusal = partial(messaging.MessageDeliveryFailure, "This connection was given up.")
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._driver: Any = self.transport._driver
        self._driver._connection_pool.connection_cls = partial(_connection_class(), self)

    def adopt(self, connection: Any) -> None:
        """Take note of a connection that is about to be opened.

        :raises MessageDeliveryFailure: the link was scrapped.
        """
        with self._lock:
            if self.scrapped:
                raise self._refusal()
            if connection not in self._connections:
                self._connections.add(connection)
                outer = connection.connection
                outer._establish_connection = partial(self._establish, outer._establish_connection)

    def _establish(self, establish: Callable[[], Any]) -> Any:
        """Connect for kombu, which tries again for as long as this raises what it can recover from."""
        if self.scrapped:
            raise self._refusal()
        made = establish()
        if self.scrapped:  # meanwhile: a broker that hangs takes seconds
            made.collect()
            raise self._refusal()
        return made

    def hears(self, timeout: float) -> bool:
        """Tell whether an answer would arrive: send one to the link's own reply queue, past any agent.

        It goes the way of all answers (pool, broker, reply queue, waiter), so that a silent agent is told from a deaf
        caller.
        """
        arrived = threading.Event()
        threading.Thread(target=self._answer_itself, args=(arrived, timeout), name="bus-echo", daemon=True).start()
        return arrived.wait(timeout)

    def _answer_itself(self, arrived: threading.Event, timeout: float) -> None:
        number = uuid.uuid4().hex
        try:
            queue = self._driver._get_reply_q()
            waiter = self._driver._waiter
            waiter.listen(number)
            try:
                with self._driver._get_connection(retry=1) as connection:
                    connection.direct_send(queue, _echo(number))
                waiter.wait(number, timeout, None, queue)
            finally:
                waiter.unlisten(number)
        except Exception as error:
            LOG.info("bus=echo-failed reason=%r", str(error))
            return
        arrived.set()

    def forget(self, queue: str) -> None:
        """Have the broker delete a queue with its bindings and consumers; one that is not there is no matter.

        :raises Exception: what kombu and amqp raise when the broker is not to be had.
        """
        with self._driver._get_connection(retry=1) as connection:
            connection.channel.queue_delete(queue)

    def scrap(self, server: Any = None) -> None:
        """End every connection at once and for good; *server*, if any, is ended with them. Never waits.

        A call that is under way ends at its time-out; a new one on this link is refused.
        """
        with self._lock:
            self.scrapped = True
        self._cut()
        threading.Thread(target=self._bury, args=(server,), name="bus-scrap", daemon=True).start()

    def close(self) -> None:
        """End every connection in good order."""
        self.transport.cleanup()

    def _bury(self, server: Any) -> None:
        if server is not None:
            threading.Thread(target=end, args=(server,), name="bus-end", daemon=True).start()
        time.sleep(SETTLE_S)
        self._cut()  # what was being opened when the link was scrapped
        for connection in self._opened():
            _collect(connection)

    def _opened(self) -> list[Any]:
        with self._lock:
            return list(self._connections)

    def _cut(self) -> None:
        waiter = self._driver._waiter
        if waiter is not None:
            waiter._thread_exit_event.set()
        for connection in self._opened():
            _cut(connection, self._refusal)


def end(server: Any, deaf: threading.Event | None = None) -> None:
    """End a server of oslo.messaging; *deaf* is set when it hears nothing more. That may hang while its sockets live."""
    try:
        server.stop()
        if deaf is not None:
            deaf.set()
        server.wait()  # its pool's idle threads end within a second
    except Exception as error:
        LOG.info("bus=stop-failed reason=%r", str(error))
    finally:
        if deaf is not None:
            deaf.set()


def _echo(number: str) -> dict[str, Any]:
    common = importlib.import_module("oslo_messaging._drivers.common")
    amqp = importlib.import_module("oslo_messaging._drivers.amqp")
    message = {"result": True, "failure": None, "ending": True, "_msg_id": number}
    amqp._add_unique_id(message)
    wrapped: dict[str, Any] = common.serialize_msg(message)
    return wrapped


def _cut(connection: Any, refusal: Callable[[], Exception]) -> None:
    """Shut the socket of *connection*, so that whoever waits on it wakes up, and let it not connect again by itself."""

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise refusal()

    connection.stop_consuming()
    heartbeat = getattr(connection, "_heartbeat_exit_event", None)
    if heartbeat is not None:
        heartbeat.set()
    inner = getattr(connection.connection, "_connection", None)
    if inner is None:
        return
    inner.connect = refuse  # py-amqp connects again by itself when a closed connection is asked for its socket
    stream = getattr(inner, "_transport", None)
    sock = getattr(stream, "sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):  # it is closed already
            sock.shutdown(socket.SHUT_RDWR)


def _collect(connection: Any) -> None:
    outer = connection.connection
    if outer is not None:
        try:
            outer.collect()
        except Exception as error:
            LOG.info("bus=collect-failed reason=%r", str(error))


@functools.cache
def _connection_class() -> Callable[..., Any]:
    """Return oslo.messaging's connection, made to report to its link; made late, as importing it is (``transport``)."""
    impl_rabbit = importlib.import_module("oslo_messaging._drivers.impl_rabbit")
    listening = importlib.import_module("oslo_messaging._drivers.common").PURPOSE_LISTEN
    failure = transport.load_messaging().MessagingException

    class Connection(impl_rabbit.Connection):  # type: ignore[misc, name-defined]
        def __init__(self, link: Link, conf: Any, url: Any, purpose: str, retry: int | None = None) -> None:
            self._link = link
            if retry is None and purpose == listening and not link.patient:
                retry = 1  # else a first call would wait, with a lock held, until the broker is there
            super().__init__(conf, url, purpose, retry)

        def ensure_connection(self) -> None:
            self._link.adopt(self)
            super().ensure_connection()

        def consume(self, timeout: float | None = None) -> None:
            try:
                super().consume(timeout)
            except failure:
                if not self._link.scrapped:
                    raise
                time.sleep(0.2)  # its thread is on its way out, and neither spins nor complains meanwhile

    return Connection

"""The bus as the services use it: cast a hint, ask an agent, listen."""

from __future__ import annotations

import logging
import threading
import time
import types
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.bus import transport
from nova_lite.bus.catalogue import AGENT, EXCHANGE, MESSAGES, Kind
from nova_lite.bus.link import Link
from nova_lite.bus.listener import Heard, Listener
from nova_lite.errors import NovaLiteError, Unavailable

LOG = logging.getLogger(__name__)

DOUBT_S = 10.0
"""How often, at most, a caller that got no answer looks whether it is itself that is deaf."""

ECHO_S = 5.0
"""How long an answer from oneself to oneself may take."""


class Bus:
    """One process's connection to the bus; made after any fork, as it holds threads and sockets.

    :param conf: ``[bus]`` and ``[compute] rpc_timeout`` are read.
    """

    cooperative = True
    """In a process that eventlet has patched, its waiting lets others run, in the hub's own thread alone."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._messaging = transport.load_messaging()
        self._unreachable = transport.failures()
        self._remote = not conf.bus.transport_url.startswith("kombu+memory:")
        self._unit_s = conf.compute.rpc_timeout
        self._link = Link(conf, patient=False)
        self._lock = threading.Lock()
        self._doubted_at = -DOUBT_S
        self._closed = False

    def cast(self, topic: str, host: str | None = None, name: str = "wake") -> None:
        """Send a hint to some worker of *topic*, or to the one of *host*.

        :raises Unavailable: the broker does not take it.
        """
        self._cast(self._link, topic, host, name)

    def _cast(self, link: Link, topic: str, host: str | None, name: str = "wake") -> None:
        message = MESSAGES[topic, name]
        assert message.kind is Kind.CAST
        try:
            link.client.prepare(topic=topic, server=host).cast({}, name)
        except self._unreachable as error:
            raise Unavailable(f"The message bus is not reachable: {error}", "bus.unavailable") from error

    def call(self, host: str, method: str, **arguments: Any) -> Any:
        """Ask the agent of *host* and return its answer.

        :raises Unavailable: no answer came within the message's time-out class.
        :raises NovaLiteError: what the agent answered with instead.
        """
        message = MESSAGES[AGENT, method]
        assert message.kind is Kind.CALL
        timeout = self._unit_s * message.patience.value
        link = self._link
        try:
            answer = link.client.prepare(topic=AGENT, server=host, timeout=timeout).call({}, method, **arguments)
        except self._messaging.MessagingTimeout as error:
            self._doubt(link)
            raise Unavailable(f"Host {host} did not answer within {timeout:g} s.", "bus.timeout") from error
        except self._unreachable as error:
            raise Unavailable(f"The message bus is not reachable: {error}", "bus.unavailable") from error
        return _open(answer)

    def listen(self, topic: str, host: str, answers: Mapping[str, Callable[..., Any]]) -> Listener:
        """Hand messages of *topic* that are for *host* (or for anybody) to *answers*, keyed by message name.

        Returns at once, even while the broker is down: the listener connects when it can. A function's keyword
        arguments are the message's; a cast's result is dropped.
        """
        heard = Heard()
        endpoint = types.SimpleNamespace()
        for name, function in answers.items():
            message = MESSAGES[topic, name]
            deliver = partial(_answer, function) if message.kind is Kind.CALL else partial(_hear, function, heard)
            setattr(endpoint, name, deliver)
        target = self._messaging.Target(exchange=EXCHANGE, topic=topic, server=host)

        queues = (f"{topic}.{host}", topic)  # as oslo.messaging calls them

        def serve(link: Link) -> Any:
            with warnings.catch_warnings():
                # To name an executor is deprecated with the other one; left out, it is guessed.
                warnings.simplefilter("ignore", DeprecationWarning)
                return self._messaging.get_rpc_server(link.transport, target, [endpoint], executor="threading")

        def probe(link: Link) -> None:
            self._cast(link, topic, host)

        if not self._remote:
            return Listener(lambda: self._link, serve, queues, f"{topic}@{host}", heard, None)
        connect = partial(Link, self._conf, patient=True)
        return Listener(connect, serve, queues, f"{topic}@{host}", heard, probe if "wake" in answers else None)

    def close(self) -> None:
        """Close every connection; listeners are stopped before."""
        with self._lock:
            self._closed = True
        if self._remote:
            self._link.scrap()
        else:
            self._link.close()

    def _doubt(self, link: Link) -> None:
        """Have it found out, now and then and in the background, whether *link* is deaf; put another in its place."""
        with self._lock:
            now = time.monotonic()
            if not self._remote or self._closed or link is not self._link or now - self._doubted_at < DOUBT_S:
                return
            self._doubted_at = now
        threading.Thread(target=self._check, args=(link,), name="bus-doubt", daemon=True).start()

    def _check(self, link: Link) -> None:
        if link.hears(ECHO_S):
            return
        with self._lock:
            if self._closed or link is not self._link:
                return
            self._link = Link(self._conf, patient=False)
        LOG.warning("bus=deaf (its connection is made anew)")
        link.scrap()


def _hear(function: Callable[..., Any], heard: Heard, _context: Any, **arguments: Any) -> None:
    heard.note()
    function(**arguments)


def _answer(function: Callable[..., Any], _context: Any, **arguments: Any) -> dict[str, Any]:
    """Answer a call with plain data: ``{"result": …}``, or ``{"error": {class, code, message}}``."""
    try:
        return {"result": function(**arguments)}
    except NovaLiteError as error:
        return {"error": {"class": type(error).__name__, "code": error.code, "message": error.message}}
    except Exception:
        LOG.exception("call=%s event=failed", getattr(function, "__name__", "?"))
        return {"error": {"class": "Unavailable", "code": "agent.failed", "message": "The host could not answer."}}


def _open(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    known = getattr(errors, error["class"], None)
    kind = known if isinstance(known, type) and issubclass(known, NovaLiteError) else NovaLiteError
    raise kind(error["message"], error["code"])

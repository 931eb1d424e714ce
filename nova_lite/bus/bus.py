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
from nova_lite.bus import inprocess, transport
from nova_lite.bus.catalogue import AGENT, EXCHANGE, MESSAGES, Kind
from nova_lite.errors import NovaLiteError, Unavailable

LOG = logging.getLogger(__name__)

STOP_S = 5.0
"""How long a listener may take to end; after that it is left to die with its process."""

PROBE_S = 5.0
"""Seconds between the hints that a listener on a broker sends itself."""


class Bus:
    """One process's connection to the bus; made after any fork, as it holds threads and sockets.

    :param conf: ``[bus]`` and ``[compute] rpc_timeout`` are read.
    """

    cooperative = True
    """In a process that eventlet has patched, its waiting lets others run, in the hub's own thread alone."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._messaging = transport.load_messaging()
        self._transport = transport.make(conf)
        self._remote = not conf.bus.transport_url.startswith("kombu+memory:")
        self._unit_s = conf.compute.rpc_timeout
        # One more try meets a connection that died unnoticed (the broker was restarted).
        self._client = self._messaging.get_rpc_client(
            self._transport, self._messaging.Target(exchange=EXCHANGE), retry=1
        )

    def cast(self, topic: str, host: str | None = None, name: str = "wake") -> None:
        """Send a hint to some worker of *topic*, or to the one of *host*.

        :raises Unavailable: the broker does not take it.
        """
        message = MESSAGES[topic, name]
        assert message.kind is Kind.CAST
        try:
            self._client.prepare(topic=topic, server=host).cast({}, name)
        except self._messaging.MessagingException as error:
            raise Unavailable(f"The message bus is not reachable: {error}", "bus.unavailable") from error

    def call(self, host: str, method: str, **arguments: Any) -> Any:
        """Ask the agent of *host* and return its answer.

        :raises Unavailable: no answer came within the message's time-out class.
        :raises NovaLiteError: what the agent answered with instead.
        """
        message = MESSAGES[AGENT, method]
        assert message.kind is Kind.CALL
        timeout = self._unit_s * message.patience.value
        try:
            answer = self._client.prepare(topic=AGENT, server=host, timeout=timeout).call({}, method, **arguments)
        except self._messaging.MessagingTimeout as error:
            raise Unavailable(f"Host {host} did not answer within {timeout:g} s.", "bus.timeout") from error
        except self._messaging.MessagingException as error:
            raise Unavailable(f"The message bus is not reachable: {error}", "bus.unavailable") from error
        return _open(answer)

    def listen(self, topic: str, host: str, answers: Mapping[str, Callable[..., Any]]) -> Listener:
        """Hand messages of *topic* that are for *host* (or for anybody) to *answers*, keyed by message name.

        Returns at once, even while the broker is down: the listener connects when it can. A function's keyword
        arguments are the message's; a cast's result is dropped.
        """
        heard = _Heard()
        endpoint = types.SimpleNamespace()
        for name, function in answers.items():
            message = MESSAGES[topic, name]
            deliver = partial(_answer, function) if message.kind is Kind.CALL else partial(_hear, function, heard)
            setattr(endpoint, name, deliver)
        target = self._messaging.Target(exchange=EXCHANGE, topic=topic, server=host)

        def make() -> Any:
            with warnings.catch_warnings():
                # To name an executor is deprecated with the other one; left out, it is guessed.
                warnings.simplefilter("ignore", DeprecationWarning)
                return self._messaging.get_rpc_server(self._transport, target, [endpoint], executor="threading")

        probe = partial(self.cast, topic, host) if self._remote and "wake" in answers else None
        return Listener(make, f"{topic}@{host}", heard, probe)

    def close(self) -> None:
        """Close every connection; listeners are stopped before."""
        self._transport.cleanup()


class _Heard:
    """Counts the hints that were heard."""

    count = 0


class Listener:
    """A server of oslo.messaging that never makes its service wait, and is made anew when it has gone deaf.

    After a broker was killed, oslo.messaging 18.3.1 now and then tries for ever to go on with a connection that is dead
    (``RecoverableConnectionError: unknown error``), though the broker is back. So a listener sends itself a hint every
    ``PROBE_S`` seconds, and one that the broker takes and that does not arrive in as long means a new server.
    """

    def __init__(self, make: Callable[[], Any], name: str, heard: _Heard, probe: Callable[[], None] | None) -> None:
        self._make = make
        self._name = name
        self._heard = heard
        self._probe = probe
        self._server = make()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        threading.Thread(target=self._run, name=f"bus-{name}", daemon=True).start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the listener is connected; False when it is not after *timeout* seconds."""
        return self._ready.wait(timeout)

    def stop(self) -> None:
        """Stop hearing; bounded by ``STOP_S``."""
        self._stopping.set()
        if not self._ready.is_set():
            return
        deaf = _end(self._server, self._name)
        deadline = time.monotonic() + STOP_S
        while not deaf.wait(0.02) and time.monotonic() < deadline:
            inprocess.ARRIVALS.interrupt()

    def _run(self) -> None:
        self._start()
        while self._probe is not None and not self._stopping.wait(PROBE_S):
            before = self._heard.count
            try:
                self._probe()
            except Unavailable:
                continue  # nobody can hear while the broker is down
            if self._stopping.wait(PROBE_S):
                return
            if self._heard.count == before:
                LOG.warning("listener=%s event=deaf (it is made anew)", self._name)
                _end(self._server, self._name)
                self._server = self._make()
                self._start()

    def _start(self) -> None:
        try:
            self._server.start()
        except Exception:
            LOG.exception("listener=%s event=not-started (work is found by polling)", self._name)
            return
        self._ready.set()


def _end(server: Any, name: str) -> threading.Event:
    """End *server* in a thread of its own, as that may hang; the event tells when it hears nothing more."""
    deaf = threading.Event()

    def stop() -> None:
        try:
            server.stop()
            deaf.set()
            server.wait()  # its pool's idle threads end within a second, which nobody need wait for
        except Exception as error:
            LOG.info("listener=%s event=stop-failed reason=%r", name, str(error))
            deaf.set()

    threading.Thread(target=stop, name=f"bus-stop-{name}", daemon=True).start()
    return deaf


def _hear(function: Callable[..., Any], heard: _Heard, _context: Any, **arguments: Any) -> None:
    heard.count += 1
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

"""The bus as the services use it: cast a hint, ask an agent, listen."""

from __future__ import annotations

import functools
import logging
import threading
import time
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.bus import inprocess, transport
from nova_lite.bus.catalogue import AGENT, EXCHANGE, MESSAGES, Kind
from nova_lite.errors import NovaLiteError, Unavailable

LOG = logging.getLogger(__name__)

STOP_S = 5.0
"""How long a listener may take to end; after that it is left to die with its process."""


class Bus:
    """One process's connection to the bus; made after any fork, as it holds threads and sockets.

    :param conf: ``[bus]`` and ``[compute] rpc_timeout`` are read.
    """

    cooperative = True
    """In a process that eventlet has patched, its waiting lets others run, in the hub's own thread alone."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._messaging = transport.load_messaging()
        self._transport = transport.make(conf)
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
        endpoint = types.SimpleNamespace()
        for name, function in answers.items():
            message = MESSAGES[topic, name]
            setattr(endpoint, name, functools.partial(_answer if message.kind is Kind.CALL else _hear, function))
        target = self._messaging.Target(exchange=EXCHANGE, topic=topic, server=host)
        with warnings.catch_warnings():
            # To name an executor is deprecated with the other one; left out, it is guessed.
            warnings.simplefilter("ignore", DeprecationWarning)
            server = self._messaging.get_rpc_server(self._transport, target, [endpoint], executor="threading")
        return Listener(server, f"{topic}@{host}")

    def close(self) -> None:
        """Close every connection; listeners are stopped before."""
        self._transport.cleanup()


class Listener:
    """A server of oslo.messaging that never makes its service wait."""

    def __init__(self, server: Any, name: str) -> None:
        self._server = server
        self._name = name
        self._ready = threading.Event()
        threading.Thread(target=self._start, name=f"bus-start-{name}", daemon=True).start()

    def _start(self) -> None:
        try:
            self._server.start()
        except Exception:
            LOG.exception("listener=%s event=not-started (work is found by polling)", self._name)
            return
        self._ready.set()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the listener is connected; False when it is not after *timeout* seconds."""
        return self._ready.wait(timeout)

    def stop(self) -> None:
        """Stop hearing; bounded by ``STOP_S``."""
        if not self._ready.is_set():
            return
        deaf = threading.Event()
        threading.Thread(target=self._stop, args=(deaf,), name=f"bus-stop-{self._name}", daemon=True).start()
        deadline = time.monotonic() + STOP_S
        while not deaf.wait(0.02) and time.monotonic() < deadline:
            inprocess.ARRIVALS.interrupt()

    def _stop(self, deaf: threading.Event) -> None:
        try:
            self._server.stop()
            deaf.set()
            self._server.wait()  # its pool's idle threads end within a second, which nobody need wait for
        except Exception as error:
            LOG.info("listener=%s event=stop-failed reason=%r", self._name, str(error))
            deaf.set()


def _hear(function: Callable[..., Any], _context: Any, **arguments: Any) -> None:
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

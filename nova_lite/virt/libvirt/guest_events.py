"""Hear of guests that start, stop, die or vanish: libvirt's lifecycle events, of one address each.

Events come over a connection of their own, so that a call that is given up (:mod:`connection`) does not end them. A thread for each address
opens it, and again whenever libvirtd has closed it; one more thread runs libvirt's event loop for the whole process, for good, as
libvirt has just one. Nothing here is waited for: a libvirtd that hangs holds these threads and nobody else's, and
keep-alive messages end a connection that has gone silent.

An event tells the server's id and what has become of the guest. What happens between two connections is not heard, so each new one is told as
a change of nobody in particular.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.abilities import Change
from nova_lite.virt.libvirt.connection import is_absent

LOG = logging.getLogger(__name__)

_BECOMES: dict[int, PowerState | None] = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: PowerState.SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: None,
}
"""The rest, DEFINED and SHUTDOWN (on its way out, STOPPED follows), says nothing of how the guest is."""
_AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_ABSENT_S = 300.0
"""How long to leave an address alone that this libvirt has no driver for; its package may be installed later."""
_KEEPALIVE_S = 10
_KEEPALIVE_MOST = 6
"""After so many messages without an answer the connection is closed."""

_LOOP = threading.Lock()
_loop: threading.Thread | None = None


def _run_loop() -> None:
    """Have libvirt's event loop run; it must be registered before the connection is opened whose events it is to bring."""
    global _loop
    with _LOOP:
        if _loop is None:
            libvirt.virEventRegisterDefaultImpl()
            _loop = threading.Thread(target=_turn, name="libvirt-events", daemon=True)
            _loop.start()


def _turn() -> None:
    rest = threading.Event()
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError as error:
            LOG.error("event=libvirt-loop-failed reason=%r", str(error))
            rest.wait(1.0)


class GuestEvents:
    """Tells of what happens to the guests of one address, from :meth:`start` until :meth:`stop`."""

    def __init__(self, uri: str, tell: Callable[[Change], None]) -> None:
        self._uri = uri
        self._tell = tell
        self._stopping = False
        self._over = threading.Event()
        """Set when the connection is lost, or :meth:`stop` was called."""

    def start(self) -> None:
        """Begin, in a thread that nobody waits for."""
        _run_loop()
        threading.Thread(target=self._run, name=f"events of {self._uri}", daemon=True).start()

    def stop(self) -> None:
        """Tell nothing more; the connection is closed as soon as libvirt lets us."""
        self._stopping = True
        self._over.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._over.clear()
            try:
                connection, number = self._subscribe()
            except libvirt.libvirtError as error:
                self._rest(error, failures)
                failures += 1
                continue
            failures = 0
            if not self._stopping:
                LOG.info("uri=%s event=watched", self._uri)
                self._tell(Change(None, None))
                self._over.wait()
            self._unsubscribe(connection, number)
            if not self._stopping:
                LOG.warning("uri=%s event=watch-lost", self._uri)
                self._over.clear()
                self._over.wait(_AGAIN_S[0])

    def _rest(self, error: Any, failures: int) -> None:
        if is_absent(error):
            self._over.wait(_ABSENT_S)
            return
        if not failures:
            LOG.warning("uri=%s event=not-watched reason=%r", self._uri, str(error))
        self._over.wait(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])

    def _subscribe(self) -> tuple[Any, int]:
        connection = libvirt.open(self._uri)
        connection.registerCloseCallback(self._on_close, None)
        with contextlib.suppress(libvirt.libvirtError):  # the test driver has none
            connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_MOST)
        number = connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None)
        return connection, number

    def _unsubscribe(self, connection: Any, number: int) -> None:
        for let_go in (
            lambda: connection.domainEventDeregisterAny(number),
            connection.unregisterCloseCallback,
            connection.close,
        ):
            # Of a connection that is dead libvirt forgets our side of it all the same.
            with contextlib.suppress(libvirt.libvirtError):
                let_go()

    def _on_close(self, _connection: Any, _reason: int, _opaque: object) -> None:
        self._over.set()

    def _on_event(self, _connection: Any, domain: Any, event: int, _detail: int, _opaque: object) -> None:
        if event in _BECOMES and not self._stopping:
            self._tell(Change(domain.UUIDString(), _BECOMES[event]))

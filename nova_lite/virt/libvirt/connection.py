"""One connection to libvirt per address, every call bounded in time.

libvirt's calls block in C without a deadline of their own: one hung guest would hold its caller for good. So each call
runs in a thread of its own and is given up (not ended, which C code can't be) when its time is over; the number of
calls under way is limited, so that a libvirtd that hangs altogether costs a bounded number of threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from nova_lite.virt.driver import DriverError, DriverTimeout, GuestNotFound

T = TypeVar("T")

_MAX_CALLS = 32
_LOST = frozenset(
    {
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_RPC,
    }
)
_LOST_DOMAINS = frozenset({libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_NONE})


class DriverAbsent(DriverError):
    """This libvirt has no driver for the address at all (its package is not installed): there are no such guests."""

    default_code = "driver.absent"


def _keep_quiet(_context: object, _error: object) -> None:
    """Take libvirt's own report, which would go to standard error; the exception says the same."""


libvirt.registerErrorHandler(_keep_quiet, None)


class Connection:
    """A connection to one libvirt address, opened when it is first needed and again when it was lost."""

    def __init__(self, uri: str, call_timeout: float) -> None:
        """:param call_timeout: seconds that one call may take."""
        self.uri = uri
        self._call_timeout = call_timeout
        self._slots = threading.BoundedSemaphore(_MAX_CALLS)
        self._lock = threading.Lock()
        self._connection: Any = None

    def call(self, what: str, work: Callable[[Any], T], timeout: float | None = None) -> T:
        """Run ``work(connection)`` and return what it returns.

        A connection that libvirtd has closed is opened anew and *work* runs once more, so *work* must bear being
        repeated, and must look domains up itself.

        :param what: what is being done, for the message: ``start guest …``.
        :raises GuestNotFound: libvirt answers that there is no such domain.
        :raises DriverTimeout: no answer within *timeout* (default ``[libvirt] call_timeout``) seconds.
        :raises DriverError: libvirt refuses, or can't be reached.
        """
        limit = self._call_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        if not self._slots.acquire(timeout=limit):
            raise DriverTimeout(f"{what}: libvirt ({self.uri}) has not answered {_MAX_CALLS} earlier calls")
        outcome: list[tuple[bool, Any]] = []
        finished = threading.Event()

        def body() -> None:
            try:
                outcome.append((True, self._with_reconnect(work)))
            except BaseException as error:
                outcome.append((False, error))
            finally:
                self._slots.release()
                finished.set()

        threading.Thread(target=body, name=f"libvirt: {what}", daemon=True).start()
        if not finished.wait(max(deadline - time.monotonic(), 0)):
            raise DriverTimeout(f"{what}: libvirt ({self.uri}) did not answer within {limit:.0f} s")
        succeeded, result = outcome[0]
        if succeeded:
            return result  # type: ignore[no-any-return]
        if isinstance(result, libvirt.libvirtError):
            raise _translate(what, result) from result
        raise result

    def _with_reconnect(self, work: Callable[[Any], T]) -> T:
        connection = self._open()
        try:
            return work(connection)
        except libvirt.libvirtError as error:
            if not _is_lost(connection, error):
                raise
        self._forget(connection)
        return work(self._open())

    def _open(self) -> Any:
        with self._lock:
            if self._connection is None:
                self._connection = libvirt.open(self.uri)
            return self._connection

    def _forget(self, connection: Any) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None


def _is_lost(connection: Any, error: Any) -> bool:
    if error.get_error_code() not in _LOST:
        return False
    if error.get_error_domain() in _LOST_DOMAINS:
        return True
    try:
        return not connection.isAlive()
    except libvirt.libvirtError:
        return True


def _translate(what: str, error: Any) -> DriverError:
    message = f"{what}: {error.get_error_message() or error}"
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return GuestNotFound(message)
    if error.get_error_code() in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED) and (
        "no connection driver" in message.lower()
    ):
        return DriverAbsent(message)
    if error.get_error_code() in (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_AGENT_UNRESPONSIVE):
        return DriverTimeout(message)
    return DriverError(message)

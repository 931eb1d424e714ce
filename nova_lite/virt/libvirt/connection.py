"""One connection to libvirt per address, every call bounded in time.

libvirt's calls block in C without a deadline of their own: one hung guest would hold its caller for good. So each call
runs in a thread of its own and is given up (not ended, which C code can't be) when its time is over. So that what hangs
does not hold up anything else:

- the number of calls under way is limited, so that a libvirtd that hangs altogether costs a bounded number of threads;
- while a call for a guest has been given up and not come back, no other is begun for that guest, but to end it: each
  would hold one of libvirtd's own threads (``max_workers``, 20) too;
- after a call was given up, others take another connection: libvirtd answers only so many calls of one connection at a
  time (``max_client_requests``, 5);
- what was given up before it was begun is not begun any more, whenever libvirtd goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from nova_lite.virt.driver import DriverError, DriverTimeout, DriverUnavailable, GuestNotFound

LOG = logging.getLogger(__name__)
T = TypeVar("T")

_MAX_CALLS = 32
_LONGEST_REASON = 500
_EARLIER_S = 2.0
"""How long a call waits for an earlier one of its guest that was given up: one that ended the guest has freed it."""
_POLL_S = 0.02
_LOST = frozenset(
    {
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_RPC,
    }
)
_WIRE = frozenset({libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC})
"""Where an error comes from that is about the way to libvirtd, not about what was asked of it."""
_LOST_DOMAINS = _WIRE | {libvirt.VIR_FROM_NONE}


class DriverAbsent(DriverError):
    """This libvirt has no driver for the address at all (its package is not installed): there are no such guests."""

    default_code = "driver.absent"


def _keep_quiet(_context: object, _error: object) -> None:
    """Take libvirt's own report, which would go to standard error; the exception says the same."""


libvirt.registerErrorHandler(_keep_quiet, None)


class _GivenUp(Exception):
    """Nobody waits for this call any more."""


class _Attempt:
    """One call under way, in a thread of its own."""

    def __init__(self, what: str, guest: str | None) -> None:
        self.what = what
        self.guest = guest
        self.connection: Any = None
        self.finished = threading.Event()
        self.outcome: tuple[bool, Any] = (False, None)
        self._lock = threading.Lock()
        self._given_up = False

    def go_on(self) -> None:
        """Do nothing while somebody waits. :raises _GivenUp: nobody does, so nothing may be begun."""
        with self._lock:
            if self._given_up:
                raise _GivenUp(self.what)

    def give_up(self) -> None:
        """Let nothing more be begun."""
        with self._lock:
            self._given_up = True


_CURRENT = threading.local()


def still_wanted() -> None:
    """Go on only if somebody waits for this call: to be called between two steps of the work that :meth:`Connection.call` runs."""
    attempt: _Attempt | None = getattr(_CURRENT, "attempt", None)
    if attempt is not None:
        attempt.go_on()


class Connection:
    """A connection to one libvirt address, opened when it is first needed and again when it was lost."""

    def __init__(self, uri: str, call_timeout: float, opened: Callable[[Any], None] | None = None) -> None:
        """:param call_timeout: seconds that one call may take. :param opened: called with each connection before anything else is asked of it."""
        self.uri = uri
        self._call_timeout = call_timeout
        self._opened = opened
        self._slots = threading.BoundedSemaphore(_MAX_CALLS)
        self._lock = threading.Lock()
        self._connection: Any = None
        self._stuck: set[_Attempt] = set()

    def call(
        self,
        what: str,
        work: Callable[[Any], T],
        timeout: float | None = None,
        *,
        guest: str | None = None,
        ends: bool = False,
    ) -> T:
        """Run ``work(connection)`` and return what it returns.

        A connection that libvirtd has closed is opened anew and *work* runs once more, so *work* must bear being
        repeated, and must look domains up itself.

        :param what: what is being done, for the message: ``start guest …``.
        :param guest: the server's id, where the call may have to wait for the guest itself.
        :param ends: the call ends the guest, and with it whatever waits for it.
        :raises GuestNotFound: libvirt answers that there is no such domain.
        :raises DriverTimeout: no answer within *timeout* (default ``[libvirt] call_timeout``) seconds, or an earlier call
            for the guest has got none.
        :raises DriverUnavailable: libvirt can't be reached.
        :raises DriverError: libvirt refuses.
        """
        limit = self._call_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        if guest is not None and not ends:
            self._await_earlier(what, guest, min(limit, _EARLIER_S))
        if not self._slots.acquire(timeout=limit):
            raise DriverTimeout(f"{what}: libvirt ({self.uri}) has not answered {_MAX_CALLS} earlier calls")
        attempt = _Attempt(what, guest)
        try:
            threading.Thread(target=self._run, args=(attempt, work), name=f"libvirt: {what}", daemon=True).start()
        except RuntimeError as error:
            self._slots.release()
            raise DriverUnavailable(f"{what}: {error}") from error
        if not attempt.finished.wait(max(deadline - time.monotonic(), 0)):
            self._give_up(attempt)
            raise DriverTimeout(f"{what}: libvirt ({self.uri}) did not answer within {limit:.0f} s")
        succeeded, result = attempt.outcome
        if succeeded:
            return result  # type: ignore[no-any-return]
        if isinstance(result, libvirt.libvirtError):
            raise _translate(what, result) from result
        raise result

    def is_stuck(self, guest: str) -> bool:
        """Tell whether a call for *guest* was given up and has not come back: nobody knows how the guest is."""
        with self._lock:
            return any(attempt.guest == guest for attempt in self._stuck)

    def _await_earlier(self, what: str, guest: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.is_stuck(guest):
            if time.monotonic() >= deadline:
                raise DriverTimeout(f"{what}: the guest has not answered an earlier call; a hard reboot ends it")
            time.sleep(_POLL_S)

    def _run(self, attempt: _Attempt, work: Callable[[Any], Any]) -> None:
        _CURRENT.attempt = attempt
        try:
            attempt.outcome = (True, self._with_reconnect(attempt, work))
        except BaseException as error:
            attempt.outcome = (False, error)
        finally:
            self._slots.release()
            with self._lock:
                self._stuck.discard(attempt)
                attempt.finished.set()

    def _give_up(self, attempt: _Attempt) -> None:
        attempt.give_up()
        with self._lock:
            if not attempt.finished.is_set():
                self._stuck.add(attempt)
        self._forget(attempt.connection)
        LOG.warning("uri=%s event=given-up call=%r", self.uri, attempt.what)

    def _with_reconnect(self, attempt: _Attempt, work: Callable[[Any], T]) -> T:
        attempt.connection = connection = self._open()
        attempt.go_on()
        try:
            return work(connection)
        except libvirt.libvirtError as error:
            if not _is_lost(connection, error):
                raise
        self._forget(connection)
        attempt.connection = connection = self._open()
        attempt.go_on()
        return work(connection)

    def _open(self) -> Any:
        with self._lock:
            if self._connection is not None:
                return self._connection
        # Not under the lock: a libvirtd that hangs takes the connection and says nothing.
        made = libvirt.open(self.uri)
        if self._opened is not None:
            self._opened(made)
        with self._lock:
            if self._connection is None:
                self._connection = made
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


def is_absent(error: Any) -> bool:
    """Tell whether libvirt has no driver for the address at all."""
    return (
        error.get_error_code() in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)
        and "no connection driver" in str(error.get_error_message() or error).lower()
    )


def _plain(said: str) -> str:
    """Return *said* as one line of bounded length: some of it a guest's agent may have written."""
    line = " ".join("".join(character if character.isprintable() else " " for character in said).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def _translate(what: str, error: Any) -> DriverError:
    message = f"{what}: {_plain(str(error.get_error_message() or error))}"
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return GuestNotFound(message)
    if is_absent(error):
        return DriverAbsent(message)
    if error.get_error_code() in (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_AGENT_UNRESPONSIVE):
        return DriverTimeout(message)
    if error.get_error_code() in _LOST and error.get_error_domain() in _WIRE:
        return DriverUnavailable(message)
    return DriverError(message)

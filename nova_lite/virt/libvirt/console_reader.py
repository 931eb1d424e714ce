"""The agent's one thread that copies all containers' consoles into their logs.

A container's launcher starts a process that reads its console from the first byte (``launcher.keep_console``); the agent
takes over from it, so that what stays is a descriptor or four and no process for each container. A lock on the
instance's ``console.lock`` says who reads. When the agent dies, output waits in the terminal (some 4 kB, then the
container's writes wait) until the next agent's ``recover``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import select
import selectors
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt.console import append
from nova_lite.virt.libvirt.console_seat import ConsoleSeat

LOG = logging.getLogger(__name__)

_PIECE = 65_536
_SYS_PIDFD_GETFD = 438
_TIOCGPTPEER = 0x5441
_QEMU_PIDS = Path("/run/libvirt/qemu")
_HANDOVER_S = 2.0
_SEAT_WAIT_S = 5.0
_EXEC_TRIES = 20
_SETTLE_S = 0.05
"""What was written to a terminal before its writer's end reaches its reader by a kernel thread, so perhaps a little later."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Console:
    """A container's console as it is read: descriptors of the terminal's two ends, of the controller and of the lock.

    ``master`` is only held: while somebody has it open, the kernel keeps what has not been read when the container ends.
    """

    server_id: str
    log: Path
    pid: int
    """The controller's: it tells one life of the guest from the next."""
    master: int
    terminal: int
    controller: int
    lock: int

    def close(self) -> None:
        """Let go of it; the lock last."""
        for descriptor in (self.terminal, self.master, self.controller, self.lock):
            os.close(descriptor)


class ConsoleReader:
    """Read any number of consoles in one thread."""

    def __init__(self, max_bytes: int) -> None:
        """:param max_bytes: a log's size when it becomes its ``.0``, so twice that is kept at most."""
        self.max_bytes = max_bytes
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._pending: list[Callable[[], None]] = []
        self._consoles: dict[str, Console] = {}
        self._seats: dict[str, ConsoleSeat] = {}

    def follow(self, server_id: str, controller_pid: int, log: Path) -> None:
        """Copy the console of the container that *controller_pid* (``libvirt_lxc``) runs to *log* from now on.

        Following it already is success, and so is a container that has ended meanwhile: its launcher's process has
        read it to the end.
        """
        self._follow(server_id, log, controller_pid, lambda lock: _open(server_id, controller_pid, log, lock))

    def follow_terminal(self, server_id: str, name: str, path: Path, log: Path) -> None:
        """Copy what QEMU's domain *name* writes to the terminal at *path* to *log* from now on, as :meth:`follow` does."""
        try:
            pid = int((_QEMU_PIDS / f"{name}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            LOG.info("console gone server=%s error=%s", server_id, error)
            return
        self._follow(server_id, log, pid, lambda lock: _open_terminal(server_id, pid, path, log, lock))

    def _follow(self, server_id: str, log: Path, pid: int, opened: Callable[[int], Console]) -> None:
        def is_read() -> bool:
            console = self._consoles.get(server_id)
            return console is not None and console.pid == pid

        lock = os.open(log.with_name("console.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _take_over(lock, is_read):
                os.close(lock)
                return
            console = opened(lock)
        except OSError as error:
            LOG.info("console gone server=%s error=%s", server_id, error.strerror)
            os.close(lock)
            return
        except BaseException:
            os.close(lock)  # held on to, it would say for good that this console is read
            raise
        self._do(lambda: self._register(console))

    def leave(self, server_id: str) -> None:
        """Follow a console no more, and close what others sit at; not followed is success. Returns before it is done."""

        def work() -> None:
            console = self._consoles.get(server_id)
            if console is not None:
                self._drop(console)

        self._do(work)

    def seat(self, server_id: str, path: Path) -> None:
        """Let clients of a socket at *path* sit at the console; one that is there already is success.

        :raises DriverError: nobody reads this console here.
        """
        outcome: list[str] = []
        done = threading.Event()

        def work() -> None:
            try:
                outcome.append(self._seat(server_id, path))
            finally:
                done.set()

        self._do(work)
        if not done.wait(_SEAT_WAIT_S) or not outcome or outcome[0]:
            why = outcome[0] if outcome else "it does not answer"
            raise DriverError(f"the console of guest {server_id} can't be had: {why}; a hard reboot gives a new one")

    def _seat(self, server_id: str, path: Path) -> str:
        """Make the listener, and return why not, or the empty string."""
        console = self._consoles.get(server_id)
        if console is None:
            return "this agent does not read it"
        if server_id not in self._seats:
            try:
                self._seats[server_id] = ConsoleSeat(self._selector, path, console.terminal)
            except OSError as error:
                return error.strerror or "its socket can't be made"
        return ""

    def _do(self, work: Callable[[], None]) -> None:
        """Have the thread do *work*."""
        with self._lock:
            self._pending.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="container consoles", daemon=True)
                self._thread.start()
        with contextlib.suppress(BlockingIOError):  # it has been woken often enough
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                # One that was let go of in this round: its number may be another guest's descriptor by now.
                if self._selector.get_map().get(key.fd) is key:
                    self._attend(key)

    def _attend(self, key: selectors.SelectorKey) -> None:
        """Do what *key* waits for; whatever goes wrong costs one console and not all, whose guests would wait for their reader."""
        try:
            if key.data is None:
                os.read(self._wake_read, _PIECE)
                self._take_pending()
            elif isinstance(key.data, Console):
                self._serve(key.fd, key.data)
            else:
                key.data()
        except Exception:
            LOG.exception("event=console-failed descriptor=%d", key.fd)
            if isinstance(key.data, Console):
                self._drop(key.data)
            elif key.data is not None:
                self._forget(key.fd)

    def _take_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for work in pending:
            try:
                work()
            except Exception:
                LOG.exception("event=console-failed")

    def _register(self, console: Console) -> None:
        self._consoles[console.server_id] = console
        try:
            self._selector.register(console.terminal, selectors.EVENT_READ, console)
            self._selector.register(console.controller, selectors.EVENT_READ, console)
        except BaseException:
            self._drop(console)
            raise

    def _serve(self, descriptor: int, console: Console) -> None:
        """Copy what there is; when the controller has ended and nothing is left, let go."""
        try:
            piece: bytes | None = os.read(console.terminal, _PIECE)
        except BlockingIOError:
            piece = None
        except OSError:
            piece = b""
        if piece == b"":  # QEMU has closed its end of an adopted guest's terminal.
            self._drop(console)
            return
        if piece:
            try:
                append(console.log, piece, self.max_bytes)
            except OSError as error:
                # Its directory is being removed, or the disk is full: not worth the other guests' consoles.
                LOG.warning("console log server=%s error=%s", console.server_id, error.strerror)
            seat = self._seats.get(console.server_id)
            if seat is not None and self._consoles.get(console.server_id) is console:
                seat.show(piece)
        elif descriptor == console.controller and not _has_more(console.terminal):
            self._drop(console)

    def _drop(self, console: Console) -> None:
        if self._consoles.get(console.server_id) is console:
            del self._consoles[console.server_id]
            seat = self._seats.pop(console.server_id, None)
            if seat is not None:
                seat.close()
        for descriptor in (console.terminal, console.controller):
            self._forget(descriptor)
        console.close()

    def _forget(self, descriptor: int) -> None:
        """Wait for a descriptor no more, if it ever came to that."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)


def _has_more(terminal: int) -> bool:
    """Tell whether there is something to read, or comes at once; by poll, as select takes no descriptor beyond 1,023."""
    waiting = select.poll()
    waiting.register(terminal, select.POLLIN)
    return bool(waiting.poll(_SETTLE_S * 1000))


def _take_over(lock: int, is_read: Callable[[], bool]) -> bool:
    """Take the lock from the launcher's process; False: this agent reads the console already, or it could not be had.

    This agent may have the lock for the guest's life before, whose end it has not seen yet: then *is_read* says no, and it is waited for.
    """
    deadline = time.monotonic() + _HANDOVER_S
    asked = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).strip()
            is_ours = holder == str(os.getpid()).encode()
            if (is_ours and is_read()) or time.monotonic() > deadline:
                return False
            if holder and not is_ours and not asked:
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(holder), signal.SIGTERM)
                asked = True
            time.sleep(0.005)
        else:
            os.pwrite(lock, b"%-20d" % os.getpid(), 0)
            return True


def _open(server_id: str, controller_pid: int, log: Path, lock: int) -> Console:
    """Get the terminal from the controller itself. :raises OSError: it has ended, or is no ``libvirt_lxc``."""
    with contextlib.ExitStack() as undo:
        controller = os.pidfd_open(controller_pid)
        undo.callback(os.close, controller)
        arguments = _arguments(controller_pid)
        try:
            number = int(arguments[arguments.index(b"--console") + 1])
        except (ValueError, IndexError):
            raise ProcessLookupError(0, "the process has no console") from None
        master = _libc.syscall(_SYS_PIDFD_GETFD, controller, number, 0)
        if master < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        undo.callback(os.close, master)
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        terminal = fcntl.ioctl(master, _TIOCGPTPEER, flags)
        undo.pop_all()
        return Console(server_id, log, controller_pid, master, terminal, controller, lock)


def _open_terminal(server_id: str, pid: int, path: Path, log: Path, lock: int) -> Console:
    """Open a terminal that QEMU made, and QEMU itself. :raises OSError: it has ended."""
    with contextlib.ExitStack() as undo:
        controller = os.pidfd_open(pid)
        undo.callback(os.close, controller)
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        undo.callback(os.close, terminal)
        held = os.dup(terminal)
        undo.pop_all()
        return Console(server_id, log, pid, held, terminal, controller, lock)


def _arguments(pid: int) -> list[bytes]:
    """Return a process's command line; in the middle of its execve() it has none for an instant."""
    path = Path(f"/proc/{pid}/cmdline")
    for _ in range(_EXEC_TRIES):
        if line := path.read_bytes():
            return line.split(b"\0")
        time.sleep(0.01)
    return []

"""One dnsmasq process: started, told of changes, ended. It outlives the agent and is found again by its pid file.

A pid proves nothing, since pids are used again: a process is ours only if its command line names our directory's pid file.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from nova_lite.host.networks import leases, names
from nova_lite.host.networks.place import Place
from nova_lite.host.ports import HostError

READY_S = 5.0
END_S = 2.0


class Dnsmasq:
    """A dnsmasq, whose files are in *directory*. The caller sees to it that one thread at a time calls."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pid_file = directory / "dnsmasq.pid"

    def ensure(
        self, place: Place, argv: Sequence[str], allowed: Collection[tuple[str, str]], *, restart: bool = False
    ) -> bool:
        """Have it run with exactly *argv*; True: it was started now.

        :param place: the namespace that it runs in; one that runs in another is of no use.
        :param allowed: (MAC, address) pairs whose leases it may take up from its lease file.
        :param restart: even if it runs: the interface that it is bound to is a new one.
        :raises HostError: it could not be started; its own words are in the message.
        """
        if not restart and self.runs(argv) and self._is_at(Path("/proc/thread-self/ns/net").stat().st_ino):
            return False
        self.stop()
        leases.keep(self._directory / "leases", allowed)
        deadline = time.monotonic() + READY_S
        # It answers requests when its parent has ended: dnsmasq goes into the background when its sockets are bound.
        while (done := place.run(argv)).returncode != 0:
            # A process that is being torn down has no command line any more and its sockets for a moment yet.
            in_use = "already in use" in done.stderr and time.monotonic() < deadline
            if not in_use:
                raise HostError(f"dnsmasq did not start: {done.stderr.strip()[-500:]}")
            if not self._end_strays():
                time.sleep(0.02)
        return True

    def runs(self, argv: Sequence[str]) -> bool:
        """Say whether it runs with exactly *argv*."""
        running = self._running()
        return running is not None and running[1] == list(argv)

    def _is_at(self, inode: int) -> bool:
        running = self._running()
        with contextlib.suppress(OSError):
            return running is not None and Path("/proc", str(running[0]), "ns/net").stat().st_ino == inode
        return False

    def _end_strays(self) -> bool:
        """End what was started for this network and has no pid file: its agent died, or somebody removed the file."""
        strays = [pid for pid, pid_file in below(self._directory.parent) if pid_file == self._pid_file]
        for pid in strays:
            end(pid, self._pid_file)
        return bool(strays)

    def reload(self) -> None:
        """Have it read its hosts and names again."""
        running = self._running()
        if running is not None:
            _send(running[0], signal.SIGHUP, self._pid_file)

    def release(self, place: Place, stale: Sequence[leases.Lease], server: str, device: str) -> None:
        """Give leases of IPv4 back whose guests are gone."""
        for lease in stale:
            with contextlib.suppress(OSError), place.udp_socket() as opened:
                leases.release(opened, lease, server, device)

    def wait(self, place: Place, server: str, name: str, address: str) -> bool:
        """Wait until it knows that *name* has *address*, five seconds at the most: it may be short of a processor."""
        began = time.monotonic()
        reload_after = 0.1
        with place.udp_socket() as opened:
            while not names.knows(opened, server, name, address, 0.1):
                waited = time.monotonic() - began
                if waited > READY_S:
                    return False
                if waited > reload_after:
                    # The files were written by somebody who died before the signal.
                    self.reload()
                    reload_after *= 2
                time.sleep(0.001)
        return True

    def stop(self) -> None:
        """End it and wait until it is gone; not running is success.

        :raises HostError: it does not end, even when killed.
        """
        running = self._running()
        if running is not None:
            end(running[0], self._pid_file)
        self._pid_file.unlink(missing_ok=True)

    def _running(self) -> tuple[int, list[str]] | None:
        """Return the pid and command line of the process, if it runs."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        argv = command_line(pid)
        return (pid, argv) if _is_ours(argv, self._pid_file) else None


def command_line(pid: int) -> list[str]:
    """Return a process's arguments; empty: no such process, or a zombie."""
    try:
        raw = Path("/proc", str(pid), "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return raw.decode(errors="replace").split("\0")[:-1]


def below(directory: Path) -> list[tuple[int, Path]]:
    """Return (pid, pid file) of each dnsmasq that was started for a network below *directory*, pid file or none."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        argv = command_line(int(entry.name))
        if argv and Path(argv[0]).name == "dnsmasq":
            for argument in argv:
                path = Path(argument.removeprefix("--pid-file="))
                if argument.startswith("--pid-file=") and path.parent.parent == directory:
                    found.append((int(entry.name), path))
    return found


def end(pid: int, pid_file: Path) -> None:
    """End the process if it is the dnsmasq of *pid_file*: SIGTERM, after 2 s SIGKILL; wait until it is gone.

    :raises HostError: it is still there 2 s after SIGKILL.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _send(pid, number, pid_file, wait_s=END_S):
            return
    raise HostError(f"dnsmasq (pid {pid}) does not end")


def _is_ours(argv: Sequence[str], pid_file: Path) -> bool:
    return bool(argv) and Path(argv[0]).name == "dnsmasq" and f"--pid-file={pid_file}" in argv


def _send(pid: int, number: signal.Signals, pid_file: Path, wait_s: float = 0.0) -> bool:
    """Send a signal to the process that was just looked at, and to no later one of the same pid; True: it is there still.

    :param wait_s: how long to wait for its end. By its handle, which tells when its sockets are closed: its command line
        vanishes before that.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_ours(command_line(pid), pid_file):
            return False
        signal.pidfd_send_signal(handle, number)
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return not waiting.poll(wait_s * 1000)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)

"""The network namespace that libvirt runs in, and the one thread that owns its netlink socket.

An ``IPRoute`` must not be shared by threads, and the kernel keeps the network namespace by thread: so one thread
enters the namespace, opens the socket and does all netlink work. A netlink request takes some 0.3 ms. Programs are started by other
threads of the same namespace.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute

from nova_lite.host.networks import netns
from nova_lite.host.networks.place import PROGRAM_TIMEOUT_S
from nova_lite.host.networks.place import run as run_here
from nova_lite.host.ports import HostError

T = TypeVar("T")


class Namespace:
    """Work in a network namespace.

    :param name: as ``ip netns`` knows it; None: the namespace of this process.
    :raises HostError: there is no such namespace.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._path = None if name is None else netns.RUN / name
        if self._path is not None and not self._path.exists():
            raise HostError(f"There is no network namespace {name}")
        self._netlink: IPRoute | None = None
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="netlink", initializer=self._enter)
        self._programs = ThreadPoolExecutor(4, thread_name_prefix="netns-programs", initializer=self._enter)

    def _enter(self) -> None:
        if self._path is not None:
            netns.enter(self._path)

    def netlink(self, work: Callable[..., T], *args: Any) -> T:
        """Call ``work(ip, *args)`` in the thread that owns the ``IPRoute`` *ip*, and return what it returns.

        What *work* raises is raised here. It must not call :meth:`netlink` itself.
        """
        return self._owner.submit(self._with_socket, work, *args).result()

    def _with_socket(self, work: Callable[..., T], *args: Any) -> T:
        if self._netlink is None:
            self._netlink = IPRoute()
        return work(self._netlink, *args)

    def run(
        self, argv: Sequence[str], stdin: str | None = None, timeout_s: float = PROGRAM_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end in the namespace, *timeout_s* seconds at the most.

        :raises HostError: it is not there or does not end. A status other than 0 is the caller's to judge.
        """
        if self._path is None:
            return run_here(argv, stdin, timeout_s)
        return self._programs.submit(run_here, argv, stdin, timeout_s).result()

    def open_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket in the namespace; it stays there, whatever thread uses it."""
        return self._programs.submit(socket.socket, family, kind, protocol).result()

    def udp_socket(self) -> socket.socket:
        """Open a UDP socket in the namespace; it stays there, whatever thread uses it."""
        return self._programs.submit(socket.socket, socket.AF_INET, socket.SOCK_DGRAM).result()

    def devices(self) -> dict[str, int]:
        """Return the indices of all devices by name, in some milliseconds where there are thousands."""
        return {name: index for index, name in self._programs.submit(socket.if_nameindex).result()}

    def read_sysctl(self, *path: str) -> str:
        """Read ``/proc/sys/net/<path>``. :raises OSError: there is no such setting."""
        return self._programs.submit(Path("/proc/sys/net", *path).read_text).result().strip()

    def write_sysctl(self, value: str, *path: str) -> None:
        """Write ``/proc/sys/net/<path>``. :raises OSError: there is no such setting, or it is read-only."""
        self._programs.submit(Path("/proc/sys/net", *path).write_text, value).result()

    def close(self) -> None:
        """End the threads and close the socket."""
        self._owner.submit(self._close_socket).result()
        self._owner.shutdown()
        self._programs.shutdown()

    def _close_socket(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

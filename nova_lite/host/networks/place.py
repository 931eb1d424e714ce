"""What can be done in a network namespace by the thread that has entered it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import IPRoute

from nova_lite.host.networks import netns
from nova_lite.host.ports import HostError

PROGRAM_TIMEOUT_S = 10.0


class Place:
    """The namespace that this thread is in. For this thread alone, until it enters another."""

    def __init__(self) -> None:
        self._ip: IPRoute | None = None

    @property
    def ip(self) -> IPRoute:
        """Return a netlink socket of the namespace; opened when first asked for, in 0.4 ms."""
        if self._ip is None:
            self._ip = IPRoute()
        return self._ip

    def run(self, argv: Sequence[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, 10 s at the most.

        :raises HostError: it is not there or does not end. A status other than 0 is the caller's to judge.
        """
        return run(argv, stdin)

    def udp_socket(self) -> socket.socket:
        """Open a UDP socket that stays in the namespace."""
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def read_sysctl(self, *path: str) -> str:
        """Read ``/proc/sys/net/<path>``. :raises OSError: there is no such setting."""
        return Path("/proc/sys/net", *path).read_text().strip()

    def write_sysctl(self, value: str, *path: str) -> None:
        """Write ``/proc/sys/net/<path>``. :raises OSError: there is no such setting, or it is read-only."""
        Path("/proc/sys/net", *path).write_text(value)

    def close(self) -> None:
        """Close the netlink socket."""
        if self._ip is not None:
            self._ip.close()
            self._ip = None


@contextmanager
def inside(name: str) -> Iterator[Place]:
    """Enter a named namespace with this thread, which must be one that always enters before it works."""
    netns.enter(netns.RUN / name)
    place = Place()
    try:
        yield place
    finally:
        place.close()


def run(
    argv: Sequence[str], stdin: str | None, timeout_s: float = PROGRAM_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run a program in this thread's namespace. :raises HostError: it is not there or does not end in time."""
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd="/",
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]} is not installed on this host") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{argv[0]} did not end within {timeout_s:.0f} s") from error

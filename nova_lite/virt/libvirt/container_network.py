"""A container's host name and the MTU of its interfaces: libvirt's LXC driver sets the domain's name, and no MTU."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from nova_lite.virt.driver import DriverError, Nic


def set_mtu(first_process: int, nics: Sequence[Nic]) -> None:
    """Set both ends of each veth pair: the host's by its name, the container's as ``eth<n>`` in its namespace."""
    for index, nic in enumerate(nics):
        _run(first_process, ["ip", "link", "set", "dev", nic.device, "mtu", str(nic.mtu)])
        inner = ["ip", "link", "set", "dev", f"eth{index}", "mtu", str(nic.mtu)]
        _run(first_process, ["nsenter", "--net", f"--target={first_process}", "--", *inner])


def set_hostname(first_process: int, hostname: str) -> None:
    """Set the kernel's host name in the container, which until now is the domain's name."""
    _run(first_process, ["nsenter", "--uts", f"--target={first_process}", "--", "hostname", hostname])


def _run(first_process: int, command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing; containers need iproute2, util-linux and hostname") from error
    except subprocess.SubprocessError as error:
        # The container may have ended meanwhile, and its devices with it.
        if os.path.exists(f"/proc/{first_process}"):
            raise DriverError(f"the container's network could not be set: {error}") from error

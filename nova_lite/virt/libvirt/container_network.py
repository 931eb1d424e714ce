"""The MTU of a container's interfaces, which libvirt's LXC driver takes in its XML and does not set."""

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


def _run(first_process: int, command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing; containers need iproute2 and util-linux") from error
    except subprocess.SubprocessError as error:
        # The container may have ended meanwhile, and its devices with it.
        if os.path.exists(f"/proc/{first_process}"):
            raise DriverError(f"the container's network could not be set: {error}") from error

"""Limits on a container that libvirt's LXC driver can't set, put on it once it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nova_lite.virt.driver import DriverError

_V1_PIDS = Path("/sys/fs/cgroup/pids")
_V1_SWAP = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
_V2_ROOT = Path("/sys/fs/cgroup")


def apply(first: int, pids: int, swap_mb: int) -> None:
    """Forbid further user namespaces inside, and on cgroup v2 limit the number of processes and the swap (MiB).

    A nested user namespace would give the container's root every capability in it, and with them much more
    of the kernel to attack. Its own root can't raise the number again: that takes a capability that it has not.

    :param first: the container's first process, as the host numbers it.
    """
    command = ["nsenter", "--user", f"--target={first}", "--", "tee", "/proc/sys/user/max_user_namespaces"]
    try:
        subprocess.run(command, check=True, input=b"0\n", capture_output=True, timeout=10)
    except FileNotFoundError as error:
        raise DriverError("nsenter is missing; containers need the package util-linux") from error
    except subprocess.SubprocessError as error:
        if not has_ended(first):
            raise DriverError(f"the container's user namespaces could not be limited: {error}") from error
    if not _V1_PIDS.exists():
        try:
            _limit_v2(first, pids, swap_mb)
        except (OSError, DriverError):
            if not has_ended(first):
                raise


def counts_with_swap() -> bool:
    """Say whether the host's cgroups can limit memory and swap together, as libvirt asks for: v1 with ``swapaccount``."""
    return _V1_SWAP.exists()


def first_process(controller_pid: int) -> int | None:
    """Return the container's process 1: the child of *controller_pid* (``libvirt_lxc``) in another user namespace.

    None: it has ended already, as an image's program does that does one thing and exits.
    """
    try:
        own = os.readlink(f"/proc/{controller_pid}/ns/user")
        for task in os.listdir(f"/proc/{controller_pid}/task"):
            for child in Path(f"/proc/{controller_pid}/task/{task}/children").read_text(encoding="ascii").split():
                if os.readlink(f"/proc/{child}/ns/user") != own:
                    return int(child)
    except OSError:
        return None
    return None


def has_ended(first: int) -> bool:
    """Say whether the container's process 1 is over.

    What ends has no network namespace any more, some time before whoever started it takes note and ``/proc/<pid>`` goes (namespaces(7)).
    """
    try:
        os.readlink(f"/proc/{first}/ns/net")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return False


def _limit_v2(first: int, pids: int, swap_mb: int) -> None:
    """Write pids.max, and memory.swap.max if swap is counted, into the cgroup that libvirt made for the container.

    That file is of swap alone, where libvirt's own limit is of memory and swap together.
    """
    for line in Path(f"/proc/{first}/cgroup").read_text(encoding="ascii").splitlines():
        if not line.startswith("0::/"):
            continue
        group = _V2_ROOT / line.removeprefix("0::/")
        limit = next((path / "pids.max" for path in (group, *group.parents) if (path / "pids.max").exists()), None)
        if limit is None or "machine" not in str(limit):
            raise DriverError("the pids controller is not there for containers (cgroup v2)")
        limit.write_text(f"{pids}\n", encoding="ascii")
        swap = limit.with_name("memory.swap.max")
        if swap.exists():
            swap.write_text(f"{swap_mb << 20}\n", encoding="ascii")

"""The control groups of a guest that libvirt has let go of, or never had: ended and removed.

While libvirt knows a domain, its groups are libvirt's affair. But an agent or a libvirtd that dies at the wrong moment leaves
some behind that nobody would ever look at again: the launcher's own group for pids (cgroup v1), or all of a container
whose start failed after ``libvirt_lxc`` had made its groups and before libvirtd had found them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from nova_lite.virt.driver import DriverTimeout
from nova_lite.virt.libvirt.identity import domain_name

LOG = logging.getLogger(__name__)

ROOT = Path("/sys/fs/cgroup")
PLACES = ("nova-lite", "machine", "machine.slice")
"""Where the launcher, libvirt, and systemd at libvirt's wish make guests' groups."""
_DASH = "\\x2d"
"""How systemd writes a dash in the name of what is not a slice."""
_WAIT_S = 10.0
_POLL_S = 0.01


def of(server_id: str) -> list[Path]:
    """Return the guest's groups in every hierarchy.

    They are called ``nl-<id>``, ``lxc-<pid>-nl-<id>.libvirt-lxc`` (libvirt), or ``machine-lxc-<pid>-nl-<id>.scope`` with escaped dashes (systemd).
    """
    name = domain_name(server_id)
    found = [group for place in _places() for group in place.iterdir() if group.is_dir()]
    return [group for group in found if name in group.name.replace(_DASH, "-")]


def remove(server_id: str) -> None:
    """End what still runs in the groups of a guest that libvirt does not run, and remove them; none there is success.

    A group that stays although nothing is in it costs nothing, and is no reason to fail: it is logged.

    :raises DriverTimeout: a process does not end.
    """
    deadline = time.monotonic() + _WAIT_S
    while groups := of(server_id):
        pids = {pid for group in groups for pid in _pids(group)}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            for group in groups:
                _remove(group)
        if time.monotonic() > deadline:
            if pids:
                raise DriverTimeout(
                    f"processes {sorted(pids)} of guest {server_id} do not end; libvirt has let go of them"
                )
            LOG.warning("server=%s event=cgroups-left paths=%s", server_id, [str(group) for group in groups])
            return
        time.sleep(_POLL_S)


def _places() -> Iterator[Path]:
    """Find the places in cgroup v2's one hierarchy and in each of v1's."""
    with contextlib.suppress(OSError):
        for hierarchy in (ROOT, *ROOT.iterdir()):
            yield from (place for name in PLACES if (place := hierarchy / name).is_dir())


def _pids(group: Path) -> list[int]:
    """Return the processes in the group and below it; one that is frozen is thawed: in cgroup v1 it would not take the signal."""
    found: list[int] = []
    for directory, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            listed = map(int, Path(directory, "cgroup.procs").read_text(encoding="ascii").split())
            found += [pid for pid in listed if pid > 0]  # 0: in a pid namespace that can't be seen from here
        for file, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            path = Path(directory, file)
            if path.exists():
                with contextlib.suppress(OSError):
                    path.write_text(thawed, encoding="ascii")
    return found


def _remove(group: Path) -> None:
    """Remove the group and those below; a process on its way out may hold it up for a moment."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)

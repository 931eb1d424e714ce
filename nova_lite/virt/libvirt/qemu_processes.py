"""The processes of a VM or unikernel whose start hangs: found by what they hold of its monitor, and ended.

A libvirtd that is killed in the middle of a start leaves QEMU, or the fork of itself that was to become QEMU, behind. The next libvirtd connects
to the guest's monitor and waits for a greeting, without a limit and with the domain locked (``qemuProcessReconnect``, libvirt 9). Its destroy ends the
process that it knows, after 10 s of patience, and then waits for that lock, 30 s at a time: in vain while anything else holds the
monitor's socket open, as a fork of libvirtd does that never came to its ``exec``. Nothing but the end of all who hold it lets the lock go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from nova_lite.virt.libvirt.identity import domain_name

LOG = logging.getLogger(__name__)

_RUN = Path("/run/libvirt/qemu")
_SOCKETS = Path("/proc/net/unix")
_SHORT_NAME = 20
"""How much of a domain's name libvirt puts into its monitor's path (``virDomainDefGetShortName``)."""
_WAIT_S = 10.0
_POLL_S = 0.02


def end(server_id: str) -> None:
    """End every process that holds the monitor or the pid file of a guest, libvirtd itself apart; none there is well.

    It comes back when they are gone; one that the kernel does not let go within 10 s is libvirt's to complain about.
    """
    deadline = time.monotonic() + _WAIT_S
    while (pids := holders(server_id)) and time.monotonic() < deadline:
        for pid in pids:
            LOG.warning("server=%s event=hung-start-ended pid=%d", server_id, pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def holders(server_id: str) -> list[int]:
    """Return the processes that hold the guest's monitor or pid file open, but for libvirtd itself."""
    held = {f"socket:[{inode}]" for inode in _monitor_inodes(server_id)}
    pid_file = str(_RUN / f"{domain_name(server_id)}.pid")
    held |= {pid_file, f"{pid_file} (deleted)"}
    return [pid for pid in _pids() if held & _open_files(pid) and not _is_daemon(pid)]


def _monitor_inodes(server_id: str) -> Iterator[str]:
    """Find the sockets at the guest's monitor, QEMU's side: the client's has no path."""
    folder = f"-{domain_name(server_id)[:_SHORT_NAME]}"
    for line in _SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        words = line.split(maxsplit=7)
        path = Path(words[7]) if len(words) == 8 else Path()
        if path.name == "monitor.sock" and path.parent.name.startswith("domain-") and path.parent.name.endswith(folder):
            yield words[6]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _open_files(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(link))
    return found


def _is_daemon(pid: int) -> bool:
    """Tell libvirtd from QEMU and from a fork of libvirtd's, which has the one thread that forked it."""
    try:
        program = Path(os.readlink(f"/proc/{pid}/exe")).name
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return True  # it has ended, or is on its way: nothing is left to be ended
    return not program.startswith("qemu") and threads > 1

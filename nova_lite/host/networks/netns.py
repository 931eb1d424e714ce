"""Network namespaces by name, as ``ip netns`` has them: made, entered by a thread, removed.

The kernel keeps the namespace by thread. So a thread of ours makes one by leaving its own (unshare), and gives it a name by binding
``/proc/thread-self/ns/net`` to a file below ``/run/netns``: no program is started, and it takes some milliseconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path

from nova_lite.host.ports import HostError

RUN = Path("/run/netns")
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_LIBC = ctypes.CDLL(None, use_errno=True)
_MAKING = threading.Lock()


def exists(name: str) -> bool:
    """Say whether there is a namespace of this name. A file without one bound to it, as a cut leaves it, is none."""
    try:
        # The file system of namespaces is none that a plain file lies in.
        return (RUN / name).stat().st_dev != RUN.stat().st_dev
    except FileNotFoundError:
        return False


def present(prefix: str) -> set[str]:
    """Return the names of all namespaces, whole or not, that begin with *prefix*."""
    try:
        return {name for name in os.listdir(RUN) if name.startswith(prefix)}
    except FileNotFoundError:
        return set()


def inode(name: str) -> int | None:
    """Return the number by which the kernel knows the namespace; None: there is none."""
    return (RUN / name).stat().st_ino if exists(name) else None


def make(name: str) -> None:
    """Make a namespace and have this thread in it. :raises OSError: not allowed, or no room."""
    with _MAKING:
        _share()
        path = RUN / name
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    _call(_LIBC.unshare(CLONE_NEWNET), "unshare")
    _call(_LIBC.mount(b"/proc/thread-self/ns/net", bytes(path), None, ctypes.c_ulong(MS_BIND), None), f"mount {path}")


def enter(path: Path) -> None:
    """Have this thread in the namespace at *path*. :raises HostError: there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise HostError(f"There is no network namespace {path.name}") from error
    try:
        _call(_LIBC.setns(fd, CLONE_NEWNET), f"setns to {path}")
    finally:
        os.close(fd)


def remove(name: str) -> None:
    """Take the name away; the kernel removes the namespace with its last process. None there is success."""
    path = RUN / name
    # More than one may be bound there, one over the other.
    while exists(name):
        _call(_LIBC.umount2(bytes(path), MNT_DETACH), f"umount {path}")
    path.unlink(missing_ok=True)


def _share() -> None:
    """Let other mount namespaces (libvirt's, say) see what is bound below /run/netns from now on, as ``ip netns add`` does."""
    RUN.mkdir(mode=0o755, exist_ok=True)
    shared = ctypes.c_ulong(MS_SHARED | MS_REC)
    if _LIBC.mount(b"", bytes(RUN), b"none", shared, None) == 0:
        return
    if ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), f"mount --make-shared {RUN}")
    # It was no mount point.
    _call(_LIBC.mount(bytes(RUN), bytes(RUN), b"none", ctypes.c_ulong(MS_BIND | MS_REC), None), f"mount {RUN}")
    _call(_LIBC.mount(b"", bytes(RUN), b"none", shared, None), f"mount --make-shared {RUN}")


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")

"""End a guest's QEMU process without libvirt's waiting."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from nova_lite.virt.libvirt.identity import domain_name

_PID_DIRECTORY = Path("/run/libvirt/qemu")


def end_process(server_id: str) -> bool:
    """Send SIGKILL to the server's QEMU; False: it could not be told for certain which process that is.

    The process is pinned (pidfd) before its command line is read, so a number that was given anew is never killed.
    """
    try:
        pid = int((_PID_DIRECTORY / f"{domain_name(server_id)}.pid").read_text(encoding="ascii"))
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        return False
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        with contextlib.suppress(ValueError):
            position = arguments.index(b"-uuid")
            if arguments[position + 1] == server_id.encode():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
    except (OSError, IndexError):
        return False
    finally:
        os.close(descriptor)
    return False

"""Run programs that read what users gave us as QEMU's own user, without root's rights."""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from nova_lite.virt.driver import DriverError

_USERS = ("libvirt-qemu", "qemu", "nobody")
_NO_PROGRAM = 127
"""setpriv's exit code where there is no such program."""


@dataclass(frozen=True)
class GuestUser:
    """The user that libvirt runs QEMU as on this distribution."""

    name: str
    uid: int
    gid: int


@functools.cache
def guest_user() -> GuestUser:
    """Return QEMU's user (Debian: libvirt-qemu; Fedora: qemu), or nobody."""
    for name in _USERS:
        try:
            row = pwd.getpwnam(name)
        except KeyError:
            continue
        return GuestUser(name, row.pw_uid, row.pw_gid)
    return GuestUser("nobody", 65_534, 65_534)


BOUND = ("setpriv", "--pdeathsig=KILL", "--")
"""Before a command that stays root: it ends with the thread that starts it, as one of :func:`as_guest_user` does."""


def as_guest_user(command: Sequence[str]) -> list[str]:
    """Return *command* wrapped so that it runs as QEMU's user, with its groups (kvm) and no way back.

    It ends with the thread that starts it: whoever comes after an agent that died must not find it at work on the same file.
    """
    user = guest_user()
    return [
        "setpriv",
        f"--reuid={user.name}",
        f"--regid={user.gid}",
        "--init-groups",
        "--no-new-privs",
        "--pdeathsig=KILL",
        "--",
        *command,
    ]


def run(command: Sequence[str], what: str, *, package: str, limits: Sequence[str], timeout: float) -> None:
    """Run a program to its end as QEMU's user, under *limits* (a ``prlimit`` command) and for *timeout* seconds at most.

    :param what: what has failed if the program does, for its message. :param package: where the program comes from.
    :raises DriverError: it is not there, fails or takes too long; its last words.
    """
    # Not every service's PATH has the folders where the programs for filesystems are.
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    try:
        ended = subprocess.run(
            [*limits, *as_guest_user(command)],
            check=False,
            capture_output=True,
            timeout=timeout,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing on the host; it needs the package util-linux") from error
    except subprocess.SubprocessError as error:
        raise DriverError(f"{what}: {error}") from error
    if ended.returncode == _NO_PROGRAM:
        raise DriverError(f"{command[0]} is missing on the host; it needs the package {package}")
    if ended.returncode:
        reason = (ended.stderr or ended.stdout).decode(errors="replace").strip()[-200:]
        raise DriverError(f"{what}: {reason}")

"""Run programs that read what users gave us as QEMU's own user, without root's rights."""

from __future__ import annotations

import functools
import pwd
from collections.abc import Sequence
from dataclasses import dataclass

from nova_lite.virt.libvirt import programs
from nova_lite.virt.waiting import GoOn, go_on

_USERS = ("libvirt-qemu", "qemu", "nobody")


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


def run(
    command: Sequence[str], what: str, *, package: str, limits: Sequence[str], timeout: float, go_on: GoOn = go_on
) -> None:
    """Run a program as QEMU's user, under *limits* (a ``prlimit`` command), as :func:`programs.run` does."""
    wrapper = [*limits, *as_guest_user(())]
    programs.run(command, what, package=package, timeout=timeout, wrapper=wrapper, go_on=go_on)

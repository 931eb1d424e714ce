"""Run a program of the host to its end, for as long as somebody wants what it makes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Collection, Sequence

from nova_lite.virt.driver import DriverError
from nova_lite.virt.waiting import GoOn, go_on

BOUND = ("setpriv", "--pdeathsig=KILL", "--")
"""Before a command that stays root: it ends with the thread that starts it.

Whoever comes after an agent that died must not find it at work on the same file.
"""

_LOOK_S = 0.1
_NO_PROGRAM = 127
"""setpriv's exit code where there is no such program."""


def run(
    command: Sequence[str],
    what: str,
    *,
    package: str,
    timeout: float,
    wrapper: Sequence[str] = BOUND,
    accepted: Collection[int] = (0,),
    go_on: GoOn = go_on,
) -> None:
    """Run *command* in *wrapper* (programs of util-linux) for *timeout* seconds at most.

    :param what: what has failed if the program does, for its message. :param package: where the program comes from.
    :param accepted: exit codes of success. :param go_on: asked ten times a second; what it raises ends the program, and all that that has started.
    :raises DriverError: it is not there, fails or takes too long; its last words.
    """
    try:
        # A session of its own is a group that can be ended as a whole; and a terminal's ^C is the agent's alone.
        process = subprocess.Popen(
            [*wrapper, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Not every service's PATH has the folders where the programs for filesystems are.
            env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing on the host; it needs the package util-linux") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise DriverError(f"{what}: {error}") from error
    with process:
        try:
            said, complained = _await(process, what, timeout, go_on)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            raise
    if process.returncode == _NO_PROGRAM:
        raise DriverError(f"{command[0]} is missing on the host; it needs the package {package}")
    if process.returncode not in accepted:
        raise DriverError(f"{what}: {(complained or said).decode(errors='replace').strip()[-200:]}")


def _await(process: subprocess.Popen[bytes], what: str, timeout: float, go_on: GoOn) -> tuple[bytes, bytes]:
    """Return what the program has said and complained of when it has ended."""
    deadline = time.monotonic() + timeout
    while True:
        go_on()
        try:
            return process.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise DriverError(f"{what}: it was not done within {timeout:.0f} s") from None

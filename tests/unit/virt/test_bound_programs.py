"""Programs that work on a guest's files end with the agent that started them: the next one's must be alone there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import command_lines

ROOT = Path(__file__).parents[3]
CALLS = {
    "kept_disks": "from nova_lite.virt.libvirt import kept_disks; kept_disks.keep(disk)",
    "container_disk": "from nova_lite.virt.libvirt import container_disk; container_disk._run(['cat', str(disk)], 'read')",
    "oci": "from nova_lite.host import oci; oci._run(['cat', str(disk)], oci.Limits(1 << 20, 10, 60), lambda: None)",
}
"""What opens ``disk`` in a program of its own: a pipe that nobody writes to, so that it waits for good."""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="cannot run on this machine: no setpriv")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_program_ends_with_its_agent(call: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    os.mkfifo(disk)
    script = f"from pathlib import Path\ndisk = Path({str(disk)!r})\n{call}"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as agent:
        while not (started := [pid for pid in at_work(disk) if pid != agent.pid]):
            assert agent.poll() is None
            time.sleep(0.02)
        agent.kill()
    deadline = time.monotonic() + 60
    try:
        while at_work(disk):
            assert time.monotonic() < deadline, f"{started} still at work"
            time.sleep(0.02)
    finally:
        for pid in at_work(disk):
            os.kill(pid, signal.SIGKILL)


def at_work(disk: Path) -> list[int]:
    """Return the processes that have the file's name as one of their arguments."""
    found = []
    for pid, line in command_lines():
        words = line.split(b"\0")
        if str(disk).encode() in words and b"setpriv" not in words[0]:
            found.append(pid)
    return found

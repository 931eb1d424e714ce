"""The connection to libvirt when a real libvirtd of the test's own is killed and comes back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from nova_lite.virt.driver import DriverUnavailable
from nova_lite.virt.libvirt.connection import Connection

pytestmark = [
    pytest.mark.needs("libvirt"),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("libvirtd") is None, reason="no libvirtd, or not root"),
]

START = textwrap.dedent("""
    for directory in /run/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
        mount -t tmpfs none $directory
    done
    if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    exec libvirtd -f "$1/libvirtd.conf" -p "$1/pid"
""")


class OwnLibvirtd:
    """A libvirtd in a mount namespace of its own, with its socket in a directory of the test's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "libvirt-sock"
        (directory / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{directory}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["unshare", "-m", "--propagation", "private", "sh", "-c", START, "sh", str(self.directory)]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not self._listens():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        for path in self.directory.glob("libvirt-sock*"):
            path.unlink()


@pytest.fixture
def libvirtd() -> Iterator[OwnLibvirtd]:
    directory = Path(f"/var/tmp/nlt-{uuid.uuid4().hex[:8]}")
    directory.mkdir()
    own = OwnLibvirtd(directory)
    own.start()
    yield own
    own.kill()
    shutil.rmtree(directory)


def test_a_libvirtd_that_was_restarted_is_connected_to_again(libvirtd: OwnLibvirtd) -> None:
    connection = Connection(f"test+unix:///default?socket={libvirtd.socket}", 60.0)
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    libvirtd.kill()
    for _ in range(2):
        with pytest.raises(DriverUnavailable, match="socket"):
            connection.call("count", lambda conn: conn.numOfDomains())
    libvirtd.start()
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    libvirtd.kill()
    libvirtd.start()
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1

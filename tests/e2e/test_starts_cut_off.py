"""A VM whose start libvirtd did not live to see: the next libvirtd waits for its monitor, with the domain locked, and is let go.

libvirt says ``paused (starting up)`` of it for good. The moment is a matter of milliseconds, so what it leaves is made: libvirt's own status says
that the guest was starting, and its QEMU hangs; or QEMU has gone, and another process holds the monitor's socket, as a fork of libvirtd may.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_host import PrivateHost
from real_cloud import Cloud, await_ping, cloud_on_a_host, marks_of, traces

OPTIONS = "[compute]\nreconcile_interval = 2\nshutdown_timeout = 2\nresize_confirm_window = -1\n"
PIDFD_GETFD = 438
QEMU = "qemu-system-x86_64"


@pytest.fixture(scope="module")
def cloud(images: Path) -> Iterator[Cloud]:
    with cloud_on_a_host(images, options=OPTIONS) as made:
        yield made


@pytest.fixture
def server_id(cloud: Cloud) -> Iterator[str]:
    made = cloud.create("cut-off", "unikernel")
    cloud.await_status(made, "ACTIVE", 60)
    yield made
    cloud.delete([made], 60)


@pytest.fixture
def holders() -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


def run_files(host: PrivateHost, server_id: str) -> Path:
    return Path(f"{host.directory}/host/run/libvirt/qemu/nl-{server_id}")


def qemu_of(host: PrivateHost, server_id: str) -> int:
    return int(run_files(host, server_id).with_suffix(".pid").read_text())


def say_starting(host: PrivateHost, server_id: str) -> None:
    """Have libvirt's status say what it says from the fork of QEMU on until the guest is let go."""
    file = run_files(host, server_id).with_suffix(".xml")
    text, count = re.subn(
        r"<domstatus state='\w+' reason='\w+'", "<domstatus state='paused' reason='starting up'", file.read_text()
    )
    assert count == 1
    file.write_text(text)


def hang(host: PrivateHost, server_id: str) -> None:
    say_starting(host, server_id)
    os.kill(qemu_of(host, server_id), signal.SIGSTOP)


def listener_of(pid: int) -> int:
    """Return a descriptor of the socket at which QEMU's monitor listens."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()]
    (inode,) = [row[6] for row in rows if row[3] == "00010000" and len(row) > 7 and row[7].endswith("monitor.sock")]
    links = {entry.name: os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    (number,) = [name for name, link in links.items() if link == f"socket:[{inode}]"]
    process = os.pidfd_open(pid)
    try:
        found = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, int(number), 0)
        assert found >= 0, os.strerror(ctypes.get_errno())
        return int(found)
    finally:
        os.close(process)


def hand_over(host: PrivateHost, server_id: str) -> subprocess.Popen[bytes]:
    """Have another process hold the monitor's socket, and end QEMU."""
    say_starting(host, server_id)
    pid = qemu_of(host, server_id)
    socket = listener_of(pid)
    line = [QEMU, "-M", "none", "-display", "none", "-nodefaults"]
    holder = subprocess.Popen(line, pass_fds=[socket], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.close(socket)
    os.kill(pid, signal.SIGKILL)
    return holder


def is_starting(host: PrivateHost, server_id: str) -> bool:
    said = host.run("virsh", "-q", "-c", "qemu:///system", "domstate", "--reason", f"nl-{server_id}", check=False)
    return "starting up" in said.stdout


def cut_off(cloud: Cloud, server_id: str, how: Callable[[PrivateHost, str], object]) -> None:
    cloud.host.kill_libvirtd(lambda: how(cloud.host, server_id))
    assert is_starting(cloud.host, server_id)


def test_a_guest_whose_monitor_somebody_else_holds_is_deleted(
    cloud: Cloud, server_id: str, holders: list[subprocess.Popen[bytes]]
) -> None:
    marks = marks_of(cloud, server_id)
    cut_off(cloud, server_id, lambda host, guest: holders.append(hand_over(host, guest)))
    cloud.delete([server_id], 20)
    assert holders[0].wait(60) == -signal.SIGKILL
    assert traces(cloud, marks) == []


def test_a_guest_that_hangs_is_rebooted(cloud: Cloud, server_id: str) -> None:
    cut_off(cloud, server_id, hang)
    assert cloud.act(server_id, reboot={"type": "HARD"}).status == 202
    cloud.await_status(server_id, "ACTIVE", 60)
    assert not is_starting(cloud.host, server_id)
    await_ping(cloud.address(server_id))


@pytest.mark.slow
def test_what_waits_for_a_start_that_hangs_goes_on(
    cloud: Cloud, server_id: str, holders: list[subprocess.Popen[bytes]]
) -> None:
    cut_off(cloud, server_id, lambda host, guest: holders.append(hand_over(host, guest)))
    flavor = {"flavor": {"name": "larger", "vcpus": 1, "ram": 64, "disk": 0}}
    made = cloud.ask("POST", "/compute/v2.1/flavors", flavor, user="admin").body["flavor"]["id"]
    assert cloud.act(server_id, resize={"flavorRef": made}).status == 202
    cloud.await_status(server_id, "VERIFY_RESIZE", 60)  # it waits for the start for 30 s first
    await_ping(cloud.address(server_id))

"""Guests' control groups in the kernel's cgroup v2 hierarchy, wherever it is mounted, as on a host that has no other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from nova_lite.virt.libvirt import container_freezer, guest_cgroups


def _unified() -> Path | None:
    """Return where cgroup v2 is mounted and this process may make groups."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = [Path(words[1]) for words in mounts if words[2] == "cgroup2"]
    return found[0] if found and os.geteuid() == 0 and os.access(found[0], os.W_OK) else None


UNIFIED = _unified()
pytestmark = pytest.mark.skipif(UNIFIED is None, reason="no cgroup v2, or not root")


def libvirt_s(server_id: str) -> tuple[str, str]:
    return f"machine/lxc-1-nl-{server_id}.libvirt-lxc", "libvirt"


def systemd_s(server_id: str) -> tuple[str, str]:
    escaped = f"lxc-1-nl-{server_id}".replace("-", "\\x2d")
    return f"machine.slice/machine-{escaped}.scope", "libvirt"


def launcher_s(server_id: str) -> tuple[str, str]:
    return f"nova-lite/nl-{server_id}", ""


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A part of the hierarchy that stands for all of it, and is the test's own."""
    assert UNIFIED is not None
    made = UNIFIED / f"nlt-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    monkeypatch.setattr(guest_cgroups, "ROOT", made)
    monkeypatch.setattr(container_freezer, "_V2", made)
    yield made
    for directory, _, _ in os.walk(made, topdown=False):
        Path(directory).rmdir()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen(["sleep", "600"])
    yield made
    made.kill()
    made.wait()


def group(root: Path, names: tuple[str, str], process: subprocess.Popen[bytes]) -> Path:
    """Make a guest's group with a frozen process in the group below it."""
    inner = root.joinpath(*names)
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text(str(process.pid))
    (inner / "cgroup.freeze").write_text("1")
    deadline = time.monotonic() + 60
    while "frozen 1" not in (inner / "cgroup.events").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return inner


@pytest.mark.parametrize("made_by", [libvirt_s, systemd_s, launcher_s])
def test_what_runs_in_them_is_ended_and_they_are_removed(
    root: Path, process: subprocess.Popen[bytes], made_by: object
) -> None:
    assert callable(made_by)
    mine, other = (str(uuid.uuid4()) for _ in range(2))
    names = made_by(mine)
    group(root, names, process)
    beside = root / made_by(other)[0]
    beside.mkdir()
    assert guest_cgroups.of(mine) == [root / names[0]]
    guest_cgroups.remove(mine)
    assert process.wait(60) == -signal.SIGKILL
    assert guest_cgroups.of(mine) == []
    assert guest_cgroups.of(other) == [beside]


def test_a_frozen_process_is_known_by_its_group(root: Path, process: subprocess.Popen[bytes]) -> None:
    inner = group(root, ("machine/frozen", ""), process)
    listed = "0::/machine/frozen\n"  # what /proc/<pid>/cgroup has on a host without v1
    assert container_freezer._is_frozen(listed)
    (inner / "cgroup.freeze").write_text("0")
    deadline = time.monotonic() + 60
    while container_freezer._is_frozen(listed):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not container_freezer._is_frozen("0::/machine/gone\n")

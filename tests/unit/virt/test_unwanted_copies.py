"""A copy that nobody wants any more ends in its middle, with the programs that make it, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite.virt import delivery, oci_archive
from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt import container_disk, kept_disks, programs

NEEDS_SETPRIV = pytest.mark.skipif(shutil.which("setpriv") is None, reason="cannot run on this machine: no setpriv")


class Unwanted(Exception):
    """Nobody waits for it."""


def unwanted_after(times: int) -> Callable[[], None]:
    """Return what lets a copy go on so often."""
    left = [times]

    def go_on() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Unwanted

    return go_on


@NEEDS_SETPRIV
def test_a_program_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"sleep 3600 & echo $! > {started}.part; mv {started}.part {started}; wait"

    def go_on() -> None:
        if started.exists():
            raise Unwanted

    with pytest.raises(Unwanted):
        programs.run(["sh", "-c", script], "it failed", package="dash", timeout=60, go_on=go_on)
    deadline = time.monotonic() + 60
    while is_alive(started.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: str) -> bool:
    """Tell whether a process is more than a corpse: whoever inherits it may take its time to bury it."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@NEEDS_SETPRIV
def test_a_program_that_takes_too_long_or_fails_says_so() -> None:
    with pytest.raises(DriverError, match="it failed: it was not done within 0 s"):
        programs.run(["sleep", "3600"], "it failed", package="coreutils", timeout=0)
    with pytest.raises(DriverError, match="it failed: last words"):
        programs.run(["sh", "-c", "echo last words >&2; exit 2"], "it failed", package="dash", timeout=60)
    programs.run(["sh", "-c", "exit 2"], "it failed", package="dash", timeout=60, accepted=(0, 2))
    with pytest.raises(DriverError, match="no-such-thing is missing on the host; it needs the package nowhere"):
        programs.run(["no-such-thing"], "it failed", package="nowhere", timeout=60)


@NEEDS_SETPRIV
def test_a_program_may_say_more_than_a_pipe_holds() -> None:
    programs.run(["head", "-c", "1000000", "/dev/zero"], "it failed", package="coreutils", timeout=60)


def test_a_file_is_copied_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_CHUNK", 1000)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3500))
    target.write_bytes(b"old")
    with pytest.raises(Unwanted):
        delivery.copy(source, target, unwanted_after(2))
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    (tmp_path / "target.part").write_bytes(b"of an agent that died" * 1000)
    delivery.copy(source, target, unwanted_after(4))
    assert target.read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="cannot run on this machine: no /dev/shm")
def test_a_file_is_delivered_to_another_filesystem(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"content" * 1000)
    target = Path("/dev/shm", f"nlt-{tmp_path.name}-{os.getpid()}")
    if tmp_path.stat().st_dev == target.parent.stat().st_dev:
        pytest.skip("cannot run on this machine: /dev/shm is where the temporary directory is")
    try:
        with pytest.raises(Unwanted):
            delivery.deliver(part, target, unwanted_after(0))
        assert part.exists() and not list(target.parent.glob(f"{target.name}*"))
        delivery.deliver(part, target)
        assert target.read_bytes() == b"content" * 1000
        assert not part.exists() and [path.name for path in target.parent.glob(f"{target.name}*")] == [target.name]
    finally:
        target.unlink(missing_ok=True)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_an_archive_that_nobody_wants(tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci_archive, "_PIECE", 1 << 16)
    layer, target = tmp_path / "layer", tmp_path / "archive"
    layer.write_bytes(bytes(2 << 16))  # asked about twice while it is hashed, and again while it is written
    with pytest.raises(Unwanted):
        oci_archive.write(target, layer, {}, unwanted_after(times))
    assert [path.name for path in tmp_path.iterdir()] == ["layer"]


@NEEDS_SETPRIV
def test_a_disk_that_nobody_wants_kept_or_grown(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"content" * 1000)
    with pytest.raises(Unwanted):
        kept_disks.keep(disk, unwanted_after(0))
    with pytest.raises(Unwanted):
        container_disk.grow(disk, 1 << 20, unwanted_after(0))
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    assert disk.read_bytes() == b"content" * 1000

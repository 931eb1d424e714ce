"""Console logs are bounded and read across their rotation; the reader copies terminals into them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.virt.libvirt.console import append, read_tail
from nova_lite.virt.libvirt.console_reader import ConsoleReader


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@given(st.lists(st.binary(max_size=30), max_size=30), st.integers(1, 40), st.integers(0, 60))
def test_the_tail_is_the_end_of_what_was_said_and_bounded(tmp_path_factory, pieces, most: int, limit: int) -> None:
    log = tmp_path_factory.mktemp("log") / "console.log"
    for piece in pieces:
        append(log, piece, most)
    said = b"".join(pieces)
    tail = read_tail(log, limit)
    assert said.endswith(tail)
    assert len(tail) >= min(limit, most, len(said))
    assert sum(path.stat().st_size for path in log.parent.iterdir()) <= 2 * (most + 30)


def test_rotated_files_are_stitched_oldest_first(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    for name, text in (("console.log", b"ef"), ("console.log.0", b"cd"), ("console.log.1", b"ab")):
        (tmp_path / name).write_bytes(text)
    assert read_tail(log, 100) == b"abcdef"
    assert read_tail(log, 3) == b"def"
    assert read_tail(log, 0) == b""
    assert read_tail(tmp_path / "none", 5) == b""


def test_the_reader_copies_to_the_last_byte_and_lets_go(tmp_path: Path) -> None:
    reader, log = ConsoleReader(1 << 20), tmp_path / "console.log"
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.close(slave)
    script = f"import os, sys, time; os.write({master}, b'hello '); sys.stdin.read(1); os.write({master}, b'world')"
    controller = subprocess.Popen(
        [sys.executable, "-c", script, "--console", str(master)], pass_fds=[master], stdin=subprocess.PIPE
    )
    os.close(master)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        reader.follow("s", controller.pid, log)
    until(lambda: read_tail(log, 100) == b"hello ")
    controller.communicate(b"x")
    until(lambda: read_tail(log, 100) == b"hello world")
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    reader.follow("gone", controller.pid, log)


@pytest.mark.parametrize("mode", [0o600])
def test_a_log_is_for_root_only(tmp_path: Path, mode: int) -> None:
    append(tmp_path / "console.log", b"x", 10)
    assert (tmp_path / "console.log").stat().st_mode & 0o777 == mode

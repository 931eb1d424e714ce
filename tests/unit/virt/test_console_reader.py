"""The one thread that reads all containers' consoles outlives whatever happens to one of them."""

from __future__ import annotations

import errno
import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from descriptors import descriptors_up_to, no_descriptor_left

from nova_lite.virt.libvirt import console_reader, console_seat
from nova_lite.virt.libvirt.console import read_tail
from nova_lite.virt.libvirt.console_reader import ConsoleReader
from nova_lite.virt.libvirt.console_seat import ConsoleSeat


def until(what: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Container:
    """A process that has a console as ``libvirt_lxc`` has, writes what it is told on it, and ends when it is told nothing more."""

    def __init__(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.close(slave)
        script = f"import os, sys\nfor line in sys.stdin: os.write({master}, line.strip().encode())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, "--console", str(master)],
            pass_fds=[master],
            stdin=subprocess.PIPE,
            text=True,
        )
        os.close(master)

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.communicate()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def reader() -> Iterator[ConsoleReader]:
    made = ConsoleReader(1 << 20)
    yield made
    until(lambda: not made._consoles)  # what it holds is another test's descriptor else


def instance(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name / "console.log"


def test_a_host_with_more_than_a_thousand_descriptors(reader: ConsoleReader, tmp_path: Path) -> None:
    first, second = instance(tmp_path, "first"), instance(tmp_path, "second")
    with Container() as one, Container() as two, descriptors_up_to(1100):
        reader.follow("first", one.pid, first)
        one.say("one")
        one.end()
        until(lambda: read_tail(first, 100) == b"one")
        until(lambda: "first" not in reader._consoles)
        reader.follow("second", two.pid, second)
        two.say("two")
        until(lambda: read_tail(second, 100) == b"two")


def test_a_guest_that_is_started_again_before_its_end_was_seen(
    reader: ConsoleReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_reader, "_SETTLE_S", 0.3)
    monkeypatch.setattr(console_reader, "_HANDOVER_S", 30.0)
    log = instance(tmp_path, "s")
    with Container() as one, Container() as two:
        reader.follow("s", one.pid, log)
        one.say("one")
        until(lambda: read_tail(log, 100) == b"one")
        one.end()
        reader.follow("s", two.pid, log)
        two.say("two")
        until(lambda: read_tail(log, 100) == b"onetwo")
        reader.seat("s", log.with_name("sock"))


def test_a_client_that_leaves_as_another_comes_and_the_guest_writes(reader: ConsoleReader, tmp_path: Path) -> None:
    log = instance(tmp_path, "s")
    path = str(log.with_name("sock"))
    with Container() as guest, ExitStack() as undo:
        reader.follow("s", guest.pid, log)
        reader.seat("s", Path(path))
        leaving = undo.enter_context(closing(socket.socket(socket.AF_UNIX)))
        leaving.connect(path)
        until(lambda: len(reader._seats["s"]._clients) == 1)
        number = reader._seats["s"]._clients[0].fileno()
        coming = undo.enter_context(closing(socket.socket(socket.AF_UNIX)))
        while (made := os.dup(2)) < number:  # so that the next to be opened is the one that is let go of first
            undo.callback(os.close, made)
        os.close(made)
        gate = threading.Event()
        reader._do(lambda: gate.wait(30) and None)
        # All of it is seen at once, in this order.
        guest.say("heard")
        until(lambda: console_reader._has_more(reader._consoles["s"].terminal))
        coming.connect(path)
        leaving.close()
        gate.set()
        until(lambda: read_tail(log, 100) == b"heard")
        guest.say("-again")
        until(lambda: read_tail(log, 100) == b"heard-again")
        coming.settimeout(30)
        assert coming.recv(100)


def test_what_goes_wrong_with_one_console_is_not_the_others(
    reader: ConsoleReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = instance(tmp_path, "first"), instance(tmp_path, "second")
    serve = ConsoleReader._serve

    def broken(self: ConsoleReader, descriptor: int, console: console_reader.Console) -> None:
        if console.server_id == "first":
            raise RuntimeError("on purpose")
        serve(self, descriptor, console)

    monkeypatch.setattr(ConsoleReader, "_serve", broken)
    with Container() as one, Container() as two:
        reader.follow("first", one.pid, first)
        reader.follow("second", two.pid, second)
        one.say("one")
        until(lambda: "first" not in reader._consoles)
        two.say("two")
        until(lambda: read_tail(second, 100) == b"two")


def test_a_lock_is_let_go_of_where_the_console_can_not_be_had(
    reader: ConsoleReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = instance(tmp_path, "s")

    def fails(*_: object) -> console_reader.Console:
        raise ValueError("on purpose")

    with Container() as guest:
        with monkeypatch.context() as patched:
            patched.setattr(console_reader, "_open", fails)
            with pytest.raises(ValueError, match="on purpose"):
                reader.follow("s", guest.pid, log)
        reader.follow("s", guest.pid, log)
        guest.say("read")
        until(lambda: read_tail(log, 100) == b"read")


def test_no_descriptor_for_a_client_is_no_reason_to_spin(
    reader: ConsoleReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, tries = ConsoleSeat._accept, []

    def counted(self: ConsoleSeat) -> None:
        tries.append(time.monotonic())
        accept(self)

    monkeypatch.setattr(ConsoleSeat, "_accept", counted)
    log = instance(tmp_path, "s")
    path = log.with_name("sock")
    with Container() as guest, closing(socket.socket(socket.AF_UNIX)) as client:
        reader.follow("s", guest.pid, log)
        reader.seat("s", path)
        with no_descriptor_left():
            with pytest.raises(OSError, match="Too many open files") as raised:
                os.dup(2)
            assert raised.value.errno == errno.EMFILE
            client.connect(str(path))
            until(lambda: len(tries) >= 3)
            took = tries[2] - tries[0]
        assert took >= 2 * console_seat._REST_S
        until(lambda: len(reader._seats["s"]._clients) == 1)
        guest.say("seen")
        client.settimeout(30)
        assert client.recv(100) == b"seen"

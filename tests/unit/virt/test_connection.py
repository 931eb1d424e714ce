"""Calls to libvirt that hang: given up, not begun late, and in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import libvirt
import pytest

from nova_lite.virt.driver import DriverError, DriverTimeout, DriverUnavailable
from nova_lite.virt.libvirt.connection import Connection, still_wanted


def hang(connection: Connection, what: str, release: threading.Event, guest: str | None = None) -> None:
    """Make a call that is given up after it has begun: before that, it does no harm."""
    begun = threading.Event()
    while not begun.is_set():
        with pytest.raises(DriverTimeout):
            connection.call(what, lambda conn: (begun.set(), release.wait(60)), timeout=0.1, guest=guest)


def test_a_guest_that_hangs_gets_no_second_call_but_its_end_and_others_go_on() -> None:
    connection = Connection("test:///default", 60.0)
    release = threading.Event()
    hang(connection, "pause", release, guest="one")
    assert connection.is_stuck("one") and not connection.is_stuck("two")
    with pytest.raises(DriverTimeout, match="earlier call"):
        connection.call("resume", lambda conn: pytest.fail("begun all the same"), timeout=0.2, guest="one")
    assert connection.call("pause", lambda conn: 2, guest="two") == 2
    assert connection.call("end", lambda conn: release.set(), guest="one", ends=True) is None
    assert connection.call("start", lambda conn: 1, guest="one") == 1
    assert not connection.is_stuck("one")


def test_calls_for_which_there_was_no_thread_hold_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("test:///default", 60.0)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(40):
            with pytest.raises(DriverUnavailable, match="thread"):
                connection.call("look", lambda conn: 1, timeout=0.5)
    assert connection.call("look", lambda conn: 1) == 1


def test_what_a_guests_agent_says_is_one_bounded_line() -> None:
    connection = Connection("test:///default", 60.0)

    def fails(_connection: object) -> None:
        error = libvirt.libvirtError("")
        error.err = (1, 10, "no\n2026 event=forged \x1b[2J" + "x" * 100_000, 2, None, None, None, -1, -1)
        raise error

    with pytest.raises(DriverError) as raised:
        connection.call("ask", fails)
    assert len(raised.value.message) < 600
    assert raised.value.message.isprintable()


def test_what_was_given_up_before_it_was_begun_is_never_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("test:///default", 60.0)
    opening, opened, begun = threading.Event(), threading.Event(), threading.Event()
    real = libvirt.open

    def slow(uri: str) -> object:
        opening.wait(60)
        opened.set()
        return real(uri)

    monkeypatch.setattr(libvirt, "open", slow)
    with pytest.raises(DriverTimeout):
        connection.call("destroy", lambda conn: begun.set(), timeout=0.1, guest="one")
    opening.set()
    assert opened.wait(60)
    until(lambda: not connection.is_stuck("one"))
    assert not begun.is_set()


def test_the_steps_of_a_call_that_was_given_up_are_not_gone_on_with() -> None:
    connection = Connection("test:///default", 60.0)
    release, begun = threading.Event(), threading.Event()

    def two_steps(_connection: object) -> None:
        release.wait(60)
        still_wanted()
        begun.set()

    with pytest.raises(DriverTimeout):
        connection.call("two steps", two_steps, timeout=0.1, guest="one")
    release.set()
    until(lambda: not connection.is_stuck("one"))
    assert not begun.is_set()


def test_after_a_call_that_was_given_up_others_take_another_connection() -> None:
    connection = Connection("test:///default", 60.0)
    first = connection.call("who", lambda conn: conn)
    release = threading.Event()
    hang(connection, "hang", release)
    assert connection.call("who", lambda conn: conn) is not first
    release.set()


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)

"""The agent's relay: real sockets on both sides."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from nova_lite import conf as configuration
from nova_lite.agent import console_relay
from nova_lite.agent.console_relay import GRANTED, REFUSED, ConsoleRelay, Relayed
from nova_lite.errors import Unavailable
from nova_lite.virt.abilities import ConsoleTarget
from nova_lite.virt.fake_consoles import GREETING, FakeConsoles


def make_relay(tmp_path: Path, **console: float) -> ConsoleRelay:
    return ConsoleRelay(
        configuration.load(
            [], {"state_path": str(tmp_path)} | {f"console.{name}": value for name, value in console.items()}
        )
    )


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[ConsoleRelay]:
    made = make_relay(tmp_path)
    yield made
    made.stop()


TARGET = ConsoleTarget("serial", port=FakeConsoles().port("serial"))


def connect(relayed: Relayed, secret: str | None = None) -> socket.socket:
    made = socket.create_connection((relayed.host, relayed.port), 60)
    made.sendall(f"CONNECT {secret or relayed.secret} HTTP/1.1\r\n\r\n".encode())
    return made


def take(source: socket.socket, length: int) -> bytes:
    taken = b""
    while len(taken) < length and (piece := source.recv(length - len(taken))):
        taken += piece
    return taken


def test_bytes_go_both_ways_and_a_secret_lets_one_through(relay: ConsoleRelay) -> None:
    relayed = relay.grant("one", "serial", TARGET)
    with closing(connect(relayed)) as line:
        assert take(line, len(GRANTED + GREETING)) == GRANTED + GREETING
        data = bytes(range(256)) * 4000
        threading.Thread(target=line.sendall, args=(data,)).start()
        assert take(line, len(data)) == data
        with closing(connect(relayed)) as second:
            assert take(second, 100) == REFUSED


@pytest.mark.parametrize("said", [b"CONNECT x HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"x" * 300])
def test_who_shows_no_secret_gets_nothing(relay: ConsoleRelay, said: bytes) -> None:
    relayed = relay.grant("one", "serial", TARGET)
    with closing(socket.create_connection((relayed.host, relayed.port), 60)) as line:
        line.sendall(said)
        assert take(line, 100) == REFUSED
    with closing(connect(relayed)) as line:
        assert take(line, len(GRANTED)) == GRANTED


def test_a_secret_is_good_for_a_while_only(relay: ConsoleRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_relay, "SECRET_S", 0.0)
    with closing(connect(relay.grant("one", "serial", TARGET))) as line:
        assert take(line, 100) == REFUSED


def test_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    relay = make_relay(tmp_path, connect_timeout=0.2)
    relayed = relay.grant("one", "serial", TARGET)
    with closing(socket.create_connection((relayed.host, relayed.port), 60)) as line:
        assert line.recv(100) == b""
    relay.stop()


class Clock:
    """Stands for :mod:`time`: it goes on when a test says so, however long that takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_s = 0.0
        self._began = time.monotonic()
        self.sleep = time.sleep
        monkeypatch.setattr(console_relay, "time", self)
        monkeypatch.setattr(console_relay, "_LOOK_S", 0.05)

    def monotonic(self) -> float:
        return self._began + self._ahead_s

    def go_on(self, seconds: float) -> None:
        self._ahead_s += seconds


def test_who_says_little_now_and_then_is_let_go(tmp_path: Path) -> None:
    relay = make_relay(tmp_path, connect_timeout=0.5)
    relayed = relay.grant("one", "serial", TARGET)
    with closing(socket.create_connection((relayed.host, relayed.port), 60)) as line:
        line.settimeout(0.1)
        for _ in range(200):
            try:
                line.sendall(b"x")
                assert line.recv(100) == b""
            except TimeoutError:
                continue
            except OSError:
                pass
            break
        else:
            pytest.fail("it held its place")
    relay.stop()


def test_a_connection_for_which_there_was_no_thread(relay: ConsoleRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = threading.Thread.start, []

    def refusing(self: threading.Thread) -> None:
        if self.name == "console" and not refused:
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    relayed = relay.grant("one", "serial", TARGET)
    with closing(socket.create_connection((relayed.host, relayed.port), 60)) as line, suppress(ConnectionError):
        assert line.recv(100) == b""
    with closing(connect(relayed)) as line:
        assert take(line, len(GRANTED)) == GRANTED


def test_a_quiet_console_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, relay = Clock(monkeypatch), make_relay(tmp_path, idle_timeout=100.0)
    with closing(connect(relay.grant("one", "serial", TARGET))) as line:
        assert take(line, len(GRANTED + GREETING)) == GRANTED + GREETING
        clock.go_on(100)
        time.sleep(0.2)
        line.sendall(b"x")
        assert take(line, 1) == b"x", "it is open for as long as that"
        clock.go_on(101)
        assert line.recv(100) == b""
    relay.stop()


def test_a_quiet_channel_stays_as_long_as_another_of_its_console_is_not_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, relay = Clock(monkeypatch), make_relay(tmp_path, idle_timeout=100.0)
    target = ConsoleTarget("spice-html5", port=TARGET.port, channels=True)
    with (
        closing(connect(relay.grant("one", "spice-html5", target))) as busy,
        closing(connect(relay.grant("one", "spice-html5", target))) as quiet,
        closing(connect(relay.grant("two", "spice-html5", target))) as other,
    ):
        for line in (busy, quiet, other):
            assert take(line, len(GRANTED + GREETING)) == GRANTED + GREETING
        clock.go_on(60)
        busy.sendall(b"x")
        assert take(busy, 1) == b"x"
        clock.go_on(60)
        assert other.recv(100) == b"", "another's console is none of its"
        time.sleep(0.2)
        quiet.sendall(b"y")
        assert take(quiet, 1) == b"y"
        clock.go_on(101)
        assert quiet.recv(100) == b"", "quiet together, they go"
        assert busy.recv(100) == b""
    relay.stop()


def test_at_an_exclusive_console_the_last_who_comes_stays(relay: ConsoleRelay, tmp_path: Path) -> None:
    path = tmp_path / "one.sock"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as guest:
        guest.bind(str(path))
        guest.listen(5)
        target = ConsoleTarget("serial", path, exclusive=True)
        with closing(connect(relay.grant("one", "serial", target))) as first:
            assert take(first, len(GRANTED)) == GRANTED
            held, _ = guest.accept()  # as QEMU does it: the next is accepted when this one has gone
            with (
                closing(connect(relay.grant("two", "serial", target))) as other,
                closing(connect(relay.grant("one", "serial", target))) as last,
            ):
                assert first.recv(100) == b""
                assert held.recv(100) == b""
                assert take(last, len(GRANTED)) == GRANTED
                assert take(other, len(GRANTED)) == GRANTED


def test_of_two_who_come_at_once_the_first_gives_way(
    relay: ConsoleRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.sock"
    target = ConsoleTarget("serial", path, exclusive=True)
    calls, overtaken, connect_guest = count(), threading.Event(), console_relay._connect
    under_way = threading.Event()

    def connecting(target: ConsoleTarget, timeout_s: float) -> socket.socket:
        if next(calls) == 0:
            under_way.set()
            assert overtaken.wait(60)
        return connect_guest(target, timeout_s)

    monkeypatch.setattr(console_relay, "_connect", connecting)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as guest:
        guest.bind(str(path))
        guest.listen(5)
        with closing(connect(relay.grant("one", "serial", target))) as first:
            assert under_way.wait(60)
            with closing(connect(relay.grant("one", "serial", target))) as last:
                assert take(last, len(GRANTED)) == GRANTED
                overtaken.set()
                assert first.recv(100) == b"", "it was never let through"
                held, _ = guest.accept()
                held.sendall(b"hello")
                assert take(last, 5) == b"hello"
                held.close()


def test_no_more_than_so_many_at_once(tmp_path: Path) -> None:
    relay = make_relay(tmp_path, max_connections=1)
    with closing(connect(relay.grant("one", "serial", TARGET))) as first:
        assert take(first, len(GRANTED)) == GRANTED
        with closing(connect(relay.grant("one", "serial", TARGET))) as second:
            second.settimeout(60)
            with suppress(ConnectionResetError):
                assert second.recv(100) == b""
    relay.stop()


def test_a_guest_that_is_gone_ends_the_connection(relay: ConsoleRelay, tmp_path: Path) -> None:
    with closing(connect(relay.grant("one", "serial", ConsoleTarget("serial", tmp_path / "nobody")))) as line:
        assert line.recv(100) == b""


def test_its_end_ends_all(relay: ConsoleRelay) -> None:
    relayed = relay.grant("one", "serial", TARGET)
    with closing(connect(relayed)) as line:
        assert take(line, len(GRANTED + GREETING)) == GRANTED + GREETING
        relay.stop()
        assert line.recv(100) == b""
    with pytest.raises(Unavailable):
        relay.grant("one", "serial", TARGET)
    with pytest.raises(OSError):
        connect(relayed)


def test_a_console_ends_with_its_guest(relay: ConsoleRelay) -> None:
    with (
        closing(connect(relay.grant("one", "serial", TARGET))) as line,
        closing(connect(relay.grant("two", "serial", TARGET))) as other,
    ):
        for each in (line, other):
            assert take(each, len(GRANTED + GREETING)) == GRANTED + GREETING
        waiting = relay.grant("one", "serial", TARGET)
        assert relay.servers() == {"one", "two"}
        relay.end("one")
        assert line.recv(1) == b""
        with closing(connect(waiting)) as late:  # where it was may be another guest's now
            assert take(late, len(REFUSED)) == REFUSED
        other.sendall(b"x")
        assert take(other, 1) == b"x"
        deadline = time.monotonic() + 60
        while relay.servers() != {"two"}:  # its threads end a moment after it is cut
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_console_does_not_open_whose_guest_ends_meanwhile(
    relay: ConsoleRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects = console_relay._connect

    def slowly(target: ConsoleTarget, timeout_s: float) -> socket.socket:
        relay.end("one")
        return connects(target, timeout_s)

    monkeypatch.setattr(console_relay, "_connect", slowly)
    with closing(connect(relay.grant("one", "serial", TARGET))) as line:
        said = take(line, len(GRANTED + GREETING))
        assert GREETING not in said
    assert relay.servers() == set()

"""A listener that is stopped while it begins hears nothing afterwards."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nova_lite.bus import listener
from nova_lite.bus.listener import Heard, Listener


class SlowServer:
    """Takes its time to start; what it does is noted in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun, self.may_start, self.waited = (threading.Event() for _ in range(3))

    def start(self) -> None:
        self.begun.set()
        assert self.may_start.wait(60)
        self.done.append("started")

    def stop(self) -> None:
        self.done.append("stopped")

    def wait(self) -> None:
        self.waited.set()


def test_one_that_is_stopped_while_it_begins_is_ended_when_it_has() -> None:
    server = SlowServer()
    nothing: Any = object()
    heard = Listener(lambda: nothing, lambda _link: server, ("slow", "slow"), "slow", Heard(), None)
    assert server.begun.wait(60)
    heard.stop()
    assert server.done == []
    server.may_start.set()
    assert server.waited.wait(60)
    assert server.done == ["started", "stopped"]


def test_one_that_has_begun_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "STOP_S", 10.0)
    server = SlowServer()
    server.may_start.set()
    nothing: Any = object()
    heard = Listener(lambda: nothing, lambda _link: server, ("quick", "quick"), "quick", Heard(), None)
    assert heard.wait_ready(10)
    heard.stop()
    assert server.done == ["started", "stopped"]

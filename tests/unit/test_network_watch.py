"""The thread that brings changes of networks to a host: at a hint, when the row says so, and now and then in any case."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from nova_lite.agent import network_keeper
from nova_lite.agent.network_keeper import NetworkWatch


@dataclass
class Keeper:
    """Says whether the host is behind, and counts the passes."""

    behind: bool = False
    passes: list[float] = field(default_factory=list)

    def is_behind(self) -> bool:
        return self.behind

    def ensure(self) -> None:
        self.behind = False
        self.passes.append(time.monotonic())


@pytest.fixture
def running() -> Any:
    keeper, stopping = Keeper(), threading.Event()
    watch: Any = NetworkWatch(keeper, 0.01, stopping)  # type: ignore[arg-type]
    thread = threading.Thread(target=watch.run)

    def start() -> tuple[Keeper, Any]:
        thread.start()
        return keeper, watch

    yield start
    stopping.set()
    watch.wake()
    if thread.ident is not None:
        thread.join(5)


def until(condition: Any) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_a_pass_is_made_when_the_row_says_so_and_only_then(running: Any) -> None:
    keeper, watch = running()
    time.sleep(0.1)
    assert keeper.passes == []
    keeper.behind = True
    watch.wake()
    assert until(lambda: keeper.passes) and not keeper.behind


def test_a_change_that_touched_nobody_is_brought_in_the_end(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_keeper, "LONGEST_S", 0.05)
    keeper, _ = running()
    assert until(lambda: len(keeper.passes) >= 2)
    assert keeper.passes[1] - keeper.passes[0] >= 0.05

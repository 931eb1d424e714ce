"""The bus on a real RabbitMQ: hints and questions arrive, twice is harmless, and a broker that goes takes nothing along."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_host import Cloud
from rabbit_node import RabbitNode

from nova_lite import conf as configuration
from nova_lite.bus import AGENT, SCHEDULER, Bus, Waker
from nova_lite.errors import NotFound, Unavailable


def load(url: str, **overrides: Any) -> Any:
    return configuration.load([], {"bus.transport_url": url, **overrides})


def wait_for(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture(params=["kombu+memory:////", "rabbit"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("quiet_node").url if request.param == "rabbit" else request.param)


@pytest.fixture
def bus(url: str) -> Iterator[Bus]:
    made = Bus(load(url, **{"compute.rpc_timeout": 60.0}))
    yield made
    made.close()


def refuse(**_arguments: Any) -> None:
    raise NotFound("there is none", "console.not_found")


def crash(**_arguments: Any) -> None:
    raise ZeroDivisionError("secret")


def test_hints_and_questions(bus: Bus) -> None:
    host = f"h-{uuid.uuid4().hex[:8]}"
    heard: list[str] = []
    answers: dict[str, Callable[..., Any]] = {
        "wake": lambda: heard.append("agent"),
        "console_output": lambda server_id, length: f"{server_id} {length} ä\ufffd",
    }
    agent = bus.listen(AGENT, host, answers)
    other = bus.listen(AGENT, host + "-other", {"wake": lambda: heard.append("other")})
    assert agent.wait_ready(60)
    assert other.wait_ready(60)
    try:
        bus.cast(AGENT, host)
        bus.cast(AGENT, host)  # twice is heard twice, and changes nothing
        wait_for(lambda: len(heard) == 2)
        assert set(heard) == {"agent"}, "a hint for one host is heard by that host alone"
        assert bus.call(host, "console_output", server_id="s", length=None) == "s None ä\ufffd"
    finally:
        agent.stop()
        other.stop()


@pytest.mark.parametrize(
    ("answer", "error", "message"), [(refuse, NotFound, "there is none"), (crash, Unavailable, "could not answer")]
)
def test_what_goes_wrong_comes_back(bus: Bus, answer: Any, error: type[Exception], message: str) -> None:
    host = f"h-{uuid.uuid4().hex[:8]}"
    agent = bus.listen(AGENT, host, {"console_output": answer})
    assert agent.wait_ready(60)
    try:
        with pytest.raises(error, match=message) as caught:
            bus.call(host, "console_output", server_id="s", length=None)
        assert "secret" not in str(caught.value)
    finally:
        agent.stop()


def test_a_host_that_does_not_answer(url: str) -> None:
    bus = Bus(load(url, **{"compute.rpc_timeout": 1.0}))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer"):
        bus.call(f"nobody-{uuid.uuid4().hex[:8]}", "console_output", server_id="s", length=None)
    assert time.monotonic() - began < 30
    bus.close()


def test_hints_to_schedulers_are_shared(bus: Bus) -> None:
    name = uuid.uuid4().hex[:8]
    heard: list[int] = []
    listeners = [bus.listen(SCHEDULER, f"{name}-{n}", {"wake": lambda n=n: heard.append(n)}) for n in range(2)]  # type: ignore[misc]
    assert all(listener.wait_ready(60) for listener in listeners)
    try:
        for _ in range(10):
            bus.cast(SCHEDULER)
        wait_for(lambda: len(heard) >= 10)
        time.sleep(0.1)
        assert len(heard) == 10
    finally:
        for listener in listeners:
            listener.stop()


def test_a_waker_neither_waits_nor_fails_nor_grows() -> None:
    blocked, go_on = threading.Event(), threading.Event()
    sent: list[tuple[str, str | None]] = []

    def send(topic: str, host: str | None) -> None:
        blocked.set()
        go_on.wait(60)
        sent.append((topic, host))
        raise OSError("broker down")

    waker = Waker(send)
    waker.wake(SCHEDULER)
    assert blocked.wait(60)
    began = time.thread_time()
    for number in range(100_000):
        waker.wake(AGENT, f"h{number % 50}")
    for number in range(5_000):
        waker.wake(AGENT, f"many{number}")
    assert time.thread_time() - began < 2
    go_on.set()
    waker.stop(60)
    assert len(sent) <= 1 + 1024
    assert len(sent) == len(set(sent)), "the same hint was sent once"


def test_without_a_broker_the_waker_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def send(_topic: str, _host: str | None) -> None:
        raise Unavailable("no broker")

    waker = Waker(send)
    for number in range(20):
        waker.wake(AGENT, f"h{number}")
    waker.stop(60)
    assert len([record for record in caplog.records if "bus=down" in record.message]) == 1


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.timeout(300)
def test_a_broker_that_goes_and_comes_back_under_load(node: RabbitNode, tmp_path: Path, kill: bool) -> None:
    cloud = Cloud(tmp_path, overrides={"bus.transport_url": node.url})
    try:
        cloud.agent()
        cloud.scheduler()
        servers = [cloud.create() for _ in range(10)]
        node.stop(kill=kill)
        servers += [cloud.create() for _ in range(10)]
        for server_id in servers:
            assert cloud.settled(server_id).vm_state == "active", "polling does without a broker"
        node.start()
        for server_id in servers:
            cloud.ask(server_id, "delete")
        for server_id in servers:
            assert cloud.settled(server_id).deleted
        assert cloud.hypervisor.empty()
        assert_hears_again(cloud)
    finally:
        cloud.close()


def assert_hears_again(cloud: Cloud) -> None:
    """Wait until the agent's listener is connected again: questions need it, as nothing polls for them.

    Either end may have gone deaf and find out late: the listener by its probes (13 s, then up to 30 s for each try to
    begin anew), the caller by a question's time-out (10 s) and an echo of its own (5 s).
    """
    assert cloud.bus is not None
    deadline = time.monotonic() + 180
    while True:
        try:
            cloud.bus.call("h1", "console_output", server_id="none", length=None)
        except NotFound:
            return
        except Unavailable:
            assert time.monotonic() < deadline, "the agent did not connect again"


@pytest.mark.timeout(300)
def test_a_service_starts_without_a_broker(node: RabbitNode, tmp_path: Path) -> None:
    node.stop(kill=True)
    cloud = Cloud(tmp_path, overrides={"bus.transport_url": node.url})
    try:
        began = time.monotonic()
        cloud.agent()
        cloud.scheduler()
        assert time.monotonic() - began < 20, "they waited for the broker"
        assert cloud.settled(cloud.create()).vm_state == "active"
        node.start()
        assert_hears_again(cloud)
    finally:
        cloud.close()

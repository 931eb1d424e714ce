"""Nobody stays deaf: after whatever befell the broker or a connection, all hear again in time, and nothing is left behind."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rabbit_node import RabbitNode

from nova_lite import conf as configuration
from nova_lite.bus import AGENT, SCHEDULER, Bus
from nova_lite.errors import Unavailable

BACK_S = 180.0
"""Seconds after which all hear and answer again, once the broker is back."""


class Site:
    """An agent, a scheduler and a caller, each with a bus of its own, as in three processes."""

    def __init__(self, url: str) -> None:
        conf = configuration.load([], {"bus.transport_url": url, "compute.rpc_timeout": 3.0})
        self.host = f"h-{uuid.uuid4().hex[:8]}"
        self.heard: Counter[str] = Counter()
        self.buses = [Bus(conf) for _ in range(3)]
        agent, scheduler, self.caller = self.buses
        self.listeners = [
            agent.listen(AGENT, self.host, {"wake": self._hear(AGENT), "console_output": lambda **_: "text"}),
            scheduler.listen(SCHEDULER, self.host, {"wake": self._hear(SCHEDULER)}),
        ]
        assert all(listener.wait_ready(120) for listener in self.listeners)
        assert settles(self.answers)

    def _hear(self, topic: str) -> Callable[[], None]:
        return lambda: self.heard.update([topic])

    def ask(self, host: str | None = None) -> None:
        assert self.caller.call(host or self.host, "console_output", server_id="s", length=None) == "text"

    def answers(self) -> bool:
        """Tell whether a call is answered; on a loaded machine the first may come too late."""
        try:
            self.ask()
        except Unavailable:
            return False
        return True

    def works(self) -> bool:
        """Tell whether three calls in a row are answered and both listeners hear what is sent now."""
        before = Counter(self.heard)
        try:
            for _ in range(3):
                self.ask()
                self.caller.cast(AGENT, self.host)
                self.caller.cast(SCHEDULER, self.host)
        except Unavailable:
            return False
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if all(self.heard[topic] >= before[topic] + 3 for topic in (AGENT, SCHEDULER)):
                return True
            time.sleep(0.02)
        return False

    def await_works(self) -> None:
        deadline = time.monotonic() + BACK_S
        while not self.works():
            assert time.monotonic() < deadline, "somebody stayed deaf"

    def close(self) -> None:
        for listener in self.listeners:
            listener.stop()
        for bus in self.buses:
            bus.close()


@pytest.fixture
def site(node: RabbitNode) -> Iterator[Site]:
    made = Site(node.url)
    yield made
    made.close()


def sockets() -> int:
    """Count this process's sockets."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count


def own_queues(node: RabbitNode, site: Site) -> dict[str, int]:
    """Return how many consume what is sent to the site's host, what is sent to anybody, and answers."""
    counts: Counter[str] = Counter()
    for queue, number in node.consumers().items():
        counts[queue.partition("_")[0] if queue.startswith("reply_") else queue] += number
    return {
        name: counts[name] for name in (AGENT, SCHEDULER, f"{AGENT}.{site.host}", f"{SCHEDULER}.{site.host}", "reply")
    }


def settles(condition: Callable[[], bool], timeout: float = 120.0) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def cut(node: RabbitNode) -> None:
    node.pause()
    time.sleep(60)
    node.resume()


def kill(node: RabbitNode) -> None:
    node.stop(kill=True)
    time.sleep(12)  # longer than a listener waits before it makes a new connection
    node.start()


def stop(node: RabbitNode) -> None:
    node.stop()
    node.start()


@pytest.mark.parametrize("harm", [kill, stop, pytest.param(cut, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_all_hear_again_and_nothing_leaks(node: RabbitNode, site: Site, harm: Callable[[RabbitNode], None]) -> None:
    one_each = dict.fromkeys(own_queues(node, site), 1)
    assert settles(lambda: own_queues(node, site) == one_each), own_queues(node, site)
    threads, open_sockets = threading.active_count(), sockets()
    for _ in range(1 if harm is cut else 2):
        harm(node)
        site.await_works()
    assert settles(lambda: own_queues(node, site) == one_each), own_queues(node, site)
    # A server's pool has up to eight threads, a pool of connections a heartbeat each: both grow with use, not with harm.
    assert settles(lambda: sockets() <= open_sockets + 6), (open_sockets, sockets())
    assert settles(lambda: threading.active_count() <= threads + 22), [thread.name for thread in threading.enumerate()]


@pytest.mark.timeout(300)
def test_a_consumer_that_nobody_reads_is_replaced(
    node: RabbitNode, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    # What a stopped server of oslo.messaging leaves: an open connection whose consumers swallow each message.
    poller = site.listeners[0]._server.listener._poll_style_listener
    poller._shutdown.set()
    poller.conn.stop_consuming()
    site.await_works()
    assert "event=deaf" in caplog.text
    assert settles(lambda: set(own_queues(node, site).values()) == {1}), own_queues(node, site)


@pytest.mark.timeout(300)
def test_a_binding_by_which_the_broker_routes_nothing_is_made_anew(
    node: RabbitNode, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart may leave RabbitMQ's table of routes at odds with its bindings, and to bind again is of no use then."""
    queue = f'{{resource,<<"/">>,queue,<<"{AGENT}.{site.host}">>}}'
    lost = "[ets:delete_object(rabbit_topic_trie_binding, E) || E <- ets:tab2list(rabbit_topic_trie_binding), "
    assert "true" in node.evaluate(f"{lost} element(4, element(2, E)) =:= {queue}].")
    with pytest.raises(Unavailable, match="did not answer"):
        site.ask()
    site.await_works()
    assert caplog.text.count("event=deaf") >= 2
    assert settles(lambda: set(own_queues(node, site).values()) == {1}), own_queues(node, site)


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.timeout(400)
def test_a_queue_that_hangs_in_the_broker_is_made_anew(
    node: RabbitNode, site: Site, caplog: pytest.LogCaptureFixture, shared: bool
) -> None:
    """As a quorum queue does for good whose broker is killed in the moment that it is made."""
    process = f"'%2F_{AGENT}{'' if shared else '.' + site.host}'"
    assert "ok" in node.evaluate(f"sys:suspend(whereis({process})).")
    node.close_connections()
    site.await_works()
    assert "event=deaf" in caplog.text
    assert settles(lambda: set(own_queues(node, site).values()) == {1}), own_queues(node, site)


@pytest.mark.timeout(300)
def test_a_caller_that_hears_no_answers_is_mended(
    node: RabbitNode, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    waiter = site.caller._link._driver._waiter
    waiter._thread_exit_event.set()
    waiter.conn.stop_consuming()
    site.await_works()
    assert "bus=deaf" in caplog.text
    assert settles(lambda: set(own_queues(node, site).values()) == {1}), own_queues(node, site)


@pytest.mark.timeout(300)
def test_a_dead_host_costs_no_connection(node: RabbitNode, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    link: Any = site.caller._link
    opened = set(link._connections)
    with caplog.at_level(logging.WARNING, "nova_lite.bus"):
        for _ in range(6):
            began = time.monotonic()
            with pytest.raises(Unavailable, match="did not answer"):
                site.ask("nobody")
            assert time.monotonic() - began < 3.0 + 4.5, "within the time of its class, not one after the other"
            assert settles(site.answers)
        time.sleep(6)  # a look at the own connection lasts up to five seconds
    assert site.caller._link is link
    assert opened <= set(link._connections)
    assert not caplog.records


@pytest.mark.timeout(300)
def test_a_call_without_a_broker_ends(node: RabbitNode) -> None:
    node.stop(kill=True)
    bus = Bus(configuration.load([], {"bus.transport_url": node.url, "compute.rpc_timeout": 3.0}))
    began = time.monotonic()
    with pytest.raises(Unavailable):
        bus.call("h1", "console_output", server_id="s", length=None)
    assert time.monotonic() - began < 30
    node.start()

    def is_asked() -> bool:
        """Tell whether the call comes as far as the broker, as it does soon."""
        with pytest.raises(Unavailable) as caught:
            bus.call("h1", "console_output", server_id="s", length=None)
        return "did not answer" in str(caught.value)

    assert settles(is_asked)
    bus.close()


@pytest.mark.timeout(300)
def test_nothing_is_left_after_close(node: RabbitNode) -> None:
    threads, open_sockets = set(threading.enumerate()), sockets()
    site = Site(node.url)
    site.close()
    assert settles(lambda: not set(threading.enumerate()) - threads), set(threading.enumerate()) - threads
    assert settles(lambda: sockets() <= open_sockets)
    assert settles(lambda: not node.consumers())

"""An agent whose process or host runs out of something, or whose hypervisor comes up late, is itself again afterwards."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from one_host import Cloud
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.agent import report
from nova_lite.agent.report import Reporter
from nova_lite.agent.runner import Runner
from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Host
from nova_lite.db.types import new_id
from nova_lite.virt.driver import CONTAINER, KINDS, Capabilities, Observed


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path, with_bus=False, overrides={"compute.workers": 2})
    yield made
    made.close()


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_operations_for_which_there_was_no_thread(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = threading.Thread.start, []

    def refusing(self: threading.Thread) -> None:
        if self.name.startswith("operation-") and len(refused) < 4:
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    agent = cloud.agent()
    cloud.scheduler()
    servers = [cloud.create() for _ in range(4)]
    for server_id in servers:
        assert cloud.settled(server_id).vm_state == "active"
        assert [row.attempt for row in cloud.operations(server_id)] == [1]
    assert len(refused) == 4
    until(lambda: not agent._held and not agent._under_way)


def test_a_kind_that_was_not_to_be_had_at_the_agents_start(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt's daemon for QEMU is being started, say, and that for containers is there."""
    monkeypatch.setattr(report, "FIRST_AGAIN_S", 0.0)
    monkeypatch.setattr(report, "LONGEST_AGAIN_S", 0.0)
    whole, asked = cloud.hypervisor.capabilities(), []

    def capabilities() -> Capabilities:
        asked.append(1)
        return replace(whole, kinds=(CONTAINER,)) if len(asked) < 3 else whole

    monkeypatch.setattr(cloud.hypervisor, "capabilities", capabilities)
    reporter = Reporter(cloud.conf, cloud.store, cloud.hypervisor, "h1")
    reporter.report()
    assert cloud.host().kinds == [CONTAINER]
    reporter.report()
    assert cloud.host().kinds == [CONTAINER]
    reporter.report()
    assert cloud.host().kinds == list(KINDS)
    reporter.report()
    assert len(asked) == 3, "what is whole is not asked for again"


def test_a_host_without_a_kind_is_asked_again_seldom(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, asked = cloud.hypervisor.capabilities(), []

    def capabilities() -> Capabilities:
        asked.append(1)
        return replace(whole, kinds=(CONTAINER,))

    monkeypatch.setattr(cloud.hypervisor, "capabilities", capabilities)
    reporter = Reporter(cloud.conf, cloud.store, cloud.hypervisor, "h1")
    for _ in range(3):
        reporter.report()
    assert len(asked) == 1


def test_a_stranger_is_told_of_once_each_time_that_it_comes(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    mine = cloud.hypervisor
    agent = Agent(cloud.conf, cloud.store, mine, mine, mine, None)  # not started: it compares when it is asked to
    stranger = Observed(None, "theirs", PowerState.RUNNING, "vm")

    def told(*strangers: Observed) -> int:
        cloud.hypervisor.strangers = list(strangers)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                agent.reconcile()
        return caplog.text.count("event=stranger")

    assert [told(stranger), told(stranger), told(), told(stranger)] == [1, 0, 0, 1]
    told()
    assert agent._reconciler._reported == set()


def test_an_end_that_the_database_refuses_is_not_written_for_ever(cloud: Cloud) -> None:
    tries: list[float] = []

    def write(session: Session) -> None:
        tries.append(time.monotonic())
        values: dict[str, Any] = {"name": "h9", "vcpus": 1, "memory_mb": 1, "disk_gb": 1}
        session.add_all([Host(uuid=new_id(), **values), Host(uuid=new_id(), **values)])
        session.flush()

    runner = Runner(cloud.agent()._tools, lambda: len(tries) > 1, observing=lambda _server: None)
    with pytest.raises(IntegrityError):
        runner._persist(write)
    assert len(tries) == 1


def test_servers_that_are_let_go_of_are_not_kept_in_mind(cloud: Cloud) -> None:
    agent = cloud.agent()
    for number in range(100):
        agent._let_go(f"server-{number}", "delete")
    assert agent._guest_watch._freed == {}

"""Reconcile with real rows and a hypervisor that was changed behind the agent's back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from one_host import Cloud, broken, reconcile, rest
from sqlalchemy import update

from nova_lite.agent.service import Agent
from nova_lite.compute import lifecycle
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Server
from nova_lite.virt.driver import Observed


def wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path, with_bus=False, overrides={"compute.reconcile_interval": 3600})
    yield made
    made.close()


@pytest.fixture
def agent(cloud: Cloud) -> Agent:
    cloud.scheduler()
    made = cloud.agent()
    wait_until((cloud.directory / "boot-id-h1").exists)  # it has compared for the first time
    return made


@pytest.fixture
def server_id(cloud: Cloud, agent: Agent) -> str:
    made = cloud.create()
    assert cloud.settled(made).vm_state == "active"
    rest(agent)
    return made


def test_a_guest_that_shut_down_is_shown_as_stopped(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.hypervisor.guests[server_id].power = PowerState.SHUTDOWN
    reconcile(agent)
    server = cloud.server(server_id)
    assert (server.vm_state, server.power_state) == ("stopped", PowerState.SHUTDOWN)
    cloud.ask(server_id, "start")
    assert cloud.settled(server_id).vm_state == "active"


def test_a_guest_that_is_gone_is_an_error(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.hypervisor.guests.clear()
    reconcile(agent)
    server = cloud.server(server_id)
    assert server.vm_state == "error"
    assert server.fault is not None


def test_what_can_not_be_seen_is_unknown(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.hypervisor.fail = broken("observe")
    reconcile(agent)
    server = cloud.server(server_id)
    assert (server.vm_state, server.power_state) == ("active", PowerState.NOSTATE)
    cloud.hypervisor.fail = broken("nothing")
    reconcile(agent)
    assert cloud.server(server_id).power_state == PowerState.RUNNING


def test_a_leftover_of_a_deleted_server_is_removed(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.store.transact(lambda session: lifecycle.end_deleted(session, server_id))
    reconcile(agent)
    assert not cloud.hypervisor.guests


def test_a_stranger_is_never_touched(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.hypervisor.strangers = [
        Observed(None, "somebody's", PowerState.RUNNING, "vm"),
        Observed("00000000-0000-4000-8000-000000000000", "unknown", PowerState.RUNNING, "vm"),
    ]
    calls: list[str] = []
    cloud.hypervisor.fail = calls.append
    reconcile(agent)
    assert calls == ["observe"]


def test_a_guest_of_another_host_s_server_is_never_touched(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.store.transact(lambda session: session.execute(update(Server).values(host="h2")))
    reconcile(agent)
    assert server_id in cloud.hypervisor.guests
    assert cloud.server(server_id).vm_state == "active"


def test_a_server_that_nothing_is_at_work_on_does_not_stay_in_a_task_state(
    cloud: Cloud, agent: Agent, server_id: str
) -> None:
    cloud.store.transact(lambda session: session.execute(update(Server).values(task_state="powering-off")))
    reconcile(agent)
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state) == ("error", None)


@pytest.mark.parametrize("resume", [True, False])
def test_a_boot_of_the_host(cloud: Cloud, agent: Agent, server_id: str, resume: bool) -> None:
    cloud.conf.set_override("resume_guests_state_on_host_boot", resume, group="compute")
    cloud.kill(agent)
    cloud.hypervisor.guests[server_id].power = PowerState.SHUTDOWN
    (cloud.directory / "boot-id-h1").write_text("another\n")
    cloud.agent()
    for _ in range(500):
        server = cloud.settled(server_id)
        if server.generation > 3 or server.vm_state == "stopped":
            break
    server = cloud.settled(server_id)
    wanted = PowerState.RUNNING if resume else PowerState.SHUTDOWN
    assert server.vm_state == ("active" if resume else "stopped")
    assert cloud.hypervisor.guests[server_id].power is wanted


def test_a_boot_of_the_host_whose_hypervisor_comes_late(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.conf.set_override("resume_guests_state_on_host_boot", True, group="compute")
    cloud.kill(agent)
    cloud.hypervisor.guests[server_id].power = PowerState.SHUTDOWN
    (cloud.directory / "boot-id-h1").write_text("another\n")
    cloud.hypervisor.fail = broken("observe")
    reborn = cloud.agent()
    wait_until(lambda: cloud.server(server_id).power_state == PowerState.NOSTATE)
    cloud.hypervisor.fail = broken("nothing")
    reconcile(reborn)
    assert cloud.settled(server_id).vm_state == "active"
    assert cloud.hypervisor.guests[server_id].power is PowerState.RUNNING


def test_running_guests_are_taken_up_again(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.kill(agent)
    calls: list[str] = []
    cloud.hypervisor.fail = calls.append
    cloud.agent()
    for _ in range(500):
        if "recover" in calls:
            break
        cloud.settled(server_id)
    assert "recover" in calls
    assert "spawn" not in calls


def test_a_guest_is_taken_up_when_what_was_under_way_has_ended(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.kill(agent)
    calls: list[str] = []
    cloud.ask(server_id, "pause")
    cloud.hypervisor.fail = calls.append
    cloud.agent()
    wait_until(lambda: "recover" in calls)
    assert calls.index("pause") < calls.index("recover")
    assert cloud.settled(server_id).vm_state == "paused"


def test_a_guest_whose_power_was_unknown_is_taken_up_too(cloud: Cloud, agent: Agent, server_id: str) -> None:
    cloud.kill(agent)
    calls: list[str] = []
    cloud.store.transact(lambda session: session.execute(update(Server).values(power_state=0)))
    cloud.hypervisor.fail = calls.append
    cloud.agent()
    wait_until(lambda: "recover" in calls)
    assert cloud.settled(server_id).power_state == PowerState.RUNNING

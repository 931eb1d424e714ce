"""A guest that changes by itself is looked at when the driver tells of it, not at the next comparison."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from compute_cloud import ADMIN, ask
from one_host import rest
from sqlalchemy import event, update
from whole_cloud import WholeCloud

from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Server
from nova_lite.virt.abilities import Change, TellsChanges
from nova_lite.virt.driver import Observed


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    options = {"compute.reconcile_interval": 3600, "compute.poll_interval": 2.0, "compute.restart_delay": 0.3}
    made = WholeCloud(tmp_path, **options)
    made.scheduler()
    yield made
    made.close()


@pytest.fixture
def agent(cloud: WholeCloud) -> Agent:
    return cloud.agent()


def calls(cloud: WholeCloud, action: str) -> int:
    return sum(1 for name, _ in cloud.driver.calls if name == action)


def quiet(agent: Agent) -> None:
    """Wait until the agent has let go of every server and looked at whatever was told."""
    rest(agent)
    quiet_watch(agent)


def quiet_watch(agent: Agent) -> None:
    """Wait until the agent has looked at whatever was told."""
    while agent._guest_watch._told:
        time.sleep(0.01)
    time.sleep(0.2)


@pytest.mark.parametrize(
    ("ends", "vm_state", "power"),
    [
        ("power_off", "stopped", PowerState.SHUTDOWN),
        ("crash", "stopped", PowerState.CRASHED),
        ("lose", "error", PowerState.NOSTATE),
    ],
)
def test_a_guest_that_ends_is_shown_at_once(
    cloud: WholeCloud, agent: Agent, ends: str, vm_state: str, power: PowerState
) -> None:
    server_id = cloud.boot()
    quiet(agent)
    getattr(cloud.driver, ends)(server_id)
    cloud.until(lambda: cloud.server(server_id).vm_state == vm_state)
    assert cloud.server(server_id).power_state == power
    assert calls(cloud, "observe") == 1, "the whole host was looked at"


def test_what_happens_behind_our_back_is_shown(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    cloud.driver._set(server_id, power=PowerState.RUNNING)
    cloud.until(lambda: cloud.server(server_id).vm_state == "active")


def test_what_happens_just_before_a_server_is_let_go_of_is_shown(
    cloud: WholeCloud, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the operation's end has looked."""
    server_id = cloud.boot()
    quiet(agent)
    let_go = agent._let_go

    def letting_go(server_id: str, action: str | None = None) -> None:
        cloud.driver._set(server_id, power=PowerState.RUNNING)
        let_go(server_id, action)

    monkeypatch.setattr(agent, "_let_go", letting_go)
    cloud.act(server_id, {"os-stop": None})
    cloud.until(lambda: [row.state for row in cloud.operations(server_id)] == ["done", "done"])
    cloud.until(lambda: cloud.server(server_id).vm_state == "active")


def test_a_restart_is_begun_when_it_is_due(cloud: WholeCloud, agent: Agent) -> None:
    cloud.conf.set_override("poll_interval", 3600.0, "compute")
    server_id = cloud.boot(metadata={"nova_lite:restart": "always"})
    quiet(agent)
    cloud.driver.power_off(server_id)
    began = time.monotonic()
    cloud.until(lambda: len(cloud.operations(server_id)) == 2)
    assert cloud.settled(server_id).vm_state == "active"
    # 0.3 s of delay; the queue is looked at every hour.
    assert time.monotonic() - began >= 0.3


def test_a_guest_that_ends_while_it_is_worked_on_is_shown(cloud: WholeCloud, tmp_path: Path) -> None:
    dies: list[str] = []

    def hook(work: object, step: str) -> None:
        if step == "finish" and dies:
            cloud.driver._tell(dies[0], PowerState.RUNNING)
            cloud.driver.power_off(dies.pop())

    agent = cloud.agent(hook=hook)
    server_id = cloud.boot()
    quiet(agent)
    dies.append(server_id)
    cloud.do(server_id, {"reboot": {"type": "HARD"}})
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")


def test_what_we_do_ourselves_is_not_looked_at_again(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    for body in (
        {"pause": None},
        {"unpause": None},
        {"suspend": None},
        {"resume": None},
        {"reboot": {"type": "HARD"}},
        {"os-stop": None},
        {"os-start": None},
        {"rescue": None},
        {"unrescue": None},
        {"rebuild": {"imageRef": cloud.show(server_id)["image"]["id"]}},
        {"shelve": None},
        {"unshelve": None},
    ):
        cloud.do(server_id, body, status=200 if "rescue" in body else 202)
        quiet(agent)
    # Each operation asks how the guest is at its end; nobody else asks.
    assert calls(cloud, "power") <= len(cloud.operations(server_id))
    looks: list[object] = []
    agent._reconciler.look = looks.append  # type: ignore[method-assign, assignment]
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    quiet(agent)
    assert looks == []


def test_an_operation_that_waits_is_not_disturbed(cloud: WholeCloud, agent: Agent) -> None:
    """The guest dies while its server is asked to do something: that operation finds out."""
    server_id = cloud.boot()
    quiet(agent)
    with cloud.holding("pause") as reached:
        cloud.act(server_id, {"pause": None})
        assert reached.wait(60)
        cloud.driver.power_off(server_id)
        quiet_watch(agent)
    assert cloud.settled(server_id).vm_state in ("active", "stopped")
    assert cloud.operations(server_id)[-1].state == "failed"
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")


@pytest.mark.parametrize("ends", ["power_off", "lose"])
def test_a_change_that_meets_another_of_its_server_is_shown_all_the_same(
    cloud: WholeCloud, agent: Agent, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """An admin resets its state between the look and what the look leads to."""
    server_id = cloud.boot()
    quiet(agent)
    observe = agent._reconciler._observe_one
    reset = threading.Event()

    def observing(server_id: str) -> Observed:
        if not reset.is_set():
            reset.set()
            cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
        return observe(server_id)

    monkeypatch.setattr(agent._reconciler, "_observe_one", observing)
    getattr(cloud.driver, ends)(server_id)
    cloud.until(lambda: cloud.server(server_id).vm_state == ("stopped" if ends == "power_off" else "error"))


def test_a_change_that_meets_a_comparison_is_shown_when_that_has_let_go(
    cloud: WholeCloud, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = cloud.boot()
    quiet(agent)
    look = agent._reconciler.look
    looked = threading.Event()

    def looking(told: Mapping[str, PowerState | None]) -> list[str]:
        left = look(told)
        looked.set()
        return left

    monkeypatch.setattr(agent._reconciler, "look", looking)
    monkeypatch.setattr(agent._guest_watch, "_is_held", lambda _server_id: False)  # it is held a moment after
    assert agent._try_hold(server_id)
    cloud.driver.power_off(server_id)
    assert looked.wait(60)
    quiet_watch(agent)
    assert cloud.server(server_id).vm_state == "active"
    agent._let_go(server_id)
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")


def test_a_change_is_not_forgotten_whose_server_is_let_go_of_amid_the_look(
    cloud: WholeCloud, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = cloud.boot()
    quiet(agent)
    look = agent._reconciler.look
    met: list[str] = []

    def looking(told: Mapping[str, PowerState | None]) -> list[str]:
        if met:
            return look(told)
        assert agent._try_hold(server_id)
        met.extend(look(told))
        agent._let_go(server_id)
        return met

    monkeypatch.setattr(agent._reconciler, "look", looking)
    cloud.driver.power_off(server_id)
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")
    assert met == [server_id]


def test_what_may_have_been_missed_is_compared(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    quiet(agent)
    cloud.driver._db.execute("UPDATE guests SET power = ?", (int(PowerState.SHUTDOWN),))
    agent._guest_watch.tell(Change(None, None))
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")


def test_a_hint_is_no_more_than_a_hint(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    quiet(agent)
    for power in (PowerState.SHUTDOWN, None, PowerState.CRASHED):
        agent._guest_watch.tell(Change(server_id, power))
        quiet(agent)
        assert cloud.server(server_id).vm_state == "active"
    cloud.driver.faults.unreachable = True
    agent._guest_watch.tell(Change(server_id, None))
    quiet(agent)
    assert (cloud.server(server_id).vm_state, cloud.server(server_id).power_state) == ("active", PowerState.RUNNING)
    cloud.driver.faults.unreachable = False
    cloud.store.transact(lambda session: session.execute(update(Server).values(host="host2")))
    cloud.driver.power_off(server_id)
    quiet(agent)
    assert cloud.server(server_id).vm_state == "active", "another host's server was touched"


def test_a_storm_costs_little(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    quiet(agent)
    statements: list[str] = []

    def count(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "servers.id IN" in statement:
            statements.append(statement)

    event.listen(cloud.store.engine, "before_cursor_execute", count)
    looking, go_on = threading.Event(), threading.Event()
    look = agent._reconciler.look

    def slowly(told: Mapping[str, PowerState | None]) -> list[str]:
        looking.set()
        assert go_on.wait(60)
        return look(told)

    agent._reconciler.look = slowly  # type: ignore[method-assign]
    before, used = calls(cloud, "power"), time.thread_time()
    agent._guest_watch.tell(Change(server_id, PowerState.SHUTDOWN))
    assert looking.wait(60)
    for number in range(500):
        agent._guest_watch.tell(Change(server_id, PowerState.SHUTDOWN))
        agent._guest_watch.tell(Change(f"00000000-0000-4000-8000-{number:012}", PowerState.SHUTDOWN))
    assert time.thread_time() - used < 0.3, "the driver is not kept waiting"
    go_on.set()
    quiet(agent)
    event.remove(cloud.store.engine, "before_cursor_execute", count)
    assert len(statements) <= 4
    assert calls(cloud, "power") - before <= 4
    cloud.driver.power_off(server_id)
    cloud.until(lambda: cloud.server(server_id).vm_state == "stopped")


def test_an_action_waits_for_a_hypervisor_that_is_away(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.unreachable = True
    cloud.act(server_id, {"os-stop": None})
    cloud.until(lambda: cloud.server(server_id).power_state == PowerState.NOSTATE)
    assert cloud.server(server_id).vm_state == "active"
    cloud.driver.faults.unreachable = False
    assert cloud.settled(server_id).vm_state == "stopped"


def test_an_agent_that_was_stopped_hears_nothing(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    quiet(agent)
    assert isinstance(cloud.driver, TellsChanges)
    cloud.kill(agent)
    cloud.driver.power_off(server_id)
    told: Callable[[Change], None] = agent._guest_watch.tell
    assert told not in cloud.driver._watchers
    assert not agent._guest_watch._told

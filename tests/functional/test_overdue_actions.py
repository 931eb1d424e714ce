"""What an action had begun on its host is undone there by itself, though its deadline has ended it or its undoing has failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, ask, boot
from one_host import reconcile
from sqlalchemy import select, update
from whole_cloud import WholeCloud

from nova_lite.agent import service
from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import PowerState
from nova_lite.db import held_operations, operations
from nova_lite.db.models import Allocation, Host, Operation, Server
from nova_lite.db.types import epoch
from nova_lite.virt.driver import DriverError
from nova_lite.virt.fake import FakeDriver


class SlowDriver(FakeDriver):
    """A fake driver with calls that hang until their gate is opened, or that fail when they are done; ``refused`` fails before."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gates: dict[str, threading.Event] = {}
        self.done_but_failed: set[str] = set()
        self.refused: set[str] = set()

    @contextmanager
    def _action(self, action: str, server_id: str = "") -> Iterator[None]:
        if action in self.gates:
            self.gates[action].wait(60)
        if action in self.refused:
            raise DriverError(f"{action} can't be done now")
        with super()._action(action, server_id):
            yield
        if action in self.done_but_failed:
            raise DriverError("the answer was lost")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeCloud]:
    monkeypatch.setattr(operations, "LEASE_S", 3.0)
    monkeypatch.setattr(held_operations, "LEASE_S", 3.0)
    monkeypatch.setattr(operations, "OVERTIME_S", 0.5)
    monkeypatch.setattr(service, "RENEW_S", 0.3)
    monkeypatch.setattr(service, "COLLISION_S", 0.1)
    options: dict[str, Any] = {
        "compute.shelved_offload_time": -1,
        "compute.resize_confirm_window": -1,
        "compute.reclaim_instance_interval": 3600,
        "compute.reconcile_interval": 3600,
        "compute.poll_interval": 0.1,
        "compute.max_attempts": 1,
        "scheduler.sweep_interval": 0.1,
    }
    made = WholeCloud(tmp_path, **options)
    made.driver = SlowDriver(capacity=made.driver.capacity)
    made.scheduler()
    yield made
    for gate in driver(made).gates.values():
        gate.set()
    made.close()


@pytest.fixture
def agent(cloud: WholeCloud) -> Agent:
    return cloud.agent()


def driver(cloud: WholeCloud) -> SlowDriver:
    assert isinstance(cloud.driver, SlowDriver)
    return cloud.driver


def overdue(cloud: WholeCloud, action: str) -> None:
    late = update(Operation).where(Operation.action == action).values(deadline=epoch() - 1)
    cloud.store.transact(lambda session: session.execute(late))


def hang(cloud: WholeCloud, call: str, server_id: str, body: Any) -> Server:
    """Ask for an action whose driver call hangs, let its deadline pass, and return the server as it then stands."""
    driver(cloud).gates[call] = threading.Event()
    cloud.act(server_id, body)
    cloud.until(lambda: cloud.operations(server_id)[-1].step is not None)
    action = cloud.operations(server_id)[-1].action
    overdue(cloud, action)
    server = ended(cloud, server_id)
    assert server.fault is not None and "not done in time" in server.fault["message"]
    assert cloud.operations(server_id)[-1].action == "undo"
    return server


def ended(cloud: WholeCloud, server_id: str) -> Server:
    """Wait until nothing is being done to a server as its user sees it; return its row."""
    cloud.until(lambda: cloud.server(server_id).task_state is None)
    return cloud.server(server_id)


def come_back(cloud: WholeCloud, call: str) -> None:
    """Let a hanging call go on, and wait until everything is done."""
    driver(cloud).gates.pop(call).set()
    cloud.quiet()


def power(cloud: WholeCloud, server_id: str) -> PowerState:
    return PowerState(cloud.guest(server_id)["power"])


def claims(cloud: WholeCloud) -> set[str]:
    with cloud.store.read() as session:
        return set(session.scalars(select(Allocation.server_id)))


def test_a_resize_that_ends_after_its_time_is_taken_back(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    before = tuple(cloud.guest(server_id))[6:9]
    server = hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    assert server.vm_state == "active"
    come_back(cloud, "resize")
    assert tuple(cloud.guest(server_id))[6:9] == before
    assert (cloud.server(server_id).vm_state, power(cloud, server_id)) == ("active", PowerState.RUNNING)
    shown = ask(cloud, "GET", f"/servers/{server_id}/os-instance-actions").json["instanceActions"]
    assert [row["action"] for row in shown] == ["undo", "resize", "create"]
    assert len({row["request_id"] for row in shown}) == 3


def test_what_was_asked_for_meanwhile_waits_for_the_undoing(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    cloud.act(server_id, {"os-stop": None})
    come_back(cloud, "resize")
    assert cloud.server(server_id).vm_state == "stopped"
    assert [row.action for row in cloud.operations(server_id)] == ["create", "resize", "undo", "stop"]
    assert power(cloud, server_id) is PowerState.SHUTDOWN


def test_a_rescue_that_was_done_after_its_agent_s_death_is_taken_back(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    driver(cloud).gates["rescue"] = threading.Event()
    cloud.act(server_id, {"rescue": {}}, status=200)
    cloud.until(lambda: cloud.operations(server_id)[-1].step == "rescue")
    cloud.kill(agent)
    overdue(cloud, "rescue")
    assert ended(cloud, server_id).vm_state == "active"
    driver(cloud).gates.pop("rescue").set()
    cloud.until(lambda: driver(cloud)._extra(server_id, "rescue") is not None)
    cloud.agent()
    cloud.quiet()
    assert driver(cloud)._extra(server_id, "rescue") is None
    assert (cloud.server(server_id).vm_state, power(cloud, server_id)) == ("active", PowerState.RUNNING)


def test_a_guest_that_was_stopped_to_be_shelved_runs_again(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    assert hang(cloud, "snapshot", server_id, {"shelve": None}).vm_state == "active"
    cloud.until(lambda: power(cloud, server_id) is PowerState.SHUTDOWN)
    come_back(cloud, "snapshot")
    assert (cloud.server(server_id).vm_state, power(cloud, server_id)) == ("active", PowerState.RUNNING)


def test_an_undoing_that_fails_says_so(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    driver(cloud).refused.add("revert_resize")
    come_back(cloud, "resize")
    server = cloud.server(server_id)
    assert server.vm_state == "error" and server.fault is not None
    assert "could not be undone" in server.fault["message"]


def test_an_undoing_waits_for_a_host_that_is_down(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    cloud.kill(agent)
    down = update(Host).values(forced_down=True)
    cloud.store.transact(lambda session: session.execute(down))
    overdue(cloud, "undo")
    cloud.until(lambda: cloud.operations(server_id)[-1].deadline > epoch())
    driver(cloud).gates.pop("resize").set()
    cloud.until(lambda: cloud.guest(server_id)["vcpus"] == 2)
    cloud.store.transact(lambda session: session.execute(update(Host).values(forced_down=False)))
    cloud.agent()
    cloud.quiet()
    assert (cloud.server(server_id).vm_state, cloud.guest(server_id)["vcpus"]) == ("active", 1)


def test_an_undoing_that_hangs_ends_in_error(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    overdue(cloud, "undo")
    cloud.quiet()
    assert cloud.server(server_id).vm_state == "error"


def test_a_delete_does_not_wait_for_an_undoing(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    hang(cloud, "resize", server_id, {"resize": {"flavorRef": "2"}})
    assert ask(cloud, "POST", f"/servers/{server_id}/action", {"forceDelete": None}).status_int == 202
    come_back(cloud, "resize")
    assert cloud.server(server_id).deleted
    assert cloud.operations(server_id)[-2].state == "cancelled"
    assert not cloud.driver.observe() and not claims(cloud)


def test_an_interface_that_came_after_its_time_is_taken_off_again(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    devices = str(cloud.guest(server_id)["nics"]).split()
    driver(cloud).gates["attach_nic"] = threading.Event()
    reply = ask(cloud, "POST", f"/servers/{server_id}/os-interface", {"interfaceAttachment": {}})
    assert reply.status_int == 200, reply.text
    cloud.until(lambda: cloud.operations(server_id)[-1].step == "attach")
    overdue(cloud, "attach_interface")
    cloud.until(lambda: cloud.operations(server_id)[-1].action == "detach_interface")
    come_back(cloud, "attach_nic")
    assert str(cloud.guest(server_id)["nics"]).split() == devices
    shown = ask(cloud, "GET", f"/servers/{server_id}/os-interface").json["interfaceAttachments"]
    assert len(shown) == len(devices)


def test_a_creation_that_ends_after_its_time_leaves_nothing(cloud: WholeCloud, agent: Agent) -> None:
    driver(cloud).gates["spawn"] = threading.Event()
    server_id = boot(cloud).json["server"]["id"]
    cloud.until(lambda: bool(cloud.operations(server_id)) and cloud.operations(server_id)[-1].step == "spawn")
    overdue(cloud, "create")
    server = cloud.settled(server_id)
    assert (server.vm_state, claims(cloud)) == ("error", {server_id})  # its room is held while nobody knows
    driver(cloud).gates.pop("spawn").set()
    cloud.until(lambda: bool(cloud.driver.observe()))
    reconcile(agent)
    assert not cloud.driver.observe() and not cloud.networks.devices
    assert (claims(cloud), cloud.used()) == (set(), (0, 0, 0))
    assert cloud.server(server_id).vm_state == "error"


def test_a_creation_that_could_not_be_undone_is_removed_later(cloud: WholeCloud, agent: Agent) -> None:
    driver(cloud).done_but_failed.add("spawn")
    driver(cloud).refused.add("destroy")
    server_id = boot(cloud).json["server"]["id"]
    assert cloud.settled(server_id).vm_state == "error"
    reconcile(agent)
    assert power(cloud, server_id) is PowerState.RUNNING and claims(cloud) == {server_id}
    driver(cloud).refused.clear()
    reconcile(agent)
    assert not cloud.driver.observe() and not claims(cloud)
    reconcile(agent)  # and that is all that there is to do
    driver(cloud).done_but_failed.clear()
    assert cloud.do(server_id, {"rebuild": {"imageRef": cloud.server(server_id).image_id}}).vm_state == "active"


@pytest.mark.parametrize("kept", ["shelved", "soft-delete"])
@pytest.mark.parametrize("undone", ["at once", "later"])
def test_a_guest_whose_server_stays_put_away_is_stopped(
    cloud: WholeCloud, agent: Agent, kept: str, undone: str
) -> None:
    server_id = cloud.boot()
    if kept == "shelved":
        assert cloud.do(server_id, {"shelve": None}).vm_state == kept
    else:
        assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
        assert cloud.settled(server_id).vm_state == kept
    driver(cloud).done_but_failed.add("start")
    if undone == "later":
        driver(cloud).refused.add("stop")
    back = {"unshelve": None} if kept == "shelved" else {"restore": None}
    server = cloud.do(server_id, back, token=ADMIN)
    assert server.vm_state == kept and server.fault is not None and server.fault["message"] == "the answer was lost"
    if undone == "later":
        assert power(cloud, server_id) is PowerState.RUNNING
        reconcile(agent)
        cloud.quiet()
        assert power(cloud, server_id) is PowerState.RUNNING  # it can't be stopped yet
        driver(cloud).refused.clear()
        reconcile(agent)
        cloud.quiet()
    assert power(cloud, server_id) is PowerState.SHUTDOWN
    assert cloud.server(server_id).power_state == PowerState.SHUTDOWN
    driver(cloud).done_but_failed.clear()
    assert cloud.do(server_id, back, token=ADMIN).vm_state == "active"
    reconcile(agent)
    assert power(cloud, server_id) is PowerState.RUNNING


def test_a_guest_that_somebody_starts_though_its_server_is_put_away_is_stopped_at_once(
    cloud: WholeCloud, agent: Agent
) -> None:
    server_id = cloud.boot()
    assert cloud.do(server_id, {"shelve": None}).vm_state == "shelved"
    cloud.driver._set(server_id, power=PowerState.RUNNING)  # the hypervisor tells of it
    cloud.until(lambda: power(cloud, server_id) is PowerState.SHUTDOWN)
    assert cloud.server(server_id).vm_state == "shelved"

"""What an unshelve or a delete leaves on a host that is the server's no more: remembered, and removed, whenever that can be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, ask
from one_host import reconcile
from sqlalchemy import select, update
from whole_cloud import WholeCloud

from nova_lite.agent import service
from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import PowerState
from nova_lite.db import operations
from nova_lite.db.models import Allocation, Host, LeftOver, Operation
from nova_lite.db.types import epoch
from nova_lite.virt.driver import DriverError, DriverTimeout, GuestSpec
from nova_lite.virt.fake import FakeDriver


class StubbornDriver(FakeDriver):
    """A fake driver whose calls fail as a test says: ``refusals`` of destroy that are left, ``answers`` of spawn after its work."""

    refusals = 0
    answers: type[DriverError] | None = None
    hangs: threading.Event | None = None

    def spawn(self, spec: GuestSpec) -> None:
        if self.hangs is not None:
            self.hangs.wait(60)
        super().spawn(spec)
        if self.answers is not None:
            raise self.answers("the answer was lost")

    def destroy(self, server_id: str) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise DriverError("it can't be ended now")
        super().destroy(server_id)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    options: dict[str, Any] = {
        "compute.shelved_offload_time": -1,
        "compute.reconcile_interval": 3600,
        "compute.max_attempts": 1,
        "scheduler.sweep_interval": 0.2,
    }
    made = WholeCloud(tmp_path, **options)
    made.driver = StubbornDriver(capacity=made.driver.capacity)
    made.scheduler()
    yield made
    made.close()


@pytest.fixture
def agent(cloud: WholeCloud) -> Agent:
    return cloud.agent()


def offloaded(cloud: WholeCloud) -> str:
    server_id = cloud.boot()
    cloud.do(server_id, {"shelve": None})
    assert cloud.do(server_id, {"shelveOffload": None}, token=ADMIN).vm_state == "shelved_offloaded"
    return server_id


def disturb(cloud: WholeCloud, **how: Any) -> None:
    for name, value in how.items():
        setattr(cloud.driver, name, value)


def left(cloud: WholeCloud) -> list[tuple[str, str]]:
    with cloud.store.read() as session:
        return [(row.host, row.server_id) for row in session.scalars(select(LeftOver))]


def claims(cloud: WholeCloud) -> set[str]:
    with cloud.store.read() as session:
        return set(session.scalars(select(Allocation.server_id)))


def guests(cloud: WholeCloud) -> set[str | None]:
    return {guest.server_id for guest in cloud.driver.observe()}


def test_what_a_failed_unshelve_could_not_undo_goes_later(cloud: WholeCloud, agent: Agent) -> None:
    server_id = offloaded(cloud)
    disturb(cloud, answers=DriverError, refusals=2)
    server = cloud.do(server_id, {"unshelve": None})
    assert (server.vm_state, server.host) == ("shelved_offloaded", None)
    assert server.fault is not None and server.fault["message"] == "the answer was lost"
    assert guests(cloud) == {server_id} and cloud.networks.devices
    reconcile(agent)  # it does not go yet
    assert guests(cloud) == {server_id} and left(cloud) == [("host1", server_id)]
    reconcile(agent)
    assert guests(cloud) == set() and not cloud.networks.devices
    assert (left(cloud), cloud.used()) == ([], (0, 0, 0))
    disturb(cloud, answers=None)
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "active"
    reconcile(agent)
    assert guests(cloud) == {server_id}


def test_an_unshelve_does_not_take_what_is_left_over_for_its_own(cloud: WholeCloud, agent: Agent) -> None:
    server_id = offloaded(cloud)
    disturb(cloud, answers=DriverError, refusals=1)
    cloud.do(server_id, {"unshelve": None})
    cloud.driver.power_off(server_id)  # what runs later is another guest, then
    disturb(cloud, answers=None)
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "active"
    assert cloud.driver.console(server_id, 1 << 16).count(b": started,") == 1
    assert left(cloud) == []
    reconcile(agent)
    assert cloud.guest(server_id)["power"] == PowerState.RUNNING


def test_an_unshelve_that_was_given_up_is_looked_for_again(cloud: WholeCloud, agent: Agent) -> None:
    server_id = offloaded(cloud)
    disturb(cloud, answers=DriverTimeout)
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "shelved_offloaded"
    assert guests(cloud) == set() and left(cloud) == [("host1", server_id)]
    reconcile(agent)
    assert left(cloud) == []


def test_an_unshelve_that_ends_after_its_time_leaves_nothing(
    cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LEASE_S", 3.0)
    monkeypatch.setattr(operations, "OVERTIME_S", 0.5)
    monkeypatch.setattr(service, "RENEW_S", 0.3)
    agent, hangs = cloud.agent(), threading.Event()
    server_id = offloaded(cloud)
    disturb(cloud, hangs=hangs)
    try:
        cloud.act(server_id, {"unshelve": None})
        cloud.until(lambda: cloud.operations(server_id)[-1].step == "spawn")
        overdue = update(Operation).where(Operation.action == "unshelve").values(deadline=epoch() + 0.5)
        cloud.store.transact(lambda session: session.execute(overdue))
        server = cloud.settled(server_id)
        assert (server.vm_state, server.host, claims(cloud)) == ("shelved_offloaded", None, set())
        agent.reconcile()
        assert left(cloud) == [("host1", server_id)]  # its worker is not back from the hypervisor
    finally:
        hangs.set()
    cloud.until(lambda: guests(cloud) == {server_id})
    reconcile(agent)
    assert (guests(cloud), left(cloud), cloud.networks.devices) == (set(), [], {})


def test_a_delete_that_interrupts_an_unshelve_holds_its_room_until_the_guest_is_gone(
    cloud: WholeCloud, agent: Agent
) -> None:
    server_id, hangs = offloaded(cloud), threading.Event()
    disturb(cloud, hangs=hangs, answers=DriverError, refusals=2)
    cloud.act(server_id, {"unshelve": None})
    cloud.until(lambda: cloud.operations(server_id)[-1].step == "spawn")
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    hangs.set()
    server = cloud.settled(server_id)
    assert (server.vm_state, server.host, claims(cloud)) == ("error", "host1", {server_id})
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert (guests(cloud), claims(cloud)) == (set(), set())


def test_a_delete_that_did_not_wait_for_its_host_is_done_there_later(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    cloud.kill(agent)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204

    def give_up(session: Any) -> None:
        session.execute(update(Operation).where(Operation.action == "delete").values(deadline=epoch()))
        session.execute(update(Host).values(forced_down=True))

    cloud.store.transact(give_up)
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert left(cloud) == [("host1", server_id)] and guests(cloud) == {server_id}
    cloud.driver.refusals = 1  # type: ignore[attr-defined]
    cloud.conf.set_override("reconcile_interval", 1.0, group="compute")
    cloud.agent()
    cloud.until(lambda: not left(cloud))
    assert guests(cloud) == set() and not cloud.networks.devices


def test_a_pause_that_was_done_though_it_failed_can_be_taken_back(cloud: WholeCloud, agent: Agent) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["pause"] = ["the answer was lost"]
    cloud.driver.faults.after = True
    assert cloud.do(server_id, {"pause": None}).vm_state == "active"
    reconcile(agent)
    server = cloud.server(server_id)
    assert (server.vm_state, server.power_state) == ("paused", PowerState.PAUSED)
    assert cloud.do(server_id, {"unpause": None}).vm_state == "active"

"""The scheduler with real rows: refusals, lost races, the sweeper."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from one_host import Cloud
from sqlalchemy import select, update

from nova_lite.compute import lifecycle
from nova_lite.db import operations
from nova_lite.db.models import Allocation, Host, Operation
from nova_lite.db.types import epoch, new_id
from nova_lite.errors import Unavailable
from nova_lite.scheduler import sweep
from nova_lite.scheduler.service import Scheduler


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path, with_bus=False)
    yield made
    made.close()


def add_host(cloud: Cloud, name: str, **values: Any) -> None:
    row: dict[str, Any] = {
        "name": name,
        "uuid": new_id(),
        "vcpus": 4,
        "vcpus_ratio": 1.0,
        "memory_mb": 1024,
        "disk_gb": 10,
        "kinds": ["vm", "unikernel", "container"],
        "last_seen": epoch(),
    }
    cloud.store.transact(lambda session: session.add(Host(**(row | values))))


def test_no_host_at_all(cloud: Cloud) -> None:
    cloud.scheduler()
    server = cloud.settled(cloud.create())
    assert server.vm_state == "error"
    assert server.fault is not None
    assert server.fault["code"] == 500
    assert server.fault["message"] == "No valid host was found. There is no compute host."


def test_the_fault_says_how_many_hosts_each_filter_removed(cloud: Cloud) -> None:
    add_host(cloud, "down", last_seen=0.0)
    add_host(cloud, "forced", forced_down=True)
    add_host(cloud, "off", enabled=False)
    add_host(cloud, "vms", kinds=["vm"])
    add_host(cloud, "far", availability_zone="far")
    add_host(cloud, "full", used_memory_mb=1000)
    cloud.scheduler()
    server = cloud.settled(cloud.create(kind="container", availability_zone="nova"))
    assert server.fault is not None
    assert server.fault["message"] == (
        "No valid host was found. 0 of 6 hosts: 1 disabled, 2 down, 1 without kind container, "
        "1 outside availability zone nova, 1 without 64 MiB of free memory."
    )


def test_a_host_that_was_asked_for(cloud: Cloud) -> None:
    for name in ("a", "b", "c"):
        add_host(cloud, name)
    cloud.scheduler()
    server_id = cloud.create(availability_zone="nova:b")
    while cloud.server(server_id).host is None:
        pass
    assert cloud.server(server_id).host == "b"
    (operation,) = cloud.operations(server_id)
    assert (operation.queue, operation.host, operation.state) == ("agent", "b", "pending")


def test_several_schedulers_never_oversubscribe(cloud: Cloud) -> None:
    for name in ("a", "b"):
        add_host(cloud, name)  # room for 4 servers each
    servers = [cloud.create() for _ in range(12)]
    schedulers = [Scheduler(cloud.conf, cloud.store, None, cloud.waker) for _ in range(4)]

    def work(scheduler: Scheduler) -> None:
        while scheduler.place_some():
            pass

    threads = [threading.Thread(target=work, args=(scheduler,)) for scheduler in schedulers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with cloud.store.read() as session:
        claims = session.scalars(select(Allocation)).all()
        hosts = session.scalars(select(Host)).all()
    assert len(claims) == 8
    assert all(host.used_vcpus == 4 and host.running_servers == 4 for host in hosts)
    rows = [cloud.server(server_id) for server_id in servers]
    assert sum(row.host is not None for row in rows) == 8
    assert sum(row.vm_state == "error" for row in rows) == 4
    for row in rows:
        if row.vm_state == "error":
            assert row.fault is not None
            assert "2 without 1 free vCPUs" in row.fault["message"] or "free memory" in row.fault["message"]


def overdue(cloud: Cloud) -> None:
    cloud.store.transact(lambda session: session.execute(update(Operation).values(deadline=epoch() - 1)))


def place(cloud: Cloud) -> str:
    server_id = cloud.create()
    assert Scheduler(cloud.conf, cloud.store, None, cloud.waker).place_some() == 1
    return server_id


def test_a_create_on_a_dead_host_ends_with_a_fault(cloud: Cloud) -> None:
    add_host(cloud, "a")
    server_id = place(cloud)
    cloud.store.transact(lambda session: session.execute(update(Host).values(last_seen=0.0)))
    assert sweep.sweep(cloud.store, "me", 30) == 0, "not before its deadline"
    overdue(cloud)
    assert sweep.sweep(cloud.store, "me", 30) == 1
    assert sweep.sweep(cloud.store, "me", 30) == 0
    server = cloud.settled(server_id)
    assert server.vm_state == "error"
    assert server.fault is not None
    assert server.fault["message"] == "The create was not done in time: host a is down."


def test_a_delete_on_a_dead_host_ends_well_and_gives_the_room_back(cloud: Cloud) -> None:
    add_host(cloud, "a")
    server_id = place(cloud)
    cloud.ask(server_id, "delete")
    cloud.store.transact(lambda session: session.execute(update(Host).values(last_seen=0.0)))
    overdue(cloud)
    sweep.sweep(cloud.store, "me", 30)
    assert cloud.server(server_id).deleted
    with cloud.store.read() as session:
        host = session.get_one(Host, "a")
        assert (host.used_vcpus, host.used_memory_mb, host.running_servers) == (0, 0, 0)


def test_a_delete_that_its_living_host_does_not_do_ends_with_a_fault(cloud: Cloud) -> None:
    add_host(cloud, "a")
    server_id = place(cloud)
    cloud.ask(server_id, "delete")
    overdue(cloud)
    sweep.sweep(cloud.store, "me", 30)
    server = cloud.settled(server_id)
    assert (server.vm_state, server.deleted) == ("error", False)


def test_an_operation_that_can_not_be_ended_keeps_no_other_from_its_end(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [cloud.create() for _ in range(3)]
    overdue(cloud)
    fail = lifecycle.fail

    def failing(session: Any, work: Any, *arguments: Any, **options: Any) -> None:
        if work.target_id == servers[0]:
            raise ValueError("on purpose")
        fail(session, work, *arguments, **options)

    monkeypatch.setattr(lifecycle, "fail", failing)
    assert sweep.sweep(cloud.store, "me", 30) == 2
    assert [cloud.server(server_id).vm_state for server_id in servers] == ["building", "error", "error"]


def test_operations_that_can_not_be_ended_take_no_other_s_turn(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [cloud.create() for _ in range(4)]
    overdue(cloud)
    fail = lifecycle.fail

    def failing(session: Any, work: Any, *arguments: Any, **options: Any) -> None:
        if work.target_id == servers[0]:
            raise ValueError("on purpose")
        if work.target_id == servers[1]:
            raise Unavailable("it seems so each time")  # which ends the round
        fail(session, work, *arguments, **options)

    monkeypatch.setattr(lifecycle, "fail", failing)
    monkeypatch.setattr(sweep, "MOST", 2)
    turns = operations.overdue_turns()
    with pytest.raises(Unavailable):
        sweep.sweep(cloud.store, "me", 30, turns)
    assert sweep.sweep(cloud.store, "me", 30, turns) == 2
    assert [cloud.server(server_id).vm_state for server_id in servers] == ["building", "building", "error", "error"]


def test_sweepers_side_by_side_end_each_operation_once(cloud: Cloud) -> None:
    add_host(cloud, "a", vcpus=100, memory_mb=100_000)
    for _ in range(20):
        cloud.create()
    overdue(cloud)
    ended: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: ended.append(sweep.sweep(cloud.store, f"me{number}", 30)))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(ended) == 20

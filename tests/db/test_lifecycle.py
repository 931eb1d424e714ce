"""A server's states and its operations change together or not at all, on each database for real."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rows import CALLER, add_host, add_server
from sqlalchemy import select

from nova_lite.compute import claims, lifecycle
from nova_lite.db import operations
from nova_lite.db.models import Allocation, FixedIp, Host, Network, Operation, Port, Server, Subnet
from nova_lite.db.operations import Work
from nova_lite.db.store import Store
from nova_lite.db.types import new_id
from nova_lite.errors import Conflict, NotFound, StaleState


def _server(store: Store, identifier: str) -> Server:
    with store.read() as session:
        return session.get_one(Server, identifier)


def _begin(store: Store, identifier: str, action: str) -> Operation | None:
    def begin(session: Any) -> Operation | None:
        return lifecycle.begin(session, CALLER, session.get_one(Server, identifier), action)

    return store.transact(begin)


def _take(store: Store) -> Work:
    (work,) = operations.take(store, "agent", "me", host="h1")
    return work


def test_begin_complete(store: Store) -> None:
    identifier = add_server(store)
    _begin(store, identifier, "stop")
    assert (_server(store, identifier).vm_state, _server(store, identifier).task_state) == ("active", "powering-off")
    work = _take(store)
    store.transact(lambda session: lifecycle.complete(session, work))
    row = _server(store, identifier)
    assert (row.vm_state, row.task_state, row.power_state, row.generation) == ("stopped", None, 4, 2)
    with pytest.raises(StaleState):
        store.transact(lambda session: lifecycle.complete(session, work))


def test_begin_fail_keeps_the_state_and_a_fault(store: Store) -> None:
    identifier = add_server(store)
    _begin(store, identifier, "pause")
    work = _take(store)
    store.transact(lambda session: lifecycle.fail(session, work, "It did not.", details="why"))
    row = _server(store, identifier)
    assert (row.vm_state, row.task_state) == ("active", None)
    assert row.fault is not None
    assert row.fault["message"] == "It did not."
    _begin(store, identifier, "pause")


def test_a_state_that_does_not_allow_it(store: Store) -> None:
    identifier = add_server(store, vm_state="suspended")
    with pytest.raises(Conflict, match="vm_state suspended; it is possible from: ACTIVE"):
        _begin(store, identifier, "pause")
    with store.read() as session:
        assert session.scalars(select(Operation)).all() == []


@pytest.mark.parametrize("actions", [("stop", "stop"), ("stop", "suspend"), ("reboot-hard", "pause")])
def test_two_begins_at_once(store: Store, actions: tuple[str, str]) -> None:
    """Both read the server before either writes; one begins, the other is told, and one operation is left."""
    identifier = add_server(store)
    read = threading.Barrier(2)

    def begin(action: str) -> str:
        with store.read() as session:
            server = session.get_one(Server, identifier)
        read.wait()

        def work(session: Any) -> None:
            lifecycle.begin(session, CALLER, session.merge(server, load=False), action)

        try:
            store.transact(work)
        except Conflict:
            return "conflict"
        return "begun"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(begin, actions)) == ["begun", "conflict"]
    with store.read() as session:
        assert len(session.scalars(select(Operation)).all()) == 1


def test_a_delete_interrupts_and_owns_the_state(store: Store) -> None:
    identifier = add_server(store)
    _begin(store, identifier, "reboot-hard")
    reboot = _take(store)
    _begin(store, identifier, "delete")
    assert operations.note_step(store, reboot, "start") is True
    store.transact(lambda session: lifecycle.cancel(session, reboot))
    assert _server(store, identifier).task_state == "deleting"
    delete = _take(store)
    store.transact(lambda session: lifecycle.complete(session, delete))
    row = _server(store, identifier)
    assert (row.deleted, row.vm_state, row.task_state) == (True, "deleted", None)
    assert row.deleted_at is not None
    with pytest.raises((NotFound, Conflict)):
        _begin(store, identifier, "start")


def test_what_ends_after_a_delete_began_leaves_the_state_alone(store: Store) -> None:
    identifier = add_server(store)
    _begin(store, identifier, "reboot-hard")
    reboot = _take(store)
    _begin(store, identifier, "delete")
    store.transact(lambda session: lifecycle.complete(session, reboot))
    assert _server(store, identifier).task_state == "deleting"


def test_a_delete_gives_everything_back(store: Store) -> None:
    add_host(store)
    identifier = add_server(store)
    network, subnet, ours, theirs = new_id(), new_id(), new_id(), new_id()

    def fill(session: Any) -> None:
        assert claims.claim(session, session.get_one(Server, identifier), "h1")
        session.add(Network(id=network, project_id="project", segmentation_id=1))
        session.flush()
        session.add(Subnet(id=subnet, network_id=network, project_id="project", cidr="10.0.0.0/24"))
        session.flush()
        for number, (port, made) in enumerate(((ours, True), (theirs, False))):
            session.add(
                Port(
                    id=port,
                    network_id=network,
                    project_id="project",
                    mac_address=f"fa:16:3e:00:00:0{number}",
                    device_id=identifier,
                    host="h1",
                    made_by_compute=made,
                )
            )
            session.flush()
            session.add(FixedIp(subnet_id=subnet, address=f"10.0.0.{number + 2}", port_id=port))

    store.transact(fill)
    _begin(store, identifier, "delete")
    work = _take(store)
    store.transact(lambda session: lifecycle.complete(session, work))
    with store.read() as session:
        assert session.get(Port, ours) is None
        kept = session.get_one(Port, theirs)
        assert (kept.device_id, kept.host, kept.status) == ("", None, "DOWN")
        assert [row.port_id for row in session.scalars(select(FixedIp))] == [theirs]
        assert session.get(Allocation, identifier) is None
        host = session.get_one(Host, "h1")
        assert (host.used_vcpus, host.used_memory_mb, host.used_disk_gb, host.running_servers) == (0, 0, 0, 0)


def test_a_delete_before_any_host_needs_no_agent(store: Store) -> None:
    identifier = add_server(store, host=None, vm_state="building", task_state="scheduling")
    assert _begin(store, identifier, "delete") is None
    assert _server(store, identifier).deleted
    with store.read() as session:
        assert [row.state for row in session.scalars(select(Operation))] == ["done"]


def test_deletes_and_a_completion_that_race(store: Store) -> None:
    """Three deletes against the end of a start: it ends deleted, whoever is first, and nothing is left over."""
    for _ in range(4):
        identifier = add_server(store, vm_state="stopped")
        _begin(store, identifier, "start")
        work = _take(store)
        start = threading.Barrier(4)

        def end(work: Work = work, start: threading.Barrier = start) -> None:
            start.wait()
            store.transact(lambda session: lifecycle.complete(session, work))

        def remove(identifier: str = identifier, start: threading.Barrier = start) -> None:
            start.wait()
            _begin(store, identifier, "delete")

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(end), *(pool.submit(remove) for _ in range(3))]:
                future.result()
        assert _server(store, identifier).task_state == "deleting"
        while taken := operations.take(store, "agent", "me", host="h1"):
            for one in taken:
                store.transact(lambda session, one=one: lifecycle.complete(session, one))  # type: ignore[misc]
        assert _server(store, identifier).deleted
        with store.read() as session:
            left = session.scalars(select(Operation).where(Operation.state.in_(operations.UNFINISHED))).all()
        assert left == []

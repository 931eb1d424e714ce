"""Adoption's transaction on each database: claim, quota and row together or none; a failed one can be asked for again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from rows import add_host
from sqlalchemy import func, select, update

from nova_lite import conf as configuration
from nova_lite.compute import adoption, lifecycle
from nova_lite.compute.adoption import Adoption, Stranger
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Allocation, Flavor, Host, Operation, QuotaUsage, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, OverLimit

UUID = "77777777-7777-4777-8777-777777777777"
SEEN = Stranger("old", UUID, "vm", 1, 64, PowerState.RUNNING, True, None, (), ())
WANTED = Adoption("h1", "old", "1", "demo", "demo")
CALLER = Caller("req-1", "demo", "demo")


@pytest.fixture
def conf(tmp_path: Path) -> Any:
    return configuration.load([], {"state_path": str(tmp_path), "quota.instances": 1})


@pytest.fixture
def ready(store: Store) -> Store:
    add_host(store, "h1")
    store.transact(lambda session: session.add(Flavor(flavorid="1", name="tiny", vcpus=1, memory_mb=64, disk_gb=1)))
    return store


def held(store: Store) -> tuple[int, int, int, int]:
    """Return the host's used vCPUs, allocations, operations, and the project's instances."""
    with store.read() as session:
        used = session.scalar(select(Host.used_vcpus).where(Host.name == "h1")) or 0
        claims = session.scalar(select(func.count()).select_from(Allocation)) or 0
        work = session.scalar(select(func.count()).select_from(Operation)) or 0
        return used, claims, work, session.scalar(select(QuotaUsage.instances).where(QuotaUsage.scope == "demo")) or 0


def test_of_many_at_once_one_is_written(ready: Store, conf: Any) -> None:
    answers: list[object] = []

    def one() -> None:
        try:
            answers.append(adoption.adopt(ready, conf, CALLER, WANTED, SEEN))
        except (Conflict, OverLimit) as error:
            answers.append(error)

    threads = [threading.Thread(target=one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(UUID) == 1, answers
    assert len(answers) == 5
    assert held(ready) == (1, 1, 1, 1)


def test_what_does_not_fit_leaves_nothing(ready: Store, conf: Any) -> None:
    ready.transact(lambda session: session.execute(update(Host).values(memory_mb=0)))
    with pytest.raises(Conflict, match="no room"):
        adoption.adopt(ready, conf, CALLER, WANTED, SEEN)
    assert held(ready) == (0, 0, 0, 0)
    with ready.read() as session:
        assert session.get(Server, UUID) is None


@pytest.mark.parametrize("column", ["ephemeral_gb", "swap_mb"])
def test_a_flavor_with_disks_that_it_would_not_have_is_refused(ready: Store, conf: Any, column: str) -> None:
    ready.transact(lambda session: session.execute(update(Flavor).values({column: 1})))
    with pytest.raises(Invalid, match="keeps the disks that it has; name a flavor without"):
        adoption.adopt(ready, conf, CALLER, WANTED, SEEN)
    assert held(ready) == (0, 0, 0, 0)


def test_one_that_failed_is_taken_up_again_and_one_that_lived_is_not(ready: Store, conf: Any) -> None:
    adoption.adopt(ready, conf, CALLER, WANTED, SEEN)
    ready.transact(lambda session: lifecycle.end_deleted(session, UUID))
    assert held(ready) == (0, 0, 1, 0)
    adoption.adopt(ready, conf, CALLER, WANTED, SEEN)
    assert held(ready) == (1, 1, 2, 1)
    with ready.read() as session:
        server = session.get_one(Server, UUID)
    assert (server.deleted, server.deleted_at, server.vm_state, server.task_state) == (
        False,
        None,
        "building",
        "adopting",
    )
    ready.transact(lambda session: session.execute(update(Server).values(launched_at=server.created_at)))
    ready.transact(lambda session: lifecycle.end_deleted(session, UUID))
    with pytest.raises(Conflict, match="was deleted"):
        adoption.adopt(ready, conf, CALLER, WANTED, SEEN)
    assert held(ready) == (0, 0, 2, 0)

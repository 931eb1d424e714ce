"""What is old is forgotten, in small batches and by any number at once; what is not, or is not ended, stays."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest
from rows import add_server, submit
from sqlalchemy import func, select, update

from nova_lite import conf as configuration
from nova_lite.compute import purge
from nova_lite.db.models import Migration, Operation, Server, ServerGroup, ServerGroupMember
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now


def days_ago(days: float) -> datetime.datetime:
    return now() - datetime.timedelta(days=days)


OLD = purge.Limits(days_ago(30), days_ago(30))


def add_deleted(store: Store, days: float) -> str:
    return add_server(store, deleted=True, vm_state="deleted", deleted_at=days_ago(days))


def add_ended(store: Store, server_id: str, days: float, state: str = "done") -> int:
    number = submit(store, server_id)
    values = {"state": state, "finished_at": days_ago(days)}
    store.transact(lambda session: session.execute(update(Operation).where(Operation.id == number).values(values)))
    return number


def servers(store: Store) -> set[str]:
    with store.read() as session:
        return set(session.scalars(select(Server.id)))


def operations(store: Store) -> set[int]:
    with store.read() as session:
        return set(session.scalars(select(Operation.id)))


def test_old_servers_go_with_all_that_is_kept_of_them(store: Store) -> None:
    old, young, alive = add_deleted(store, 31), add_deleted(store, 29), add_server(store)
    for server_id in (old, young, alive):
        add_ended(store, server_id, 1)

    def more(session: Any) -> None:
        session.add(ServerGroup(id="g", project_id="p", user_id="u", name="g", policy="affinity"))
        session.flush()
        session.add(ServerGroupMember(server_id=old, group_id="g"))
        kept = {"migration_type": "resize", "status": "confirmed", "source": "h1", "destination": "h1"}
        kept |= {"old_flavor": "1", "new_flavor": "2", "project_id": "p", "user_id": "u"}
        session.add_all([Migration(uuid=new_id(), server_id=server_id, **kept) for server_id in (old, alive)])

    store.transact(more)
    assert purge.count(store, OLD) == purge.Purged(1, 0)
    assert purge.purge(store, OLD) == purge.Purged(1, 0)
    assert servers(store) == {young, alive}
    with store.read() as session:
        assert set(session.scalars(select(Operation.target_id))) == {young, alive}
        assert list(session.scalars(select(Migration.server_id))) == [alive]
        assert session.scalar(select(func.count()).select_from(ServerGroupMember)) == 0
    assert purge.purge(store, OLD) == purge.Purged()


def test_old_operations_of_servers_that_stay_go_and_what_has_not_ended_does_not(store: Store) -> None:
    server_id = add_server(store)
    gone = {add_ended(store, server_id, 31, state) for state in ("done", "failed", "cancelled")}
    kept = {add_ended(store, server_id, 29), add_ended(store, server_id, 31, "running"), submit(store, server_id)}
    assert purge.count(store, OLD) == purge.Purged(0, 3)
    assert purge.purge(store, OLD) == purge.Purged(0, 3)
    assert operations(store) == kept and not operations(store) & gone


def test_a_deleted_server_that_something_is_still_done_about_stays(store: Store) -> None:
    server_id = add_deleted(store, 31)
    number = submit(store, server_id, "delete")
    assert purge.purge(store, OLD) == purge.Purged()
    store.transact(
        lambda session: session.execute(update(Operation).where(Operation.id == number).values(state="done"))
    )
    assert purge.purge(store, OLD) == purge.Purged(1, 0)


def test_a_soft_deleted_server_is_not_a_deleted_one(store: Store) -> None:
    add_server(store, vm_state="soft-delete", deleted_at=days_ago(31))
    assert purge.purge(store, OLD) == purge.Purged()


@pytest.mark.parametrize("most", [None, 100])
def test_one_look_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch, most: int | None) -> None:
    monkeypatch.setattr(purge, "BATCH", 10)
    for _ in range(25):
        add_deleted(store, 31)
    went = purge.purge(store, OLD, most=None if most is None else 20)
    assert went.servers == (25 if most is None else 20)
    assert len(servers(store)) == 25 - went.servers


def test_several_at_once_forget_each_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH", 3)
    for _ in range(30):
        add_ended(store, add_deleted(store, 31), 31)
    went: list[purge.Purged] = []
    workers = [threading.Thread(target=lambda: went.append(purge.purge(store, OLD))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(went) == 4
    # Who found all that was left in others' hands has stopped early: the next look takes it.
    left = purge.purge(store, OLD)
    assert sum(one.servers for one in went) + left.servers == 30
    assert servers(store) == set() and operations(store) == set()


def test_the_configuration_says_what_is_old() -> None:
    conf = configuration.load([], {"database.keep_deleted_days": 7, "database.keep_operations_days": 0})
    old = purge.limits(conf)
    assert old.ended is None
    assert old.deleted is not None
    assert abs((days_ago(7) - old.deleted).total_seconds()) < 5

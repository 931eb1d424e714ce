"""No race passes a quota, and nothing is given back twice: on each database for real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from rows import add_host, add_server
from sqlalchemy import select

from nova_lite import conf as configuration
from nova_lite.compute import keypairs, lifecycle, quota_recount, quota_sets, quotas
from nova_lite.db.models import Domain, Project, QuotaLimit, Server
from nova_lite.db.store import Store
from nova_lite.db.types import new_id
from nova_lite.errors import OverLimit
from nova_lite.network import quotas as network_quotas

CONF = configuration.load([])
SIZE = {"instances": 1, "cores": 2, "ram": 512}


def _limit(store: Store, resource: str, value: int, user_id: str = "") -> None:
    row = QuotaLimit(project_id="project", user_id=user_id, resource=resource, hard_limit=value)
    store.transact(lambda session: session.add(row))


def _create(store: Store) -> bool:
    """Take quota and add the server that it is for in one transaction, as creation does."""

    def work(session: object) -> None:
        quotas.take_for_servers(session, CONF, "project", "user", SIZE)  # type: ignore[arg-type]
        session.add(  # type: ignore[attr-defined]
            Server(
                id=new_id(),
                project_id="project",
                user_id="user",
                name="n",
                hostname="n",
                kind="vm",
                flavor={},
                vcpus=2,
                memory_mb=512,
                disk_gb=1,
                quota_instances=1,
                quota_cores=2,
                quota_ram=512,
                vm_state="building",
                reservation_id="r",
            )
        )

    try:
        quotas.transact(store, work)
    except OverLimit:
        return False
    return True


def _at_once(works: list[Callable[[], bool]]) -> list[bool]:
    start = threading.Barrier(len(works))

    def run(work: Callable[[], bool]) -> bool:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def _usage(store: Store, scope: str = "project") -> dict[str, int]:
    with store.read() as session:
        return quotas.usage(session, scope)


def test_twenty_creates_and_room_for_seven(store: Store) -> None:
    _limit(store, "instances", 7)
    won = _at_once([lambda: _create(store)] * 20)
    assert sum(won) == 7
    assert (_usage(store)["instances"], _usage(store)["cores"], _usage(store)["ram"]) == (7, 14, 3584)
    assert quota_recount.check(store) == []


def test_the_scarcest_resource_decides(store: Store) -> None:
    _limit(store, "instances", 10)
    _limit(store, "ram", 1600)
    assert sum(_at_once([lambda: _create(store)] * 12)) == 3


def test_a_users_own_limit_is_not_passed_either(store: Store) -> None:
    _limit(store, "instances", 10)
    _limit(store, "instances", 4, user_id="user")
    assert sum(_at_once([lambda: _create(store)] * 12)) == 4
    assert _usage(store)["instances"] == 4


def test_ends_that_race_give_back_once(store: Store) -> None:
    add_host(store)
    for _ in range(3):
        assert _create(store)
    with store.read() as session:
        server_id = session.query(Server).first().id  # type: ignore[union-attr]

    def end() -> bool:
        store.transact(lambda session: lifecycle.end_deleted(session, server_id))
        return True

    _at_once([end] * 8)
    assert (_usage(store)["instances"], _usage(store)["cores"]) == (2, 4)
    assert quota_recount.check(store) == []


def test_a_server_that_holds_nothing_gives_nothing_back(store: Store) -> None:
    add_host(store)
    assert _create(store)
    stranger = add_server(store)
    store.transact(lambda session: lifecycle.end_deleted(session, stranger))
    assert _usage(store)["instances"] == 1


def test_creates_and_ends_mixed_leave_sums_that_are_right(store: Store) -> None:
    add_host(store)
    _limit(store, "instances", 5)

    def churn() -> bool:
        for _ in range(4):
            if _create(store):
                with store.read() as session:
                    row = session.query(Server).filter(Server.deleted.is_(False)).first()
                if row is not None:
                    store.transact(lambda session, key=row.id: lifecycle.end_deleted(session, key))
        return True

    _at_once([churn] * 8)
    assert _usage(store)["instances"] <= 5
    assert quota_recount.check(store) == []


def test_keypairs_that_race(store: Store) -> None:
    material = keypairs.Material("ssh-rsa AAAA", "aa:bb")

    def add(number: int) -> bool:
        try:
            keypairs.add(store, "user", f"key-{number}", "ssh", material, 5)
        except OverLimit:
            return False
        return True

    assert sum(_at_once([lambda number=number: add(number) for number in range(12)])) == 5  # type: ignore[misc]
    store_usage = _usage(store, quotas.of_user("user"))
    assert store_usage["key_pairs"] == 5
    _at_once([lambda number=number: _drop(store, number) for number in range(12)])  # type: ignore[misc]
    assert _usage(store, quotas.of_user("user"))["key_pairs"] == 0


def _drop(store: Store, number: int) -> bool:
    try:
        keypairs.delete(store, "user", f"key-{number}")
    except Exception:
        return False
    return True


@pytest.mark.parametrize("of", ["servers", "networks", "a class"])
def test_limits_that_are_set_at_once_are_each_taken(store: Store, of: str) -> None:
    store.transact(lambda session: session.add(Domain(id="default", name="Default")))
    for turn in range(3):
        project = f"project {turn}"
        store.transact(lambda session, name=project: session.add(Project(id=name, domain_id="default", name=name)))  # type: ignore[misc]

        def put(value: int, name: str = project) -> bool:
            if of == "servers":
                limits = quota_sets.update(CONF, store, name, {"cores": value, "ram": value}, force=True)
            elif of == "networks":
                limits = network_quotas.change(CONF, store, name, {"port": value, "network": value})
            else:
                limits = quota_sets.update_class(CONF, store, name, {"cores": value, "ram": value})
            return value in limits.values()

        assert all(_at_once([partial(put, 100 + number) for number in range(6)]))
        with store.read() as session:
            kept = session.scalars(select(QuotaLimit.hard_limit).where(QuotaLimit.project_id.endswith(project))).all()
        assert len(kept) == 2 and kept[0] == kept[1], "both of one request"

"""Keys of requests, and transactions that are joined, on each database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db import idempotency
from nova_lite.db.idempotency import Differs, Kept, Mine, UnderWay
from nova_lite.db.models.identity import Domain
from nova_lite.db.store import Store
from nova_lite.errors import StaleState

KEY, BODY = "k" * 64, "b" * 64


def add(name: str, identifier: str | None = None) -> Callable[[Session], None]:
    return lambda session: session.add(Domain(id=identifier or name, name=name))


def names(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.scalars(select(Domain.name).order_by(Domain.name)))


def test_a_key_from_claim_to_expiry(store: Store) -> None:
    mine = idempotency.claim(store, KEY, BODY, 60)
    assert isinstance(mine, Mine)
    assert isinstance(idempotency.claim(store, KEY, BODY, 60), UnderWay)
    assert isinstance(idempotency.claim(store, KEY, "c" * 64, 60), Differs)
    long = "é" * 200_000
    store.transact(lambda session: idempotency.end(session, mine, 202, long, 60))
    assert idempotency.claim(store, KEY, BODY, 60) == Kept(202, long)
    with pytest.raises(StaleState):
        store.transact(lambda session: idempotency.end(session, mine, 500, None, 60))
    idempotency.release(store, mine)
    assert idempotency.claim(store, KEY, BODY, 60) == Kept(202, long)


def test_a_process_that_starts_alone_lets_go_of_what_its_last_life_held(store: Store) -> None:
    dead, done = (idempotency.claim(store, key * 64, BODY, 60) for key in "ad")
    assert isinstance(dead, Mine) and isinstance(done, Mine)
    store.transact(lambda session: idempotency.end(session, done, 202, "answer", 60))
    assert idempotency.release_all(store) == 1
    assert isinstance(idempotency.claim(store, "a" * 64, BODY, 60), Mine)
    assert idempotency.claim(store, "d" * 64, BODY, 60) == Kept(202, "answer")
    with pytest.raises(StaleState):
        store.transact(lambda session: idempotency.end(session, dead, 202, None, 60))


def test_one_of_many_wins_a_key(store: Store) -> None:
    together = threading.Barrier(8)

    def one(_index: int) -> idempotency.Claim:
        together.wait()
        return idempotency.claim(store, KEY, BODY, 60)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(one, range(8)))
    assert sum(isinstance(found, Mine) for found in claims) == 1
    assert sum(isinstance(found, UnderWay) for found in claims) == 7


def test_what_is_joined_sees_itself_and_commits_at_once(store: Store) -> None:
    seen: list[list[str]] = []

    def twice(session: Session) -> None:
        add("lost")(session)
        session.flush()
        add("b", "a")(session)

    def work() -> str:
        store.transact(add("a"))
        with pytest.raises(IntegrityError):
            store.transact(twice)
        store.transact(add("c"))
        seen.append(names(store))
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(names, store).result(60))
        return "done"

    ended: list[str] = []
    assert store.together(work, lambda _session, result: ended.append(result)) == "done"
    assert seen == [["a", "c"], []]
    assert ended == ["done"]
    assert names(store) == ["a", "c"]


@pytest.mark.parametrize("where", ["work", "last"])
def test_what_is_joined_goes_together(store: Store, where: str) -> None:
    def work() -> None:
        store.transact(add("a"))
        if where == "work":
            raise KeyError(where)

    def last(_session: Session, _result: None) -> None:
        raise KeyError(where)

    with pytest.raises(KeyError):
        store.together(work, last)
    assert names(store) == []
    store.transact(add("after"))
    assert names(store) == ["after"]


def test_a_deadlock_runs_the_whole_again(store: Store) -> None:
    if store.backend == "sqlite":
        pytest.skip("cannot run on this machine: SQLite has one writer, so nothing can deadlock")
    for name in ("x", "y"):
        store.transact(add(name))
    first = threading.Barrier(2)
    runs: list[str] = []

    def lock(name: str) -> None:
        store.transact(lambda session: session.scalar(select(Domain).where(Domain.id == name).with_for_update()))

    def one(mine: str, other: str) -> None:
        def work() -> None:
            runs.append(mine)
            store.transact(add(f"{mine}-made"))
            lock(mine)
            if runs.count(mine) == 1:
                first.wait(60)
            lock(other)

        store.together(work, lambda _session, _result: None)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(one, "x", "y"), pool.submit(one, "y", "x")]
        for future in both:
            future.result(120)
    assert len(runs) == 3
    assert names(store) == ["x", "x-made", "y", "y-made"]

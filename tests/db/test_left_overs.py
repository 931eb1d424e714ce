"""What is remembered of servers on hosts that are theirs no more, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nova_lite.compute import left_overs
from nova_lite.db.store import Store
from nova_lite.db.types import new_id


def test_it_is_remembered_once_for_each_host_and_forgotten_alone(store: Store) -> None:
    first, second = new_id(), new_id()
    for server_id, host in ((first, "h1"), (first, "h1"), (second, "h1"), (first, "h2")):
        store.transact(lambda session, server_id=server_id, host=host: left_overs.remember(session, server_id, host))  # type: ignore[misc]
    with store.read() as session:
        assert left_overs.on_host(session, "h1") == [first, second]
        assert left_overs.is_left(session, first, "h2")
    store.transact(lambda session: left_overs.forget(session, first, "h1"))
    with store.read() as session:
        assert (left_overs.on_host(session, "h1"), left_overs.on_host(session, "h2")) == ([second], [first])
        assert not left_overs.is_left(session, first, "h1")


def test_two_who_remember_it_at_once_are_one(store: Store) -> None:
    for _ in range(4):
        server_id = new_id()

        def remember(_: int, wanted: str = server_id) -> None:
            store.transact(lambda session: left_overs.remember(session, wanted, "h1"))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(remember, range(6)))
        with store.read() as session:
            assert left_overs.on_host(session, "h1").count(server_id) == 1

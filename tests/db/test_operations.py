"""The durable queue, on each database for real."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from rows import CALLER, submit
from sqlalchemy import update

from nova_lite.db import operations
from nova_lite.db.models import Operation
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, new_id
from nova_lite.errors import StaleState


def _state(store: Store, identifier: int) -> Operation:
    with store.read() as session:
        return session.get_one(Operation, identifier)


def _expire(store: Store, identifier: int) -> None:
    store.transact(
        lambda session: session.execute(
            update(Operation).where(Operation.id == identifier).values(lease_until=epoch() - 1)
        )
    )


def test_take_gives_what_was_submitted_once(store: Store) -> None:
    target = new_id()
    identifier = submit(store, target, "suspend", arguments={"a": [1, None, "ü"]})
    (work,) = operations.take(store, "agent", "me", host="h1")
    assert (work.id, work.action, work.target_id, work.attempt) == (identifier, "suspend", target, 1)
    assert work.arguments == {"a": [1, None, "ü"]}
    assert work.request_id == CALLER.request_id
    assert operations.take(store, "agent", "other", host="h1") == []


def test_what_was_rolled_back_was_never_submitted(store: Store) -> None:
    def broken(session: object) -> None:
        operations.submit(
            session,  # type: ignore[arg-type]
            CALLER,
            action="start",
            target_type="server",
            target_id=new_id(),
            queue="agent",
            host="h1",
            deadline_s=60,
        )
        raise KeyError("broken")

    with pytest.raises(KeyError):
        store.transact(broken)
    assert operations.take(store, "agent", "me", host="h1") == []


def test_who_takes_fewer_than_it_could_left_nothing(store: Store) -> None:
    wanted = {submit(store, new_id()) for _ in range(60)}

    def worker(number: int) -> list[int]:
        taken: list[int] = []
        while True:
            works = operations.take(store, "agent", f"w{number}", host="h1", limit=4)
            taken += [work.id for work in works]
            if len(works) < 4:
                return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [identifier for each in pool.map(worker, range(4)) for identifier in each]
    assert len(taken) == len(wanted) and set(taken) == wanted


def test_queues_and_hosts_are_apart(store: Store) -> None:
    submit(store, new_id(), host="h2")
    wanted = submit(store, new_id(), queue="scheduler", host=None)
    assert operations.take(store, "agent", "me", host="h1") == []
    assert [work.id for work in operations.take(store, "scheduler", "me")] == [wanted]


def test_one_target_is_worked_on_in_order(store: Store) -> None:
    target = new_id()
    first, second = submit(store, target, "stop"), submit(store, target, "start")
    other = submit(store, new_id())
    (one, two) = operations.take(store, "agent", "me", host="h1")
    assert [one.id, two.id] == [first, other]
    assert operations.take(store, "agent", "me", host="h1") == []
    store.transact(lambda session: operations.finish(session, one, "done"))
    assert [work.id for work in operations.take(store, "agent", "me", host="h1")] == [second]


def test_a_retry_holds_back_what_comes_after_it(store: Store) -> None:
    target = new_id()
    submit(store, target, "stop")
    submit(store, target, "start")
    (one,) = operations.take(store, "agent", "me", host="h1")
    store.transact(lambda session: operations.retry_later(session, one, 30, "the host is busy"))
    assert operations.take(store, "agent", "me", host="h1") == []
    assert _state(store, one.id).error == "the host is busy"


def test_what_was_not_begun_is_put_back_as_often_as_need_be(store: Store) -> None:
    identifier = submit(store, new_id())
    for _ in range(3):
        (one,) = operations.take(store, "agent", "me", host="h1")
        assert (one.id, one.attempt) == (identifier, 1)
        store.transact(lambda session, held=one: operations.untake(session, held, 0.0, "its server is held"))
    with pytest.raises(StaleState):
        store.transact(lambda session: operations.untake(session, one, 0.0, "its server is held"))


def test_a_lease_that_ran_out_is_taken_over(store: Store) -> None:
    identifier = submit(store, new_id())
    (first,) = operations.take(store, "agent", "first", host="h1")
    _expire(store, identifier)
    (second,) = operations.take(store, "agent", "second", host="h1")
    assert (second.id, second.attempt) == (identifier, 2)
    for late in (
        lambda: operations.note_step(store, first, "spawn"),
        lambda: store.transact(lambda session: operations.finish(session, first, "done")),
        lambda: store.transact(lambda session: operations.hand_over(session, first, queue="agent", host="h1")),
        lambda: store.transact(lambda session: operations.retry_later(session, first, 1, "x")),
    ):
        with pytest.raises(StaleState):
            late()
    store.transact(lambda session: operations.finish(session, second, "done"))
    assert _state(store, identifier).state == "done"


def test_renewing_keeps_a_lease(store: Store) -> None:
    identifier = submit(store, new_id())
    operations.take(store, "agent", "me", host="h1")
    _expire(store, identifier)
    assert operations.renew(store, "me") == 1
    assert operations.renew(store, "other") == 0
    assert operations.take(store, "agent", "other", host="h1") == []
    assert _state(store, identifier).lease_until > epoch() + operations.LEASE_S / 2


def test_the_work_of_a_dead_worker_is_given_back_at_once(store: Store) -> None:
    identifier = submit(store, new_id())
    submit(store, new_id(), host="h2")
    operations.take(store, "agent", "dead", host="h1")
    operations.take(store, "agent", "alive", host="h2")
    assert operations.release_queue(store, "agent", "h1") == 1
    assert [work.id for work in operations.take(store, "agent", "me", host="h1")] == [identifier]
    assert operations.take(store, "agent", "me", host="h2") == []


def test_steps_are_noted_and_tell_of_a_request_to_stop(store: Store) -> None:
    target = new_id()
    identifier = submit(store, target, "create")
    waiting = submit(store, target, "start")
    (work,) = operations.take(store, "agent", "me", host="h1")
    assert operations.note_step(store, work, "network") is False
    store.transact(lambda session: operations.ask_to_stop(session, "server", target))
    assert operations.note_step(store, work, "spawn") is True
    assert _state(store, identifier).step == "network", "a step that will not be done is not noted"
    assert _state(store, waiting).state == "cancelled"


def test_handing_over(store: Store) -> None:
    submit(store, new_id(), "create", queue="scheduler", host=None)
    (work,) = operations.take(store, "scheduler", "s")
    store.transact(lambda session: operations.hand_over(session, work, queue="agent", host="h9"))
    (taken,) = operations.take(store, "agent", "a", host="h9")
    assert (taken.id, taken.attempt) == (work.id, 1)


def test_overdue_is_what_nobody_is_at_work_on(store: Store) -> None:
    late = submit(store, new_id(), deadline_s=-1)
    held = submit(store, new_id(), deadline_s=-1, host="h2")
    submit(store, new_id())
    operations.take(store, "agent", "me", host="h2")
    with store.read() as session:
        assert [row.id for row in operations.overdue(session, operations.overdue_turns())] == [late]
    _expire(store, held)
    with store.read() as session:
        assert [row.id for row in operations.overdue(session, operations.overdue_turns())] == [late, held]


def test_rounds_over_the_overdue_go_on_where_the_last_one_stopped(store: Store) -> None:
    late = [submit(store, new_id(), deadline_s=-1) for _ in range(5)]
    turns = operations.overdue_turns()
    rounds = []
    with store.read() as session:
        for _ in range(3):
            found = [row.id for row in operations.overdue(session, turns, 2)]
            turns.had(found[-1])
            rounds.append(found)
        assert rounds == [late[:2], late[2:4], [late[4], late[0]]], "and then from the first again"
        assert [row.id for row in operations.overdue(session, turns, 9)] == [*late[1:], late[0]], "each once"


def test_workers_that_race_take_each_operation_once(store: Store) -> None:
    wanted = {submit(store, new_id()) for _ in range(40)}
    start = threading.Barrier(4)

    def worker(number: int) -> list[int]:
        start.wait()
        got: list[int] = []
        empty = 0
        while empty < 3:
            taken = operations.take(store, "agent", f"w{number}", host="h1", limit=3)
            empty = 0 if taken else empty + 1
            for work in taken:
                got.append(work.id)
                store.transact(lambda session, work=work: operations.finish(session, work, "done"))  # type: ignore[misc]
        return got

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(worker, range(4)))
    flat = [identifier for result in results for identifier in result]
    assert len(flat) == len(set(flat))
    assert set(flat) == wanted


def test_workers_that_race_for_an_expired_lease(store: Store) -> None:
    """Eight workers see the same dead owner's operation; one gets it."""
    for _ in range(5):
        identifier = submit(store, new_id())
        operations.take(store, "agent", "dead", host="h1")
        _expire(store, identifier)
        start = threading.Barrier(8)

        def worker(number: int, start: threading.Barrier = start) -> int:
            start.wait()
            return len(operations.take(store, "agent", f"w{number}", host="h1"))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(worker, range(8))) == 1

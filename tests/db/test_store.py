"""Transactions and column types behave alike on each database."""

from __future__ import annotations

import datetime
import os
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from rows import add_host, add_server
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DBAPIError

from nova_lite.db.models import Host, Server
from nova_lite.db.store import SILENCE_S, Store


def test_a_moment_keeps_its_microseconds(store: Store) -> None:
    moment = datetime.datetime(2031, 2, 3, 4, 5, 6, 789012)
    identifier = add_server(store, launched_at=moment, created_at=moment)
    with store.read() as session:
        row = session.get_one(Server, identifier)
        assert row.launched_at == row.created_at == moment
        assert session.scalar(select(Server.id).where(Server.launched_at == moment)) == identifier
        later = moment - datetime.timedelta(microseconds=1)
        assert session.scalar(select(Server.id).where(Server.launched_at > later)) == identifier


def test_json_comes_back_as_it_went(store: Store) -> None:
    value = {"a": [1, 2.5, None, True, {"ü": "🦀"}], "": {}, "big": 2**53 - 1, "quote": "\"'\\ \n\t"}
    identifier = add_server(store, metadata_=value, tags=["x", "y"], fault=None)
    with store.read() as session:
        row = session.get_one(Server, identifier)
        assert row.metadata_ == value
        assert row.tags == ["x", "y"]
        assert row.fault is None
        assert session.scalar(select(Server.id).where(Server.fault.is_(None))) == identifier


def test_text_beyond_64_kib(store: Store) -> None:
    data = "é" * 90_000
    identifier = add_server(store, user_data=data)
    with store.read() as session:
        assert session.get_one(Server, identifier).user_data == data


def test_what_raises_leaves_nothing(store: Store) -> None:
    add_host(store)

    def broken(session: Any) -> None:
        session.execute(update(Host).values(vcpus=99))
        raise KeyError("broken")

    with pytest.raises(KeyError):
        store.transact(broken)
    with store.read() as session:
        assert session.get_one(Host, "h1").vcpus == 4


def test_a_compare_and_swap_sees_what_was_committed(store: Store) -> None:
    """Fifty increments by ten threads, each by compare-and-swap on the value that it read: none is lost."""
    add_host(store)

    def increment(_: int) -> None:
        while True:
            with store.read() as session:
                seen = session.get_one(Host, "h1").used_vcpus

            def swap(session: Any, seen: int = seen) -> int:
                result = session.execute(
                    update(Host).where(Host.name == "h1", Host.used_vcpus == seen).values(used_vcpus=seen + 1)
                )
                return int(result.rowcount)

            if store.transact(swap):
                return

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(increment, range(50)))
    with store.read() as session:
        assert session.get_one(Host, "h1").used_vcpus == 50


def test_a_deadlock_is_answered_by_running_again(store: Store) -> None:
    """Two transactions take the same two rows crosswise, each waiting until the other has its first."""
    if store.backend == "sqlite":
        pytest.skip("cannot run on this machine: SQLite has one writer, so nothing can deadlock")
    for name in ("a", "b"):
        add_host(store, name)
    both = threading.Barrier(2)
    runs: list[str] = []

    def crosswise(first: str, second: str) -> None:
        waited = False

        def work(session: Any) -> None:
            nonlocal waited
            runs.append(first)
            session.execute(update(Host).where(Host.name == first).values(used_vcpus=Host.used_vcpus + 1))
            if not waited:
                waited = True
                both.wait()
            session.execute(update(Host).where(Host.name == second).values(used_vcpus=Host.used_vcpus + 1))

        store.transact(work)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(crosswise, "a", "b"), pool.submit(crosswise, "b", "a")]:
            future.result()
    assert len(runs) == 3, "one of the two was run again"
    with store.read() as session:
        assert [row.used_vcpus for row in session.scalars(select(Host))] == [2, 2]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_writer_waits_for_another_process_that_writes(store: Store) -> None:
    """The other databases have many writers."""
    event.listen(store.engine, "checkout", lambda raw, *_rest: raw.execute("PRAGMA busy_timeout=1"))
    server = add_server(store)
    other = sqlite3.connect(str(store.engine.url.database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
    release.start()
    store.transact(lambda session: session.execute(update(Server).where(Server.id == server).values(name="later")))
    release.join()
    other.close()
    with store.read() as session:
        assert session.get_one(Server, server).name == "later"
    assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_lost_connection_is_answered_by_running_again(store: Store) -> None:
    if store.backend == "sqlite":
        pytest.skip("cannot run on this machine: SQLite has no connection to lose")
    add_host(store)
    runs: list[int] = []

    def work(session: Any) -> None:
        runs.append(1)
        session.execute(update(Host).values(used_vcpus=Host.used_vcpus + 1))
        if len(runs) == 1:
            _cut(store, session)
            session.execute(text("SELECT 1"))

    store.transact(work)
    assert len(runs) == 2
    with store.read() as session:
        assert session.get_one(Host, "h1").used_vcpus == 1


def _cut(store: Store, session: Any) -> None:
    mine = "pg_backend_pid()" if store.backend == "postgresql" else "CONNECTION_ID()"
    number = session.execute(text(f"SELECT {mine}")).scalar()
    with store.engine.connect() as other:
        if store.backend == "postgresql":
            other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
        else:
            other.execute(text(f"KILL {int(number)}"))


def test_an_error_that_would_come_again_is_not_repeated(store: Store) -> None:
    runs: list[int] = []

    def work(session: Any) -> None:
        runs.append(1)
        session.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(DBAPIError):
        store.transact(work)
    assert len(runs) == 1


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_server_whose_host_goes_without_a_word_is_noticed(store: Store) -> None:
    """A query would wait for its answer for two hours else."""
    with store.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        number = driver.fileno() if store.backend == "postgresql" else driver._sock.fileno()
        with socket.socket(fileno=os.dup(number)) as connected:
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            read = partial(connected.getsockopt, socket.IPPROTO_TCP)
            assert read(socket.TCP_USER_TIMEOUT) == SILENCE_S * 1000
            idle, interval, probes = read(socket.TCP_KEEPIDLE), read(socket.TCP_KEEPINTVL), read(socket.TCP_KEEPCNT)
            assert idle + interval * probes == SILENCE_S

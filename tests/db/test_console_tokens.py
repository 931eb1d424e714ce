"""Consoles' tokens on each database: of many who use one at once, one gets it; what has expired goes."""

from __future__ import annotations

import threading

import pytest
from rows import add_server
from sqlalchemy import func, select, update

from nova_lite.compute import console_tokens, lifecycle
from nova_lite.db.models import ConsoleAuthToken
from nova_lite.db.store import Store
from nova_lite.errors import NotFound


def count(store: Store) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(ConsoleAuthToken)) or 0


def test_one_of_many_gets_it(store: Store) -> None:
    server_id = add_server(store, host="h1", vm_state="active", task_state=None)
    for _ in range(5):
        token = console_tokens.issue(store, server_id, "serial", 600)
        got: list[object] = []

        def use(token: str = token, got: list[object] = got) -> None:
            try:
                got.append(console_tokens.use(store, token))
            except NotFound as error:
                got.append(error)

        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(answer, console_tokens.Ticket) for answer in got) == 1
        assert len(got) == 6
    assert count(store) == 0


def test_old_and_surplus_tokens_go(store: Store) -> None:
    server_id, other = (add_server(store, host="h1", vm_state="active", task_state=None) for _ in range(2))
    tokens = [console_tokens.issue(store, server_id, "serial", 600) for _ in range(console_tokens.MOST_OF_A_SERVER + 2)]
    assert count(store) == console_tokens.MOST_OF_A_SERVER
    for gone in tokens[:2]:
        with pytest.raises(NotFound):
            console_tokens.look_at(store, gone)
    console_tokens.issue(store, other, "novnc", 600)
    store.transact(
        lambda session: session.execute(
            update(ConsoleAuthToken).where(ConsoleAuthToken.server_id == server_id).values(expires_at=1.0)
        )
    )
    assert console_tokens.purge(store) == console_tokens.MOST_OF_A_SERVER
    assert console_tokens.purge(store) == 0
    assert count(store) == 1
    store.transact(lambda session: lifecycle.end_deleted(session, other))
    assert count(store) == 0


def test_no_token_for_what_is_nowhere(store: Store) -> None:
    with pytest.raises(NotFound):
        console_tokens.issue(store, "88888888-8888-4888-8888-888888888888", "serial", 600)

"""Consoles' tokens on each database: of many who use one at once, one gets it; what has expired goes."""

from __future__ import annotations

import threading
from collections.abc import Callable

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
        assert outcomes(lambda token=token: console_tokens.use(store, token)) == 1
    assert count(store) == 0


def test_one_session_for_each_token_and_one_connection_for_each_channel(store: Store) -> None:
    server_id = add_server(store, host="h1", vm_state="active", task_state=None)
    for _ in range(3):
        token = console_tokens.issue(store, server_id, "spice-html5", 600)
        assert outcomes(lambda token=token: console_tokens.begin(store, token, "1.0")) == 1
        wanted = ["2.0", "3.0", "4.0", "2.0", "3.0", "4.0"]
        assert outcomes(lambda token=token, wanted=wanted: console_tokens.join(store, token, wanted.pop())) == 3
        console_tokens.end(store, token)
        console_tokens.end(store, token)
        for use in (console_tokens.begin, console_tokens.join):
            with pytest.raises(NotFound):
                use(store, token, "5.0")
    assert count(store) == 0


def test_a_session_has_a_bounded_number_of_channels(store: Store) -> None:
    server_id = add_server(store, host="h1", vm_state="active", task_state=None)
    token = console_tokens.issue(store, server_id, "spice-html5", 600)
    with pytest.raises(NotFound):
        console_tokens.join(store, token, "2.0")
    console_tokens.begin(store, token, "1.0")
    for number in range(console_tokens.MOST_CHANNELS - 1):
        console_tokens.join(store, token, f"255.{255 - number}")
    with pytest.raises(NotFound):
        console_tokens.join(store, token, "2.0")


def outcomes(use: Callable[[], object]) -> int:
    """Let six do it at once; return how many it was granted to."""
    got: list[object] = []

    def one() -> None:
        try:
            got.append(use())
        except NotFound as error:
            got.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6
    return sum(isinstance(answer, console_tokens.Ticket) for answer in got)


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

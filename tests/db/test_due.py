"""What is due by itself begins on each database, whatever else is refused each time, and is looked for without reading the rest."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from rows import add_server
from sqlalchemy import event, select

from nova_lite.compute import due, lifecycle
from nova_lite.db.models import Operation, Server
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, now

HOUR = 3600


def options(**values: int) -> Any:
    settings = {"reclaim_instance_interval": HOUR, "resize_confirm_window": HOUR, "shelved_offload_time": HOUR}
    return SimpleNamespace(**settings | values)


def begun(store: Store) -> dict[str, str]:
    """Return the action that was begun of each server."""
    with store.read() as session:
        return {row.target_id: row.action for row in session.scalars(select(Operation))}


def shelved(store: Store, ago: float, **values: Any) -> str:
    return add_server(store, vm_state="shelved", system_metadata={"shelved_at": epoch() - ago}, **values)


@pytest.fixture
def loaded() -> Iterator[list[str]]:
    """Give the ids of the servers whose whole rows are read from now on."""
    seen: list[str] = []

    def note(server: Server, _context: Any) -> None:
        seen.append(server.id)

    event.listen(Server, "load", note)
    yield seen
    event.remove(Server, "load", note)


def test_each_kind_begins_when_its_time_has_come_and_nothing_else_is_read(store: Store, loaded: list[str]) -> None:
    moment = datetime.timedelta(seconds=HOUR)
    expected: dict[str, str] = {}
    for ago, is_due in ((HOUR + 60, True), (HOUR - 60, False)):
        resized_at = epoch() - ago
        servers = {
            add_server(store, vm_state="soft-delete", deleted_at=now() - moment * (ago / HOUR)): "delete",
            add_server(store, vm_state="resized", system_metadata={"resized_at": resized_at}): "confirmResize",
            shelved(store, ago): "shelveOffload",
        }
        expected |= servers if is_due else {}
        add_server(store, vm_state="resized", system_metadata={"resized_at": resized_at, "reverting": True})
        shelved(store, ago, task_state="unshelving")
        shelved(store, ago, deleted=True)
    add_server(store, vm_state="shelved", system_metadata={})
    add_server(store, vm_state="soft-delete")
    assert due.Due(store, options(resize_confirm_window=-1, shelved_offload_time=-1)).begin() == {"h1"}
    assert set(begun(store).values()) == {"delete"}
    sweeper = due.Due(store, options())
    assert sweeper.begin() == {"h1"}
    assert begun(store) == expected
    assert set(loaded) == set(expected)
    loaded.clear()
    assert sweeper.begin() == set()
    assert loaded == [], "nothing is due, so no row is read"


def test_servers_that_are_refused_each_time_take_no_other_s_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "MOST", 3)
    for number in range(7):  # shelved and on no host: no agent could do it
        shelved(store, 2 * HOUR, id=f"a-{number}", host=None)
    others = {shelved(store, 2 * HOUR, id=f"{letter}-{number}") for letter in "0b" for number in range(4)}
    sweeper = due.Due(store, options())
    for _ in range(5):
        sweeper.begin()
    assert set(begun(store)) == others


def test_one_that_can_not_be_begun_keeps_no_other_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = lifecycle.begin

    def failing(session: Any, caller: Any, server: Server, action: str) -> Any:
        if server.id == "a":
            raise ValueError("on purpose")
        return begin(session, caller, server, action)

    monkeypatch.setattr(lifecycle, "begin", failing)
    for name in ("a", "b"):
        shelved(store, 2 * HOUR, id=name)
    assert due.Due(store, options()).begin() == {"h1"}
    assert set(begun(store)) == {"b"}


def test_an_interval_of_ages_is_no_failure(store: Store) -> None:
    add_server(store, vm_state="soft-delete", deleted_at=now())
    ages = 10**18
    sweeper = due.Due(store, options(reclaim_instance_interval=ages, shelved_offload_time=ages))
    assert sweeper.begin() == set()

"""Filters and sorts of a listing of servers mean the same on each database."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from rows import add_host, add_server

from nova_lite.compute import listing, migrations
from nova_lite.compute.listing import EQUAL, MATCHING, SORT, Listing
from nova_lite.compute.migrations import MigrationListing
from nova_lite.db.store import Store


@pytest.fixture
def four(store: Store) -> Store:
    add_host(store, "h1", availability_zone="east")
    add_server(store, name="plain", flavor={"id": "1"})
    add_server(
        store, name="locked", locked=True, locked_by="admin", task_state="stopping", tags=["Blue"], flavor={"id": "2"}
    )
    add_server(store, name="soft", vm_state="soft-delete", host=None, availability_zone="west", flavor={"id": "1"})
    add_server(store, name="gone", deleted=True, vm_state="deleted", host=None, flavor={"id": "3"})
    return store


def names(store: Store, **wanted: Any) -> set[str]:
    return {detail.server.name for detail in listing.find_details(store, Listing("project", **wanted))}


CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"plain", "locked"}),
    ({"soft_deleted": True}, {"plain", "locked", "soft"}),
    ({"deleted": True}, {"gone"}),
    ({"deleted": True, "soft_deleted": True}, {"gone", "soft"}),
    ({"deleted": None}, {"plain", "locked", "soft", "gone"}),
    ({"matching": {"availability_zone": "^east$"}}, {"plain", "locked"}),
    ({"matching": {"availability_zone": "^west$"}, "soft_deleted": True}, {"soft"}),
    ({"matching": {"availability_zone": "north"}}, set()),
    ({"equal": {"locked_by": ["admin"]}}, {"locked"}),
    ({"equal": {"locked_by": [None]}}, {"plain"}),
    ({"equal": {"task_state": [None, "stopping"]}}, {"plain", "locked"}),
    ({"equal": {"locked": [True]}}, {"locked"}),
    ({"tags": {"tags": ["Blue"]}}, {"locked"}),
    ({"tags": {"tags": ["blue"]}}, set()),
    ({"tags": {"not-tags": ["Blue"]}}, {"plain"}),
    ({"matching": {"name": "^LOCK"}}, set()),
    ({"matching": {"name": "ock"}}, {"locked"}),
    ({"changes_since": datetime.datetime(2001, 1, 1)}, {"plain", "locked"}),
    ({"changes_before": datetime.datetime(2001, 1, 1)}, set()),
]


def test_filters(four: Store) -> None:
    for wanted, expected in CASES:
        assert names(four, **wanted) == expected, wanted


def test_every_filter_and_sort_is_a_statement_that_runs(four: Store) -> None:
    for key in SORT:
        for descending in (False, True):
            found = listing.find(four, Listing("project", deleted=None, sort=[(key, descending)]))
            pages = [found[0]]
            while more := listing.find(
                four, Listing("project", deleted=None, sort=[(key, descending)], limit=1, marker=pages[-1][0])
            ):
                pages += more
            assert pages == found, (key, descending)
    for key in EQUAL:
        names(four, equal={key: [None]})
    for key in MATCHING:
        names(four, matching={key: "^a[b-d]$"})


def test_migrations_are_filtered_by_their_last_change(store: Store) -> None:
    past, future = datetime.datetime(2001, 1, 1), datetime.datetime(2099, 1, 1)
    assert migrations.find(store, MigrationListing(changes_since=past, changes_before=future)) == []

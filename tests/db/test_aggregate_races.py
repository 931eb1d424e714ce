"""Aggregates on each database: a host is in one availability zone, whoever asks at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rows import add_host

from nova_lite.compute import aggregates
from nova_lite.db.store import Store
from nova_lite.errors import Conflict


def test_a_host_gets_one_zone(store: Store) -> None:
    made = [aggregates.create(store, f"aggregate {number}", f"zone {number}").row.id for number in range(6)]
    for turn in range(4):
        host = f"host {turn}"
        add_host(store, host)

        def add(number: int, name: str = host) -> bool:
            try:
                aggregates.add_host(store, number, name)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(add, made)) == 1

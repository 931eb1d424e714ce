"""Claims never oversubscribe a host, whatever the number of schedulers, on each database for real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from rows import add_host, add_server

from nova_lite.compute import claims
from nova_lite.db.models import Host, Server
from nova_lite.db.store import Store


def _claim(store: Store, server: str, host: str = "h1") -> bool:
    return store.transact(lambda session: claims.claim(session, session.get_one(Server, server), host))


def _host(store: Store, name: str = "h1") -> Host:
    with store.read() as session:
        return session.get_one(Host, name)


def _at_once(works: list[Callable[[], bool]]) -> list[bool]:
    start = threading.Barrier(len(works))

    def run(work: Callable[[], bool]) -> bool:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


@pytest.mark.parametrize(
    ("amounts", "fits"),
    [
        ({"vcpus": 1, "memory_mb": 1, "disk_gb": 0}, 4),
        ({"vcpus": 0, "memory_mb": 700, "disk_gb": 0}, 5),
        ({"vcpus": 0, "memory_mb": 1, "disk_gb": 13}, 3),
    ],
)
def test_twenty_schedulers_and_one_host(store: Store, amounts: dict[str, int], fits: int) -> None:
    add_host(store)
    servers = [add_server(store, host=None, **amounts) for _ in range(20)]
    won = _at_once([lambda server=server: _claim(store, server) for server in servers])  # type: ignore[misc]
    assert sum(won) == fits
    host = _host(store)
    assert host.running_servers == fits
    assert host.used_vcpus == fits * amounts["vcpus"] <= 4
    assert host.used_memory_mb == fits * amounts["memory_mb"] <= 4096
    assert host.used_disk_gb == fits * amounts["disk_gb"] <= 40


def test_the_same_server_claimed_many_times_holds_once(store: Store) -> None:
    add_host(store)
    server = add_server(store, host=None)
    assert _claim(store, server) is True
    assert _claim(store, server) is True
    assert _host(store).used_vcpus == 1


def test_releases_that_race_give_back_once(store: Store) -> None:
    add_host(store)
    server, other = add_server(store, host=None), add_server(store, host=None)
    _claim(store, server)
    _claim(store, other)
    released = _at_once([lambda: store.transact(lambda session: claims.release(session, server))] * 8)
    assert sum(released) == 1
    host = _host(store)
    assert (host.used_vcpus, host.used_memory_mb, host.used_disk_gb, host.running_servers) == (1, 512, 1, 1)


def test_claims_and_releases_mixed_end_where_they_began(store: Store) -> None:
    add_host(store)
    servers = [add_server(store, host=None) for _ in range(12)]

    def churn(server: str) -> bool:
        for _ in range(3):
            if _claim(store, server):
                store.transact(lambda session: claims.release(session, server))
        return True

    _at_once([lambda server=server: churn(server) for server in servers])  # type: ignore[misc]
    host = _host(store)
    assert (host.used_vcpus, host.used_memory_mb, host.used_disk_gb, host.running_servers) == (0, 0, 0, 0)


def test_a_disabled_host_and_one_that_is_not_there(store: Store) -> None:
    add_host(store, enabled=False)
    server = add_server(store, host=None)
    assert _claim(store, server) is False
    assert _claim(store, server, "nowhere") is False


def test_overcommit_and_reserve(store: Store) -> None:
    add_host(store, vcpus_ratio=2.0, reserved_memory_mb=4096 - 512)
    first, second = add_server(store, host=None, vcpus=8), add_server(store, host=None, vcpus=0, memory_mb=1)
    assert _claim(store, first) is True
    assert _claim(store, second) is False

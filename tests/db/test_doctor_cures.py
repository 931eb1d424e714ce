"""The doctor's look and cures on each database for real, while claims come and go."""

from __future__ import annotations

import threading
from pathlib import Path

from rows import add_host, add_server
from sqlalchemy import update

from nova_lite.compute import claims
from nova_lite.db.models import Host, Server
from nova_lite.db.store import Store
from nova_lite.doctor.cures import Surgery, cure
from nova_lite.doctor.diagnosis import diagnose
from nova_lite.doctor.findings import Finding
from nova_lite.doctor.gathering import gather


def _look(store: Store) -> list[Finding]:
    return diagnose(gather(store, None))


def test_differences_are_found_and_cured(store: Store) -> None:
    add_host(store)
    held, bare, gone, stuck = (add_server(store) for _ in range(4))
    for server_id in (held, gone, stuck):
        store.transact(lambda session, key=server_id: claims.claim(session, session.get_one(Server, key), "h1"))

    def break_it(session: object) -> None:
        run = session.execute  # type: ignore[attr-defined]
        run(update(Server).where(Server.id == gone).values(deleted=True))
        run(update(Server).where(Server.id == stuck).values(task_state="pausing"))
        run(update(Server).where(Server.id == held).values(memory_mb=256, ephemeral_gb=2))
        run(update(Server).where(Server.id == bare).values(ephemeral_gb=3, swap_mb=1025))
        run(update(Host).values(used_vcpus=99))

    store.transact(break_it)
    found = _look(store)
    assert {(row.kind, row.object_id) for row in found} == {
        ("claim-sum", "h1"),
        ("claim-stale", gone),
        ("claim-missing", bare),
        ("claim-size", held),
        ("server-stranded", stuck),
    }
    surgery = Surgery(store, None, Path("/nonexistent"), Path("/nonexistent"))
    assert all(cure(surgery, finding) for finding in found)
    assert _look(store) == []
    with store.read() as session:
        host = session.get_one(Host, "h1")
    assert (host.used_vcpus, host.used_memory_mb, host.running_servers) == (3, 256 + 2 * 512, 3)
    assert host.used_disk_gb == (1 + 2) + (1 + 3 + 2) + 1


def test_one_look_sees_one_moment_and_a_cure_of_sums_loses_no_claim(store: Store) -> None:
    add_host(store, vcpus=64, memory_mb=65536, disk_gb=1000)
    servers = [add_server(store, vm_state="error") for _ in range(4)]
    surgery = Surgery(store, None, Path("/nonexistent"), Path("/nonexistent"))
    sums = Finding("claim-sum", "h1", "", "", True, "h1")
    stop = threading.Event()

    def churn(server_id: str) -> None:
        while not stop.is_set():
            store.transact(lambda session: claims.claim(session, session.get_one(Server, server_id), "h1"))
            store.transact(lambda session: claims.release(session, server_id))

    threads = [threading.Thread(target=churn, args=(server_id,)) for server_id in servers]
    for thread in threads:
        thread.start()
    found: list[Finding] = []
    try:
        for _ in range(25):
            found += _look(store)
            assert cure(surgery, sums)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert found + _look(store) == []
    with store.read() as session:
        assert session.get_one(Host, "h1").running_servers == 0

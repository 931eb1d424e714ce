"""Several schedulers and an agent at once on each database: no host is oversubscribed, no operation is done twice or lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from one_host import Cloud, Hypervisor
from sqlalchemy import select

from nova_lite.db.models import Allocation, Host, Operation, Server
from nova_lite.scheduler.service import Scheduler


@pytest.mark.timeout(300)
def test_schedulers_side_by_side(database_url: str, tmp_path: Path) -> None:
    room = Hypervisor(memory_mb=512 + 64 * 15)  # for 15 servers, beside what is kept for the host
    cloud = Cloud(tmp_path, url=database_url, hypervisor=room, with_bus=False)
    try:
        cloud.agent()
        servers = [cloud.create() for _ in range(25)]
        schedulers = [Scheduler(cloud.conf, cloud.store, None, cloud.waker) for _ in range(4)]

        def work(scheduler: Scheduler) -> None:
            while scheduler.place_some():
                pass

        threads = [threading.Thread(target=work, args=(scheduler,)) for scheduler in schedulers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        rows = [cloud.settled(server_id) for server_id in servers]
        assert sorted(row.vm_state for row in rows) == ["active"] * 15 + ["error"] * 10
        assert len(room.guests) == 15
        check(cloud, 15)
        deleters = [threading.Thread(target=cloud.ask, args=(server_id, "delete")) for server_id in servers]
        for thread in deleters:
            thread.start()
        for thread in deleters:
            thread.join(60)
        for server_id in servers:
            assert cloud.settled(server_id).deleted
        assert room.empty()
        check(cloud, 0)
    finally:
        cloud.close()


def check(cloud: Cloud, count: int) -> None:
    with cloud.store.read() as session:
        assert len(session.scalars(select(Allocation)).all()) == count
        host = session.get_one(Host, "h1")
        assert (host.used_vcpus, host.used_memory_mb, host.running_servers) == (count, 64 * count, count)
        creates = session.scalars(select(Operation).where(Operation.action == "create")).all()
        assert all(row.state in ("done", "failed") and row.attempt == 1 for row in creates)
        assert not session.scalars(select(Server.id).where(Server.task_state.is_not(None))).all()

"""A long copy of a guest's disk does not hold up what waits for it: a delete, a soft delete, the deadline, the end of the agent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import CONTAINER, IMAGE, ask
from sqlalchemy import select, update
from whole_cloud import WholeCloud

from nova_lite.agent import service
from nova_lite.compute.transitions import PowerState
from nova_lite.db import held_operations, operations
from nova_lite.db.models import Allocation, Image, Migration, Operation
from nova_lite.db.types import epoch
from nova_lite.virt.driver import GuestNotFound

FOR_EVER = 3600.0
FIRST = (1, 128, 1)
COPIES: dict[str, dict[str, Any]] = {
    "createImage": {"createImage": {"name": "shot"}},
    "createBackup": {"createBackup": {"name": "shot", "backup_type": "daily", "rotation": 1}},
    "shelve": {"shelve": None},
    "resize": {"resize": {"flavorRef": "2"}},
}


@pytest.fixture
def cloud(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WholeCloud]:
    options = {"compute.stop_timeout": 0.3, "compute.shelved_offload_time": -1, "scheduler.sweep_interval": 0.1}
    made = WholeCloud(tmp_path, **options, **getattr(request, "param", {"compute.reclaim_instance_interval": 0}))
    yield made
    made.driver.latency.copy = 0.0
    made.close()


def copying(cloud: WholeCloud, action: str, image: str = IMAGE) -> str:
    """Return a server of which a copy is under way that never ends by itself."""
    server_id = cloud.boot(imageRef=image)
    cloud.driver.latency.copy = FOR_EVER
    cloud.act(server_id, COPIES[action])
    call = "resize" if action == "resize" else "snapshot"
    cloud.until(lambda: (call, server_id) in cloud.driver.calls)
    cloud.until(lambda: action == "resize" or parts(cloud) != [])
    return server_id


def parts(cloud: WholeCloud) -> list[Path]:
    directory = cloud.directory / "snapshots"
    return list(directory.iterdir()) if directory.is_dir() else []


def made_images(cloud: WholeCloud) -> list[tuple[str, str]]:
    with cloud.store.read() as session:
        rows = session.scalars(select(Image))
        return [(row.name, row.status) for row in rows if "image_type" in row.properties]


def ends(cloud: WholeCloud, server_id: str) -> list[tuple[str, str]]:
    return [(row.action, row.state) for row in cloud.operations(server_id)][1:]


def is_as_before(cloud: WholeCloud, server_id: str) -> None:
    """Hold that the guest runs, and has the size that its server shows and holds of the host: the first."""
    guest, server = cloud.guest(server_id), cloud.server(server_id)
    assert guest["power"] == PowerState.RUNNING
    sizes = (server.vcpus, server.memory_mb, server.disk_gb)
    assert (guest["vcpus"], guest["memory_mb"], guest["disk_gb"]) == sizes == FIRST
    with cloud.store.read() as session:
        held = session.query(Allocation).one()
        assert (held.vcpus, held.memory_mb, held.disk_gb) == FIRST
        assert [row.status for row in session.query(Migration)] in ([], ["error"])


@pytest.mark.parametrize("image", [IMAGE, CONTAINER])
@pytest.mark.parametrize("action", COPIES)
def test_a_delete_ends_the_copy(cloud: WholeCloud, action: str, image: str) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = copying(cloud, action, image)
    assert (made_images(cloud) != []) == (action != "resize")
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert ends(cloud, server_id) == [(action, "cancelled"), ("delete", "done")]
    assert (parts(cloud), made_images(cloud)) == ([], [])
    with pytest.raises(GuestNotFound):
        cloud.driver.power(server_id)
    with cloud.store.read() as session:
        assert session.query(Allocation).count() == 0


def test_a_delete_by_force_ends_the_copy(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = copying(cloud, "createImage")
    cloud.act(server_id, {"forceDelete": None})
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert (parts(cloud), made_images(cloud)) == ([], [])


@pytest.mark.parametrize("cloud", [{"compute.reclaim_instance_interval": 3600}], indirect=True)
@pytest.mark.parametrize("action", COPIES)
def test_a_soft_delete_ends_the_copy_and_the_server_can_be_restored(cloud: WholeCloud, action: str) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = copying(cloud, action)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    assert cloud.settled(server_id).vm_state == "soft-delete"
    assert ends(cloud, server_id) == [(action, "cancelled"), ("soft-delete", "done")]
    assert (parts(cloud), made_images(cloud)) == ([], [])
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    is_as_before(cloud, server_id)


@pytest.mark.parametrize("action", COPIES)
def test_the_deadline_ends_the_copy(cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    for module in (operations, held_operations):
        monkeypatch.setattr(module, "LEASE_S", 3.0)
    monkeypatch.setattr(operations, "OVERTIME_S", 0.5)
    monkeypatch.setattr(service, "RENEW_S", 0.3)
    monkeypatch.setattr(service, "COLLISION_S", 0.1)
    agent = cloud.agent()
    cloud.scheduler()
    server_id = copying(cloud, action)
    late = update(Operation).where(Operation.action == action).values(deadline=epoch() - 1)
    cloud.store.transact(lambda session: session.execute(late))
    cloud.until(lambda: cloud.server(server_id).task_state is None)
    assert "not done in time" in cloud.server(server_id).fault["message"]
    cloud.until(lambda: not agent._held)
    cloud.quiet()
    assert (parts(cloud), made_images(cloud)) == ([], [])
    assert cloud.server(server_id).vm_state == "active"
    is_as_before(cloud, server_id)


def test_an_agent_that_is_stopped_hands_the_copy_back_and_the_next_one_makes_it(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    cloud.scheduler()
    server_id = copying(cloud, "createImage")
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 60
    work = cloud.operations(server_id)[-1]
    assert (work.state, work.owner) == ("pending", None)
    cloud.until(lambda: parts(cloud) == [])
    cloud.until(lambda: not agent._held)
    cloud._agents.remove(agent)
    cloud.driver.latency.copy = 0.0
    cloud.agent()
    assert cloud.settled(server_id).vm_state == "active"
    assert made_images(cloud) == [("shot", "active")]

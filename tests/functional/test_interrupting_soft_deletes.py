"""A soft delete that comes while something else is being done, or between a resize and its confirmation; and what comes back then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from action_requests import LIVE, LIVE_SPECS
from compute_cloud import ADMIN, ask
from sqlalchemy import select
from whole_cloud import WholeCloud

from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Allocation, Flavor, Image, Migration, Server
from nova_lite.virt.driver import DriverError

RESIZE = {"resize": {"flavorRef": "r2"}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    options: dict[str, Any] = {
        "compute.resize_confirm_window": -1,
        "compute.shelved_offload_time": -1,
        "compute.reclaim_instance_interval": 3600,
        "compute.reconcile_interval": 3600,
        "compute.max_attempts": 1,
    }
    made = WholeCloud(tmp_path, **options)
    made.store.transact(add_flavors)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def add_flavors(session: Any) -> None:
    session.add(Flavor(flavorid="r1", name="r1", vcpus=1, memory_mb=128, disk_gb=1))
    session.add(Flavor(flavorid="r2", name="r2", vcpus=2, memory_mb=256, disk_gb=2))
    session.add(Flavor(flavorid=LIVE, name="live", vcpus=1, memory_mb=64, disk_gb=1, extra_specs=LIVE_SPECS))


def soft_delete(cloud: WholeCloud, server_id: str) -> Server:
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    server = cloud.settled(server_id)
    assert server.vm_state == "soft-delete"
    return server


def soft_delete_during(cloud: WholeCloud, server_id: str, call: str, body: Any) -> Server:
    """Ask for an action, and delete the server while the driver is at *call*, which comes to its end."""
    with cloud.holding(call) as reached:
        cloud.act(server_id, body, token=ADMIN, status=204 if "confirmResize" in body else 202)
        assert reached.wait(60)
        assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    server = cloud.settled(server_id)
    assert server.vm_state == "soft-delete"
    assert [row.state for row in cloud.operations(server_id)[-2:]] == ["done", "done"]
    return server


def held(cloud: WholeCloud, server_id: str) -> tuple[int, int, int] | None:
    with cloud.store.read() as session:
        row = session.get(Allocation, server_id)
    return (row.vcpus, row.memory_mb, row.disk_gb) if row else None


def check_size(cloud: WholeCloud, server_id: str, flavor: str, *size: int) -> None:
    """The row, the claim, the host's sums and the guest say the same."""
    server = cloud.server(server_id)
    assert (server.flavor["id"], server.vcpus, server.memory_mb, server.disk_gb) == (flavor, *size)
    assert held(cloud, server_id) == size == cloud.used()
    guest = cloud.guest(server_id)
    assert (guest["vcpus"], guest["memory_mb"]) == size[:2]


def migrations(cloud: WholeCloud) -> list[str]:
    with cloud.store.read() as session:
        return list(session.scalars(select(Migration.status).order_by(Migration.id)))


def test_a_live_resize_that_was_done_is_the_server_s_size(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    soft_delete_during(cloud, server_id, "resize_live", {"resize": {"flavorRef": LIVE}})
    check_size(cloud, server_id, LIVE, 1, 64, 1)
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_size(cloud, server_id, LIVE, 1, 64, 1)


def test_a_resize_that_was_done_is_the_server_s_size(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    soft_delete_during(cloud, server_id, "resize", RESIZE)
    server = cloud.do(server_id, {"restore": None})
    assert server.vm_state == "active" and "old_flavor" not in server.system_metadata
    check_size(cloud, server_id, "r2", 2, 256, 2)
    assert migrations(cloud) == ["confirmed"]


def test_a_revert_that_was_done_is_the_server_s_size(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    assert cloud.do(server_id, RESIZE).vm_state == "resized"
    soft_delete_during(cloud, server_id, "revert_resize", {"revertResize": None})
    check_size(cloud, server_id, "r1", 1, 128, 1)
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_size(cloud, server_id, "r1", 1, 128, 1)
    assert migrations(cloud) == ["reverted"]


def test_a_restore_ends_the_resize_that_nobody_confirmed(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    assert cloud.do(server_id, RESIZE).vm_state == "resized"
    soft_delete(cloud, server_id)
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_size(cloud, server_id, "r2", 2, 256, 2)
    # The way back of the next resize must lead to the disk of then, not to that of the first.
    assert cloud.driver._extra(server_id, "before") is None
    assert migrations(cloud) == ["confirmed"]


def test_a_resize_keeps_the_disk_as_it_is_when_it_begins(cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = cloud.boot(flavorRef="r1")
    cloud.driver.faults.next_errors["resize"] = ["the answer was lost"]
    cloud.driver.faults.after = True
    with monkeypatch.context() as undoing:
        undoing.setattr(cloud.driver, "revert_resize", fail)
        assert cloud.do(server_id, RESIZE).vm_state == "error"
    assert cloud.driver._extra(server_id, "before") == 1  # a disk from before, which nobody has thrown away
    assert cloud.do(server_id, {"reboot": {"type": "HARD"}}).vm_state == "active"
    cloud.driver.calls.clear()
    assert cloud.do(server_id, RESIZE).vm_state == "resized"
    assert [action for action, _ in cloud.driver.calls if action.endswith("resize")] == ["confirm_resize", "resize"]


def fail(*_arguments: Any, **_options: Any) -> None:
    raise DriverError("not now")


def test_a_server_that_was_offloaded_just_then_can_be_had_again(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    assert cloud.do(server_id, {"shelve": None}).vm_state == "shelved"
    server = soft_delete_during(cloud, server_id, "stop_and_remove", {"shelveOffload": None})
    assert (server.host, held(cloud, server_id), cloud.used()) == (None, None, (0, 0, 0))
    cloud.act(server_id, {"restore": None})
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state, server.deleted_at) == ("shelved_offloaded", None, None)
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "active"
    check_size(cloud, server_id, "r1", 1, 128, 1)


def test_a_restored_server_keeps_no_snapshot_of_its_shelving(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    cloud.do(server_id, {"shelve": None})
    soft_delete(cloud, server_id)
    server = cloud.do(server_id, {"restore": None})
    assert (server.vm_state, server.power_state) == ("active", PowerState.RUNNING)
    assert server.system_metadata == {}
    with cloud.store.read() as session:
        assert not [row.name for row in session.scalars(select(Image)) if (row.name or "").endswith("-shelved")]


def test_a_delete_during_an_action_leaves_nothing(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="r1")
    with cloud.holding("resize") as reached:
        cloud.act(server_id, RESIZE)
        assert reached.wait(60)
        cloud.act(server_id, {"forceDelete": None})
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert cloud.used() == (0, 0, 0) and not cloud.driver.observe()

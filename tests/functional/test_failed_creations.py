"""What may be asked of a server whose creation failed: nothing that would wait for nobody, nor take room that it gave back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import IMAGE, ask, boot
from sqlalchemy import select, update
from whole_cloud import LATEST, WholeCloud

from nova_lite.db.models import Allocation, Host, Operation

REBUILD = {"rebuild": {"imageRef": IMAGE}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    yield made
    made.close()


def fail_to_boot(cloud: WholeCloud) -> str:
    reply = boot(cloud)
    assert reply.status_int == 202, reply.text
    server_id: str = reply.json["server"]["id"]
    assert cloud.settled(server_id).vm_state == "error"
    return server_id


def claims(cloud: WholeCloud) -> set[str]:
    with cloud.store.read() as session:
        return set(session.scalars(select(Allocation.server_id)))


def test_what_nobody_foresaw_is_logged_with_its_place_and_request(
    cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(cloud.images, "fetch", broken)
    cloud.agent()
    cloud.scheduler()
    server_id = fail_to_boot(cloud)
    fault = cloud.show(server_id)["fault"]
    assert fault["message"] == "The create failed unexpectedly on host host1." and "details" not in fault
    logged = next(record for record in caplog.records if "event=failing" in record.getMessage())
    assert logged.exc_info is not None and "in broken" in caplog.text
    with cloud.store.read() as session:
        asked_by = session.scalars(select(Operation.request_id).where(Operation.target_id == server_id)).one()
    assert f"request={asked_by}" in logged.getMessage()


def test_a_rebuild_takes_the_room_that_the_failure_gave_back(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    cloud.driver.faults.next_errors["spawn"] = ["no"]
    server_id = fail_to_boot(cloud)
    assert claims(cloud) == set()
    assert cloud.do(server_id, REBUILD).vm_state == "active"
    assert claims(cloud) == {server_id}
    assert cloud.used() == (1, 128, 1)


def test_a_rebuild_is_refused_when_there_is_no_room_left(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    cloud.driver.faults.next_errors["spawn"] = ["no"]
    server_id = fail_to_boot(cloud)
    cloud.store.transact(lambda session: session.execute(update(Host).values(used_vcpus=10_000)))
    reply = cloud.act(server_id, REBUILD, status=409)
    assert "has no room" in reply.json["conflictingRequest"]["message"]
    assert cloud.server(server_id).task_state is None
    assert claims(cloud) == set()


@pytest.mark.parametrize(
    "body",
    [
        {"reboot": {"type": "HARD"}},
        {"os-stop": None},
        {"trigger_crash_dump": None},
        {"rescue": None},
        REBUILD,
    ],
    ids=lambda body: str(next(iter(body))),
)
def test_what_no_host_can_do_is_refused_where_there_is_no_host(cloud: WholeCloud, body: Any) -> None:
    cloud.store.transact(lambda session: session.execute(update(Host).values(enabled=False)))
    cloud.scheduler()
    server_id = fail_to_boot(cloud)
    assert cloud.server(server_id).host is None
    reply = cloud.act(server_id, body, version=LATEST, status=409)
    assert "has no host" in reply.json["conflictingRequest"]["message"]
    assert cloud.server(server_id).task_state is None
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    assert cloud.server(server_id).deleted


def test_what_changes_no_state_leaves_the_fault_of_a_server_in_error(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["reboot"] = ["no"]
    fault = cloud.do(server_id, {"reboot": {"type": "HARD"}}).fault
    assert fault is not None and cloud.server(server_id).vm_state == "error"
    assert cloud.do(server_id, {"trigger_crash_dump": None}).fault == fault
    assert cloud.do(server_id, {"reboot": {"type": "HARD"}}).fault is None


def test_files_of_snapshots_that_nobody_makes_any_more_go(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    cloud.scheduler()
    server_id = cloud.boot()
    directory = cloud.directory / "snapshots"
    directory.mkdir(exist_ok=True)
    for name in (IMAGE, f"{IMAGE}.part"):
        (directory / name).write_bytes(b"cut off")
    with cloud.holding("snapshot") as reached:
        cloud.act(server_id, {"createImage": {"name": "shot"}})
        assert reached.wait(60)
        work = cloud.operations(server_id)[-1]
        (directory / work.arguments["image_id"]).write_bytes(b"under way")
        agent._upkeep.run()
        assert [path.name for path in directory.iterdir()] == [work.arguments["image_id"]]
    cloud.settled(server_id)
    assert list(directory.iterdir()) == []

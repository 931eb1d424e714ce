"""Lock, reset of the state, soft delete and what ends it, over the API with a real agent on the fake driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_cloud import ADMIN, IMAGE, OTHER, READER, ask
from sqlalchemy import func, select, update
from whole_cloud import LATEST, WholeCloud

from nova_lite.db.models import Allocation, HostNetworkState, Server
from nova_lite.virt.driver import GuestNotFound


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def set_row(cloud: WholeCloud, server_id: str, **values: object) -> None:
    cloud.store.transact(lambda session: session.execute(update(Server).where(Server.id == server_id).values(**values)))


def test_a_locked_server_takes_no_action_of_its_owner(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"lock": {"locked_reason": "do not touch"}})
    shown = cloud.show(server_id)
    assert (shown["locked"], shown["locked_reason"]) == (True, "do not touch")
    for body in ({"os-stop": None}, {"reboot": {"type": "HARD"}}, {"resize": {"flavorRef": "2"}}, {"shelve": None}):
        reply = cloud.act(server_id, body, status=409)
        assert reply.json["conflictingRequest"]["message"] == f"Instance {server_id} is locked"
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 409
    assert cloud.do(server_id, {"os-stop": None}, token=ADMIN).vm_state == "stopped"
    cloud.act(server_id, {"unlock": None})
    assert cloud.show(server_id)["locked"] is False
    assert cloud.show(server_id)["locked_reason"] is None
    assert cloud.do(server_id, {"os-start": None}).vm_state == "active"


def test_an_admins_lock_is_opened_by_admins_only(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"lock": None}, token=ADMIN)
    assert cloud.server(server_id).locked_by == "admin"
    cloud.act(server_id, {"lock": {"locked_reason": "mine too"}})
    assert cloud.server(server_id).locked_by == "admin"
    cloud.act(server_id, {"unlock": None}, status=403)
    cloud.act(server_id, {"unlock": None}, token=ADMIN)
    assert cloud.show(server_id)["locked"] is False


def test_lock_before_its_reason_takes_anything_and_others_find_nothing(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"lock": "x"}, version="2.72")
    assert cloud.server(server_id).locked_reason is None
    cloud.act(server_id, {"lock": "x"}, status=400)
    cloud.act(server_id, {"lock": {"locked_reason": ""}}, status=400)
    for body in ({"lock": None}, {"unlock": None}, {"forceDelete": None}, {"restore": None}):
        cloud.act(server_id, body, token=OTHER, status=404)


EVERY_ACTION = (
    {"rebuild": {"imageRef": IMAGE}},
    {"resize": {"flavorRef": "2"}},
    {"confirmResize": None},
    {"revertResize": None},
    {"createImage": {"name": "x"}},
    {"createBackup": {"name": "x", "backup_type": "daily", "rotation": 1}},
    {"rescue": None},
    {"unrescue": None},
    {"shelve": None},
    {"unshelve": None},
    {"restore": None},
    {"forceDelete": None},
    {"trigger_crash_dump": None},
    {"changePassword": {"adminPass": "x"}},
    {"lock": None},
    {"unlock": None},
)


def test_no_action_is_a_strangers_or_a_readers(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    for body in EVERY_ACTION:
        cloud.act(server_id, body, token=OTHER, status=404)
        cloud.act(server_id, body, token=READER, status=403)
    for body in ({"os-resetState": {"state": "error"}}, {"shelveOffload": None}):
        cloud.act(server_id, body, token=OTHER, status=404)
        cloud.act(server_id, body, status=403)
    assert [row.action for row in cloud.operations(server_id)] == ["create"]


def test_reset_state_is_an_admins(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"os-resetState": {"state": "error"}}, status=403)
    cloud.act(server_id, {"os-resetState": {"state": "error"}}, token=ADMIN)
    assert cloud.show(server_id)["status"] == "ERROR"
    cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    assert cloud.show(server_id)["status"] == "ACTIVE"
    cloud.act(server_id, {"os-resetState": {"state": "paused"}}, token=ADMIN, status=400)
    names = [row.action for row in cloud.operations(server_id)]
    assert names == ["create", "resetState", "resetState"]


def test_reset_state_frees_a_server_that_hangs(tmp_path: Path) -> None:
    cloud = WholeCloud(tmp_path)
    try:
        agent = cloud.agent()
        cloud.scheduler()
        server_id = cloud.boot()
        cloud.kill(agent)
        cloud.act(server_id, {"reboot": {"type": "HARD"}})
        cloud.act(server_id, {"os-stop": None}, status=409)
        cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
        assert [row.state for row in cloud.operations(server_id)][1] == "cancelled"
        cloud.agent()
        assert cloud.do(server_id, {"os-stop": None}).vm_state == "stopped"
    finally:
        cloud.close()


def test_soft_delete_and_restore(cloud: WholeCloud) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    server_id = cloud.boot()
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    server = cloud.settled(server_id)
    assert (server.vm_state, server.deleted) == ("soft-delete", False)
    assert cloud.show(server_id)["status"] == "SOFT_DELETED"
    assert cloud.guest(server_id)["power"] == 4
    assert ask(cloud, "GET", "/servers").json["servers"] == []
    listed = ask(cloud, "GET", "/servers?all_tenants=1&status=SOFT_DELETED", token=ADMIN).json["servers"]
    assert [row["id"] for row in listed] == [server_id]
    cloud.act(server_id, {"os-start": None}, status=409)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    assert cloud.settled(server_id).vm_state == "soft-delete"
    server = cloud.do(server_id, {"restore": None})
    assert (server.vm_state, server.deleted_at) == ("active", None)
    assert cloud.guest(server_id)["power"] == 1
    reply = cloud.act(server_id, {"restore": None}, status=409)
    assert "Cannot 'restore' instance" in reply.json["conflictingRequest"]["message"]


def test_a_soft_deleted_server_is_reclaimed(cloud: WholeCloud) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 1, group="compute")
    server_id = cloud.boot()
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).vm_state == "soft-delete")
    assert not cloud.server(server_id).deleted
    cloud.until(lambda: cloud.server(server_id).deleted)
    with pytest.raises(GuestNotFound):
        cloud.guest(server_id)
    assert cloud.used() == (0, 0, 0)


def test_force_delete_does_not_wait(cloud: WholeCloud) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    server_id = cloud.boot()
    ask(cloud, "DELETE", f"/servers/{server_id}")
    assert cloud.settled(server_id).vm_state == "soft-delete"
    cloud.act(server_id, {"forceDelete": None})
    cloud.until(lambda: cloud.server(server_id).deleted)
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Allocation)) == 0


def test_what_was_never_built_is_deleted_at_once(cloud: WholeCloud) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    cloud.driver.faults.next_errors["spawn"] = ["no"]
    reply = ask(
        cloud,
        "POST",
        "/servers",
        {
            "server": {
                "name": "x",
                "imageRef": "11111111-1111-4111-8111-111111111111",
                "flavorRef": "1",
                "networks": "auto",
            }
        },
        version=LATEST,
    )
    server_id = reply.json["server"]["id"]
    assert cloud.settled(server_id).vm_state == "error"
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)


def test_a_failed_restore_leaves_it_where_it_was(cloud: WholeCloud) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    server_id = cloud.boot()
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.settled(server_id)
    cloud.driver.faults.next_errors["start"] = ["it will not"]
    server = cloud.do(server_id, {"restore": None})
    assert server.vm_state == "soft-delete"
    assert server.fault is not None and server.fault["message"] == "it will not"


def test_networks_are_applied_again_and_are_not_reset(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"injectNetworkInfo": None}, status=403)
    cloud.act(server_id, {"injectNetworkInfo": None}, token=ADMIN)
    with cloud.store.read() as session:
        before = session.get_one(HostNetworkState, "host1").wanted
    cloud.act(server_id, {"injectNetworkInfo": None}, token=ADMIN)
    with cloud.store.read() as session:
        assert session.get_one(HostNetworkState, "host1").wanted == before + 1
    cloud.act(server_id, {"resetNetwork": None}, token=ADMIN, status=410)

"""Rescue, crash dump, passwords and the steps of an action, over the API with a real agent on the fake driver."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import ADMIN, CONTAINER, IMAGE, PRIVATE_IMAGE, UNIKERNEL, ask
from patient_cloud import cloud  # noqa: F401
from sqlalchemy import func, select
from whole_cloud import WholeCloud

from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Image, Server


def set_image(cloud: WholeCloud, image_id: str, **properties: str) -> None:
    def work(session: Any) -> None:
        image = session.get(Image, image_id)
        image.properties = {**image.properties, **properties}

    cloud.store.transact(work)


def test_rescue_and_unrescue(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    reply = cloud.act(server_id, {"rescue": {"adminPass": "secret"}}, status=200)
    assert reply.json == {"adminPass": "secret"}
    server = cloud.settled(server_id)
    assert (server.vm_state, cloud.show(server_id)["status"]) == ("rescued", "RESCUE")
    assert server.system_metadata == {"rescue_image_id": IMAGE}
    cloud.act(server_id, {"os-stop": None}, status=409)
    server = cloud.do(server_id, {"unrescue": None})
    assert (server.vm_state, server.system_metadata) == ("active", {})
    reply = cloud.act(server_id, {"unrescue": None}, status=409)
    assert "Cannot 'unrescue' instance" in reply.json["conflictingRequest"]["message"]


def test_rescue_with_an_image_of_ones_own(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    image_id = cloud.act(server_id, {"createImage": {"name": "shot"}}).json["image_id"]
    cloud.settled(server_id)
    cloud.act(server_id, {"rescue": {"rescue_image_ref": PRIVATE_IMAGE}}, status=400)
    cloud.act(server_id, {"rescue": {"rescue_image_ref": UNIKERNEL}}, status=400)
    cloud.act(server_id, {"rescue": {"rescue_image_ref": image_id}}, status=200)
    assert cloud.settled(server_id).system_metadata == {"rescue_image_id": image_id}


def test_a_unikernel_is_not_rescued_and_says_why(cloud: WholeCloud) -> None:
    server_id = cloud.boot(imageRef=UNIKERNEL)
    reply = cloud.act(server_id, {"rescue": None}, status=400)
    assert "rebuild it" in reply.json["badRequest"]["message"]


def test_crash_dump(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"trigger_crash_dump": None}, version="2.16", status=404)
    assert cloud.do(server_id, {"trigger_crash_dump": None}, version="2.17").vm_state == "active"
    assert "NMI" in cloud.guest(server_id)["console"]
    cloud.do(server_id, {"os-stop": None})
    cloud.act(server_id, {"trigger_crash_dump": None}, status=409)
    container = cloud.boot(imageRef=CONTAINER)
    reply = cloud.act(container, {"trigger_crash_dump": None}, status=400)
    assert "kernel of its own" in reply.json["badRequest"]["message"]


def test_change_password(cloud: WholeCloud) -> None:
    set_image(cloud, IMAGE, hw_qemu_guest_agent="yes")
    server_id = cloud.boot()
    assert cloud.do(server_id, {"changePassword": {"adminPass": "new-secret"}}).vm_state == "active"
    assert ("set_password", server_id) in cloud.driver.calls
    with cloud.store.read() as session:
        rows = [str(vars(row)) for row in cloud.operations(server_id)]
        assert session.scalar(select(func.count()).select_from(Server)) == 1
    assert not any("new-secret" in row for row in rows)
    unikernel = cloud.boot(imageRef=UNIKERNEL)
    reply = cloud.act(unikernel, {"changePassword": {"adminPass": "x"}}, status=409)
    assert "no users" in reply.json["conflictingRequest"]["message"]
    server = cloud.settled(unikernel)
    assert (server.vm_state, server.task_state) == ("active", None)
    cloud.do(server_id, {"os-stop": None})
    cloud.act(server_id, {"changePassword": {"adminPass": "x"}}, status=409)


def test_a_suspended_container_shows_its_real_power(cloud: WholeCloud) -> None:
    server_id = cloud.boot(imageRef=CONTAINER)
    assert cloud.do(server_id, {"suspend": None}).power_state == 3
    other = cloud.boot()
    assert cloud.do(other, {"suspend": None}).power_state == 4


def test_the_steps_of_an_action(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    path = f"/servers/{server_id}/os-instance-actions"
    (created,) = ask(cloud, "GET", path, version="2.96").json["instanceActions"]
    shown = ask(cloud, "GET", f"{path}/{created['request_id']}", version="2.96").json["instanceAction"]["events"]
    names = [event["event"] for event in shown]
    assert names == ["schedule", "compute_fetch", "compute_plug", "compute_config_drive", "compute_spawn"]
    assert all(event["result"] == "Success" and event["start_time"] <= event["finish_time"] for event in shown)
    assert all("details" not in event and "traceback" not in event for event in shown)
    cloud.driver.faults.next_errors["resize"] = ["secret reason"]
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    last = ask(cloud, "GET", path, version="2.96").json["instanceActions"][0]
    assert last["action"] == "resize"
    url = f"{path}/{last['request_id']}"
    event = ask(cloud, "GET", url, version="2.96", token=ADMIN).json["instanceAction"]["events"][-1]
    assert (event["event"], event["result"], event["details"]) == ("compute_resize", "Error", "secret reason")
    assert event["host"] == "host1"
    event = ask(cloud, "GET", url, version="2.96").json["instanceAction"]["events"][-1]
    assert "details" not in event and "traceback" not in event and "host" not in event
    assert "events" not in ask(cloud, "GET", url, version="2.50").json["instanceAction"]


@pytest.mark.parametrize(("before", "power"), [("active", PowerState.RUNNING), ("stopped", PowerState.SHUTDOWN)])
def test_a_rescue_that_was_done_though_it_failed_is_undone(cloud: WholeCloud, before: str, power: PowerState) -> None:
    server_id = cloud.boot()
    if before == "stopped":
        cloud.do(server_id, {"os-stop": None})
    cloud.driver.faults.next_errors["rescue"] = ["the answer was lost"]
    cloud.driver.faults.after = True
    cloud.act(server_id, {"rescue": None}, status=200)
    server = cloud.settled(server_id)
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == (before, power, power)
    if before == "stopped":
        cloud.do(server_id, {"os-start": None})
    assert cloud.driver._extra(server_id, "rescue") is None

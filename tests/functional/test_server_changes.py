"""Resize, rebuild, images, rescue, shelve and the rest, over the API with a real agent on the fake driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, CONTAINER, IMAGE, KERNEL, OTHER, PRIVATE_IMAGE, UNIKERNEL, ask
from sqlalchemy import func, select, update
from whole_cloud import WholeCloud

from nova_lite.db.models import Flavor, Image, Migration, Server
from nova_lite.virt.driver import GuestNotFound

TINY, SMALL = (1, 128, 1), (2, 512, 20)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.resize_confirm_window": -1, "compute.shelved_offload_time": -1})
    made.agent()
    made.scheduler()
    yield made
    made.close()


def migrations(cloud: WholeCloud) -> list[str]:
    with cloud.store.read() as session:
        return list(session.scalars(select(Migration.status).order_by(Migration.id)))


def set_image(cloud: WholeCloud, image_id: str, **properties: str) -> None:
    def work(session: Any) -> None:
        image = session.get(Image, image_id)
        image.properties = {**image.properties, **properties}

    cloud.store.transact(work)


def size(cloud: WholeCloud, server_id: str) -> tuple[int, int]:
    row = cloud.guest(server_id)
    return row["vcpus"], row["memory_mb"]


def test_resize_and_confirm(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.power_state) == ("resized", 1)
    shown = cloud.show(server_id)
    assert (shown["status"], shown["flavor"]["original_name"]) == ("VERIFY_RESIZE", "small")
    assert size(cloud, server_id) == (2, 512)
    assert cloud.used() == SMALL
    cloud.act(server_id, {"resize": {"flavorRef": "1"}}, status=400)
    assert cloud.do(server_id, {"confirmResize": None}, status=204).vm_state == "active"
    assert cloud.used() == SMALL
    assert cloud.server(server_id).system_metadata == {}
    assert migrations(cloud) == ["confirmed"]
    reply = cloud.act(server_id, {"revertResize": None}, status=409)
    assert "Cannot 'revertResize' instance" in reply.json["conflictingRequest"]["message"]


def test_resize_and_revert_of_a_stopped_server(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("resized", 4, 4)
    server = cloud.do(server_id, {"revertResize": None})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("stopped", 4, 4)
    assert (server.vcpus, server.flavor["id"], cloud.used()) == (1, "1", TINY)
    assert migrations(cloud) == ["reverted"]
    assert cloud.do(server_id, {"os-start": None}).vm_state == "active"
    assert size(cloud, server_id) == (1, 128)


def test_a_resize_that_fails_is_undone(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["resize"] = ["no room on the disk"]
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 1, TINY)
    assert server.fault is not None and server.fault["message"] == "no room on the disk"
    assert size(cloud, server_id) == (1, 128)
    assert migrations(cloud) == ["error"]


def test_a_resize_that_can_not_be_undone_ends_in_error(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors |= {"resize": ["no"], "revert_resize": ["neither"]}
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, cloud.used()) == ("error", TINY)


def test_resizes_that_are_refused(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="2")
    huge = Flavor(flavorid="huge", name="huge", vcpus=2, memory_mb=100_000, disk_gb=20)
    cloud.store.transact(lambda session: session.add(huge))
    for flavor, words in (
        ("2", "must change flavor"),
        ("1", "smaller"),
        ("nothing", "Unable to locate"),
        ("private", "Unable to locate"),
        ("huge", "No valid host was found"),
    ):
        reply = cloud.act(server_id, {"resize": {"flavorRef": flavor}}, status=400)
        assert words in reply.json["badRequest"]["message"]
    assert (cloud.used(), cloud.server(server_id).task_state, migrations(cloud)) == (SMALL, None, [])
    cloud.do(server_id, {"pause": None})
    cloud.act(server_id, {"resize": {"flavorRef": "huge"}}, status=409)
    cloud.act(server_id, {"resize": {"flavorRef": "huge"}}, token=OTHER, status=404)


def test_a_resize_is_confirmed_by_itself(cloud: WholeCloud) -> None:
    cloud.conf.set_override("resize_confirm_window", 1, group="compute")
    server_id = cloud.boot()
    assert cloud.do(server_id, {"resize": {"flavorRef": "2"}}).vm_state == "resized"
    cloud.until(lambda: cloud.server(server_id).vm_state == "active")
    cloud.quiet()
    cloud.conf.set_override("resize_confirm_window", 0, group="compute")
    other = cloud.boot()
    assert cloud.do(other, {"resize": {"flavorRef": "2"}}).vm_state == "active"
    assert migrations(cloud) == ["confirmed", "confirmed"]


def test_deleting_a_resized_server_leaves_nothing(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert cloud.used() == (0, 0, 0)
    assert migrations(cloud) == ["confirmed"]


def test_live_resize(cloud: WholeCloud) -> None:
    specs = {"nova_lite:max_vcpus": "4", "nova_lite:max_memory_mb": "1024", "nova_lite:live": "true"}

    def flavors(session: Any) -> None:
        for name, vcpus, memory in (("l1", 1, 128), ("l2", 2, 512), ("l3", 8, 512)):
            session.add(Flavor(flavorid=name, name=name, vcpus=vcpus, memory_mb=memory, disk_gb=1, extra_specs=specs))

    cloud.store.transact(flavors)
    server_id = cloud.boot(flavorRef="l1")
    server = cloud.do(server_id, {"resize": {"flavorRef": "l2"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 2, (2, 512, 1))
    assert size(cloud, server_id) == (2, 512)
    assert [call for call, _ in cloud.driver.calls if call in ("resize", "resize_live")] == ["resize_live"]
    server = cloud.do(server_id, {"resize": {"flavorRef": "l3"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 2, (2, 512, 1))
    assert server.fault is not None and "room for" in server.fault["message"]
    cloud.act(server_id, {"resize": {"flavorRef": "2"}})
    assert cloud.settled(server_id).vm_state == "resized"


def test_migrations_are_listed_for_admins(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert ask(cloud, "GET", "/os-migrations").status_int == 403
    (old,) = ask(cloud, "GET", "/os-migrations", token=ADMIN).json["migrations"]
    assert "migration_type" not in old and old["instance_uuid"] == server_id
    assert (old["old_instance_type_id"], old["new_instance_type_id"], old["status"]) == (1, 2, "finished")
    answer = ask(cloud, "GET", "/os-migrations?limit=1", token=ADMIN, version="2.80").json
    assert answer["migrations"][0]["project_id"] == "demo" and "migrations_links" in answer
    path = f"/os-migrations?marker={answer['migrations'][0]['uuid']}"
    assert ask(cloud, "GET", path, token=ADMIN, version="2.80").json["migrations"] == []
    assert ask(cloud, "GET", "/os-migrations?status=error", token=ADMIN).json["migrations"] == []
    assert ask(cloud, "GET", "/os-migrations?nonsense=1", token=ADMIN, version="2.59").status_int == 400
    own = f"/servers/{server_id}/migrations"
    assert ask(cloud, "GET", own, token=ADMIN, version="2.23").json == {"migrations": []}
    assert ask(cloud, "GET", own, token=ADMIN, version="2.22").status_int == 404
    assert ask(cloud, "GET", f"{own}/1", token=ADMIN, version="2.23").status_int == 404


def test_rebuild(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    body = {
        "rebuild": {
            "imageRef": IMAGE,
            "name": "anew",
            "metadata": {"a": "b"},
            "description": "d",
            "user_data": "aGVsbG8=",
            "preserve_ephemeral": False,
        }
    }
    reply = cloud.act(server_id, body)
    answer = reply.json["server"]
    assert (answer["status"], answer["name"], answer["metadata"]) == ("REBUILD", "anew", {"a": "b"})
    assert len(answer["adminPass"]) == 12 and reply.headers["Location"].endswith(server_id)
    server = cloud.settled(server_id)
    assert (server.vm_state, server.name, server.user_data) == ("active", "anew", "aGVsbG8=")
    assert ("rebuild", server_id) in cloud.driver.calls


def test_rebuild_keeps_a_stopped_server_stopped_and_heals_one_in_error(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    server = cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("stopped", 4, 4)
    cloud.driver.lose(server_id)
    cloud.act(server_id, {"os-resetState": {"state": "error"}}, token=ADMIN)
    assert cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}}).vm_state == "active"
    assert cloud.guest(server_id)["power"] == 1


def test_rebuilds_that_are_refused(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    for body, version, status in (
        ({"imageRef": UNIKERNEL}, "2.96", 400),
        ({"imageRef": PRIVATE_IMAGE}, "2.96", 400),
        ({"imageRef": "nothing"}, "2.96", 400),
        ({"imageRef": IMAGE, "key_name": "none"}, "2.96", 400),
        ({"imageRef": IMAGE, "key_name": "none"}, "2.53", 400),
        ({"imageRef": IMAGE, "description": "x"}, "2.18", 400),
        ({"imageRef": IMAGE, "personality": []}, "2.57", 400),
        ({"name": "x"}, "2.96", 400),
    ):
        cloud.act(server_id, {"rebuild": body}, version=version, status=status)
    cloud.do(server_id, {"pause": None})
    cloud.act(server_id, {"rebuild": {"imageRef": IMAGE}}, status=409)


@pytest.mark.parametrize("image", [IMAGE, UNIKERNEL, CONTAINER])
def test_create_image(cloud: WholeCloud, image: str) -> None:
    server_id = cloud.boot(imageRef=image)
    reply = cloud.act(server_id, {"createImage": {"name": "shot", "metadata": {"my": "own"}}}, version="2.44")
    image_id = reply.headers["Location"].rpartition("/")[2]
    assert not reply.body
    assert cloud.settled(server_id).vm_state == "active"
    made = cloud.image(image_id)
    assert made is not None
    assert (made.status, made.owner, made.visibility, made.name) == ("active", "demo", "private", "shot")
    assert made.container_format == ("docker" if image == CONTAINER else "bare") and made.size
    wanted = {"image_type": "snapshot", "instance_uuid": server_id, "base_image_ref": image, "my": "own"}
    assert wanted.items() <= made.properties.items()
    if image == IMAGE:
        assert made.properties["kernel_id"] == KERNEL
    assert list((cloud.directory / "snapshots").iterdir()) == []
    reply = cloud.act(server_id, {"createImage": {"name": "again"}}, version="2.45")
    assert reply.json["image_id"]
    cloud.settled(server_id)
    assert cloud.boot(imageRef=image_id)


def test_a_failed_snapshot_leaves_no_image(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["snapshot"] = ["disk is full"]
    image_id = cloud.act(server_id, {"createImage": {"name": "shot"}}).json["image_id"]
    server = cloud.settled(server_id)
    assert server.vm_state == "active"
    assert server.fault is not None and server.fault["message"] == "disk is full"
    assert cloud.image(image_id) is None


def test_deleting_a_server_while_its_image_waits_removes_the_image(tmp_path: Path) -> None:
    cloud = WholeCloud(tmp_path)
    try:
        agent = cloud.agent()
        cloud.scheduler()
        server_id = cloud.boot()
        cloud.kill(agent)
        image_id = cloud.act(server_id, {"createImage": {"name": "shot"}}).json["image_id"]
        assert cloud.image(image_id) is not None
        ask(cloud, "DELETE", f"/servers/{server_id}")
        assert cloud.image(image_id) is None
        cloud.agent()
        cloud.until(lambda: cloud.server(server_id).deleted)
    finally:
        cloud.close()


def test_backups_rotate(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    made = []
    for number in range(3):
        body = {"createBackup": {"name": f"b{number}", "backup_type": "daily", "rotation": 2}}
        made.append(cloud.act(server_id, body).json["image_id"])
        cloud.settled(server_id)
    weekly = {"createBackup": {"name": "w", "backup_type": "weekly", "rotation": "1"}}
    made.append(cloud.act(server_id, weekly).json["image_id"])
    cloud.settled(server_id)
    assert [cloud.image(image_id) is not None for image_id in made] == [False, True, True, True]
    none = {"createBackup": {"name": "n", "backup_type": "daily", "rotation": 0}}
    assert "Location" not in cloud.act(server_id, none).headers
    cloud.settled(server_id)
    assert [cloud.image(image_id) is not None for image_id in made] == [False, False, False, True]
    cloud.act(server_id, {"createBackup": {"name": "n", "backup_type": "d", "rotation": -1}}, status=400)


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


def test_shelve_offload_and_unshelve(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    server = cloud.do(server_id, {"shelve": None})
    assert (server.vm_state, server.power_state, cloud.used()) == ("shelved", 4, TINY)
    image_id = server.system_metadata["shelved_image_id"]
    made = cloud.image(image_id)
    assert made is not None and made.name == "vm-shelved" and made.status == "active"
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "active"
    assert cloud.image(image_id) is None
    cloud.do(server_id, {"shelve": None})
    cloud.act(server_id, {"shelveOffload": None}, status=403)
    server = cloud.do(server_id, {"shelveOffload": None}, token=ADMIN)
    assert (server.vm_state, server.host, server.power_state, cloud.used()) == ("shelved_offloaded", None, 0, (0, 0, 0))
    with pytest.raises(GuestNotFound):
        cloud.guest(server_id)
    assert not cloud.networks.devices
    cloud.act(server_id, {"os-start": None}, status=409)
    server = cloud.do(server_id, {"unshelve": None})
    assert (server.vm_state, server.host, cloud.used()) == ("active", "host1", TINY)
    assert set(server.system_metadata) == {"root_image"} and cloud.guest(server_id)["power"] == 1
    assert len(cloud.networks.devices) == 1
    assert cloud.do(server_id, {"reboot": {"type": "HARD"}}).vm_state == "active"
    assert cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}}).system_metadata == {}


def test_shelve_gives_the_host_back_at_once_by_default(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id = cloud.boot()
    assert cloud.do(server_id, {"shelve": None}).vm_state == "shelved_offloaded"
    image_id = cloud.server(server_id).system_metadata["shelved_image_id"]
    ask(cloud, "DELETE", f"/servers/{server_id}")
    assert cloud.server(server_id).deleted and cloud.image(image_id) is None


def test_shelved_servers_are_offloaded_in_time(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 1, group="compute")
    server_id = cloud.boot()
    assert cloud.do(server_id, {"shelve": None}).vm_state == "shelved"
    cloud.until(lambda: cloud.server(server_id).vm_state == "shelved_offloaded")


def test_an_unshelve_without_room_leaves_it_shelved(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id = cloud.boot()
    cloud.do(server_id, {"shelve": None})
    cloud.store.transact(lambda s: s.execute(update(Server).where(Server.id == server_id).values(memory_mb=99_999)))
    server = cloud.do(server_id, {"unshelve": None})
    assert (server.vm_state, server.host, cloud.used()) == ("shelved_offloaded", None, (0, 0, 0))
    assert server.fault is not None and "No valid host" in server.fault["message"]


def test_a_failed_unshelve_leaves_nothing_on_the_host(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id = cloud.boot()
    cloud.do(server_id, {"shelve": None})
    cloud.driver.faults.next_errors["spawn"] = ["no"]
    server = cloud.do(server_id, {"unshelve": None})
    assert (server.vm_state, server.host, cloud.used()) == ("shelved_offloaded", None, (0, 0, 0))
    assert not cloud.networks.devices
    assert cloud.do(server_id, {"unshelve": None}).vm_state == "active"


def test_a_failed_shelve_lets_the_guest_go_on(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["snapshot"] = ["no"]
    server = cloud.do(server_id, {"shelve": None})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("active", 1, 1)


def test_where_to_unshelve(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id = cloud.boot()
    cloud.act(server_id, {"unshelve": {"availability_zone": "nova"}}, status=409)
    cloud.do(server_id, {"shelve": None})
    cloud.act(server_id, {"unshelve": {"availability_zone": "mars"}}, version="2.77", status=400)
    cloud.act(server_id, {"unshelve": {"host": "host1"}}, version="2.90", status=400)
    cloud.act(server_id, {"unshelve": {"host": "host1"}}, status=403)
    cloud.act(server_id, {"unshelve": {"host": "nowhere"}}, token=ADMIN, status=400)
    cloud.act(server_id, {"unshelve": {}}, status=400)
    server = cloud.do(server_id, {"unshelve": {"availability_zone": "nova"}}, version="2.77")
    assert (server.vm_state, server.availability_zone) == ("active", "nova")
    cloud.do(server_id, {"shelve": None})
    server = cloud.do(server_id, {"unshelve": {"availability_zone": None, "host": "host1"}}, token=ADMIN)
    assert (server.vm_state, server.availability_zone) == ("active", None)


def test_crash_dump(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.act(server_id, {"trigger_crash_dump": None}, version="2.16", status=400)
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

"""Images, backups and shelving of servers, over the API with a real agent on the fake driver."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import os
from pathlib import Path

import pytest
from compute_cloud import ADMIN, CONTAINER, IMAGE, KERNEL, UNIKERNEL, ask
from patient_cloud import cloud  # noqa: F401
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.db.models import Server
from nova_lite.image import files, removal
from nova_lite.virt.driver import GuestNotFound

TINY = (1, 128, 1)


def booted_from(cloud: WholeCloud, server_id: str) -> str:
    """Read on the console which image the guest was last started from."""
    return str(cloud.guest(server_id)["console"]).rpartition(" of image ")[2].split()[0]


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


def test_the_files_of_images_that_went_go_too(cloud: WholeCloud) -> None:
    store = files.Files(cloud.conf)

    def there() -> set[str]:
        return {path.name for path in store.root.iterdir()}

    server_id = cloud.boot()
    made = []
    for number in range(3):
        body = {"createBackup": {"name": f"b{number}", "backup_type": "daily", "rotation": 1}}
        made.append(cloud.act(server_id, body).json["image_id"])
        cloud.settled(server_id)
    cloud.do(server_id, {"shelve": None})
    cloud.do(server_id, {"unshelve": None})
    (store.root / "11111111-2222-4333-8444-555555555555").write_bytes(b"of a cloud that we do not know")
    left = store.root / f"{made[2]}.0123.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert len(there()) == 6
    assert removal.sweep(cloud.store, store) == 1, "only what nobody can be writing any more"
    assert removal.sweep(cloud.store, store, older_than_s=0) == 3
    assert there() == {made[2], "11111111-2222-4333-8444-555555555555"}
    assert removal.sweep(cloud.store, store, older_than_s=0) == 0
    cloud.do(server_id, {"shelve": None})
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    gone = next(iter(there() - {made[2], "11111111-2222-4333-8444-555555555555"}))
    file = store.path(gone)
    file.unlink()
    file.mkdir()  # what can't be removed
    other = cloud.boot()
    cloud.act(other, {"createImage": {"name": "later"}})
    cloud.settled(other)
    later = next(iter(there() - {gone, made[2], "11111111-2222-4333-8444-555555555555"}))
    assert ask(cloud, "DELETE", f"/images/{later}").status_int == 204
    removal.sweep(cloud.store, store, older_than_s=0)
    assert there() == {gone, made[2], "11111111-2222-4333-8444-555555555555"}, "it keeps no other, and is not forgotten"
    file.rmdir()
    file.touch()
    removal.sweep(cloud.store, store, older_than_s=0)
    assert there() == {made[2], "11111111-2222-4333-8444-555555555555"}


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
    cloud.act(server_id, {"unshelve": {}}, version="2.90", status=400)
    assert cloud.do(server_id, {"unshelve": {}}).vm_state == "active"
    cloud.do(server_id, {"shelve": None})
    server = cloud.do(server_id, {"unshelve": {"availability_zone": "nova"}}, version="2.77")
    assert (server.vm_state, server.availability_zone) == ("active", "nova")
    cloud.do(server_id, {"shelve": None})
    server = cloud.do(server_id, {"unshelve": {"availability_zone": None, "host": "host1"}}, token=ADMIN)
    assert (server.vm_state, server.availability_zone) == ("active", None)


def test_a_rebuild_after_an_unshelve_takes_the_image_and_not_the_snapshot(cloud: WholeCloud) -> None:
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id = cloud.boot()
    snapshot = cloud.do(server_id, {"shelve": None}).system_metadata["shelved_image_id"]
    root = cloud.do(server_id, {"unshelve": None}).system_metadata["root_image"]
    assert root["image_id"] == snapshot
    cloud.do(server_id, {"reboot": {"type": "HARD"}})
    assert booted_from(cloud, server_id) == snapshot
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert booted_from(cloud, server_id) == IMAGE

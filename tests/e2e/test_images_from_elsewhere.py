"""Images as others have made them, by the API from upload to console: an installer's CD, and a disk for a PC without virtio."""

from __future__ import annotations

import el_torito
from real_cloud import Cloud


def upload(cloud: Cloud, name: str, content: bytes, disk_format: str, **properties: str) -> str:
    body = {"name": name, "disk_format": disk_format, "container_format": "bare", **properties}
    made = cloud.ask("POST", "/image/v2/images", body, user="demo")
    assert made.status == 201, made
    path = f"/image/v2/images/{made.body['id']}/file"
    sent = cloud.ask("PUT", path, content, user="demo", headers={"Content-Type": "application/octet-stream"})
    assert sent.status == 204, sent
    return str(made.body["id"])


def test_an_installers_cd_boots_beside_an_empty_disk(cloud: Cloud) -> None:
    flavor = cloud.find("/compute/v2.1/flavors", "flavors", "m1.small")
    image = upload(cloud, "installer", el_torito.cd(b"C"), "iso")
    server_id = cloud.create("from-cd", "vm", imageRef=image, flavorRef=flavor)
    cloud.await_status(server_id, "ACTIVE")
    cloud.await_console(server_id, "C")
    cloud.delete([server_id])


def test_a_pc_without_virtio_boots(cloud: Cloud) -> None:
    properties = {"hw_disk_bus": "ide", "hw_vif_model": "e1000"}
    image = upload(cloud, "old-pc", el_torito.disk(b"D"), "raw", **properties)
    server_id = cloud.create("old-pc", "vm", imageRef=image)
    cloud.await_status(server_id, "ACTIVE")
    cloud.await_console(server_id, "D")
    cloud.delete([server_id])


def test_a_bus_that_there_is_not_is_named_in_the_fault(cloud: Cloud) -> None:
    image = upload(cloud, "other-pc", el_torito.disk(b"D"), "raw", hw_disk_bus="xen")
    server_id = cloud.create("other-pc", "vm", imageRef=image)
    cloud.await_status(server_id, "ERROR")
    message = cloud.show(server_id)["fault"]["message"]
    assert "hw_disk_bus" in message
    assert "virtio, scsi, sata, ide" in message
    cloud.delete([server_id])

"""UEFI, secure boot and machine types through API and scheduler: a host that has them, or a refusal that says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_cloud import ADMIN, IMAGE, UNIKERNEL, ask, boot
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.compute import traits
from nova_lite.db.models import Host, Image

UEFI = {"hw_firmware_type": "uefi"}
SECURE = UEFI | {"os_secure_boot": "required"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.driver.traits = (traits.MACHINE_PC, traits.MACHINE_Q35, traits.UEFI)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def give(cloud: WholeCloud, properties: dict[str, str], image_id: str = IMAGE) -> None:
    """Give the image other properties."""
    cloud.store.transact(
        lambda session: session.execute(update(Image).where(Image.id == image_id).values(properties=properties))
    )


def fault(cloud: WholeCloud) -> str:
    """Boot what no host can have, and return why."""
    server_id = boot(cloud).json["server"]["id"]
    assert cloud.settled(server_id).vm_state == "error"
    message: str = cloud.show(server_id)["fault"]["message"]
    return message


def refused(cloud: WholeCloud, server_id: str, body: dict[str, object]) -> str:
    message: str = cloud.act(server_id, body, status=400).json["badRequest"]["message"]
    return message


def test_a_host_that_has_it_is_chosen(cloud: WholeCloud) -> None:
    with cloud.store.read() as session:
        assert session.get_one(Host, "host1").traits == list(cloud.driver.traits)
    give(cloud, UEFI | {"hw_machine_type": "q35"})
    assert cloud.boot()


def test_where_none_has_it_the_fault_says_what(cloud: WholeCloud) -> None:
    give(cloud, SECURE)
    assert fault(cloud) == (
        "No valid host was found. 0 of 1 hosts: 1 without UEFI for VMs, which the package ovmf brings (image property "
        "hw_firmware_type=uefi) or UEFI with secure boot, which needs the machine type q35 and the package ovmf "
        "(image property os_secure_boot=required)."
    )


def test_what_no_host_could_have_is_refused_at_once(cloud: WholeCloud) -> None:
    give(cloud, {"hw_firmware_type": "coreboot"})
    reply = boot(cloud)
    assert reply.status_int == 400 and "hw_firmware_type" in reply.json["badRequest"]["message"]
    give(cloud, {"nova_lite_kind": "unikernel"} | UEFI, UNIKERNEL)
    reply = boot(cloud, imageRef=UNIKERNEL)
    assert reply.status_int == 400 and "unikernel" in reply.json["badRequest"]["message"]


def test_rebuild_and_resize_stay_on_a_host_that_must_have_it(cloud: WholeCloud) -> None:
    give(cloud, UEFI)
    server_id = cloud.boot()
    give(cloud, SECURE)
    assert "The server's host is without UEFI with secure boot" in refused(
        cloud, server_id, {"rebuild": {"imageRef": IMAGE}}
    )
    body = {"flavor": {"name": "strict", "ram": 256, "vcpus": 1, "disk": 1}}
    flavor = ask(cloud, "POST", "/flavors", body, token=ADMIN).json["flavor"]["id"]
    specs = {"extra_specs": {"os:secure_boot": "required"}}
    assert ask(cloud, "POST", f"/flavors/{flavor}/os-extra_specs", specs, token=ADMIN).status_int == 200
    assert "extra spec os:secure_boot=required" in refused(cloud, server_id, {"resize": {"flavorRef": flavor}})
    cloud.store.transact(lambda session: session.execute(update(Host).values(traits=list(traits.WORDS))))
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert cloud.server(server_id).image_properties["os_secure_boot"] == "required"
    cloud.do(server_id, {"resize": {"flavorRef": flavor}})


def test_an_image_of_a_server_asks_for_the_same(cloud: WholeCloud) -> None:
    give(cloud, UEFI | {"hw_machine_type": "q35"})
    server_id = cloud.boot()
    made = cloud.act(server_id, {"createImage": {"name": "kept"}}).json["image_id"]
    cloud.quiet()
    image = cloud.image(made)
    assert image is not None
    assert (image.properties["hw_firmware_type"], image.properties["hw_machine_type"]) == ("uefi", "q35")


def test_traits_may_be_asked_for_by_name(cloud: WholeCloud) -> None:
    give(cloud, {f"trait:{traits.UEFI}": "required"})
    assert cloud.boot()
    give(cloud, {f"trait:{traits.UEFI}": "forbidden"})
    assert f"1 with {traits.UEFI}" in fault(cloud)
    give(cloud, {"trait:CUSTOM_GOLD": "required"})
    assert "trait:CUSTOM_GOLD=required" in fault(cloud)

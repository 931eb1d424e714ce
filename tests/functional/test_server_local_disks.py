"""Ephemeral disks and swap over the API, with a real agent on the fake driver: given, counted, kept, made anew, refused."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import ADMIN, CONTAINER, DEMO, IMAGE, UNIKERNEL, ask, boot
from patient_cloud import cloud  # noqa: F401
from whole_cloud import WholeCloud

from nova_lite.db.models import Flavor, Server
from nova_lite.doctor import diagnosis, gathering

ROOT = {"source_type": "image", "uuid": IMAGE, "destination_type": "local", "boot_index": 0}
BLANK = {"source_type": "blank", "destination_type": "local", "boot_index": -1}
SWAP = {**BLANK, "guest_format": "swap"}
LARGEST = "Ephemeral disks requested are larger than the instance type allows. If no size is given in one"
SEQUENCE = (
    "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is"
)


@pytest.fixture(autouse=True)
def flavors(cloud: WholeCloud) -> None:
    live = {"nova_lite:live": "true"}

    def work(session: Any) -> None:
        for name, ephemeral, swap, specs in (
            ("e5s512", 5, 512, {}),
            ("e8s1500", 8, 1500, {}),
            ("e5", 5, 0, {}),
            ("live", 6, 512, live),
            ("live-same", 5, 512, live),
        ):
            row = Flavor(flavorid=name, name=name, vcpus=1, memory_mb=128, disk_gb=1, extra_specs=specs)
            row.ephemeral_gb, row.swap_mb = ephemeral, swap
            session.add(row)

    cloud.store.transact(work)


def disks(cloud: WholeCloud, server_id: str) -> dict[str, Any]:
    """Return what the guest has, in GiB and MiB, without when it was made."""
    kept = cloud.driver._extra(server_id, "disks") or {}
    return {name: disk.get("gb") or disk.get("mb") for name, disk in kept.items()}


def made_at(cloud: WholeCloud, server_id: str) -> float:
    return float(cloud.driver._extra(server_id, "disks")["ephemeral0"]["since"])


def test_a_flavor_gives_them_and_the_host_counts_them(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="e5s512")
    assert disks(cloud, server_id) == {"ephemeral0": 5, "swap": 512}
    assert cloud.used() == (1, 128, 1 + 5 + 1)
    hypervisor = ask(cloud, "GET", "/os-hypervisors/detail", token=ADMIN).json["hypervisors"][0]
    assert hypervisor["local_gb_used"] == 7
    shown = ask(cloud, "GET", "/os-hosts/host1", token=ADMIN).json["host"]
    assert [row["resource"]["disk_gb"] for row in shown if row["resource"]["project"] == "demo"] == [6]
    assert diagnosis.diagnose(gathering.gather(cloud.store, None)) == []
    usage = ask(cloud, "GET", "/os-simple-tenant-usage/demo?detailed=1", token=DEMO).json["tenant_usage"]
    assert [server["local_gb"] for server in usage["server_usages"]] == [6]
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert cloud.used() == (0, 0, 0)


def test_a_request_may_split_and_lessen_them(cloud: WholeCloud) -> None:
    mapping = [
        ROOT,
        {**BLANK, "volume_size": 2, "guest_format": "ext3"},
        {**BLANK, "volume_size": "3", "device_name": "/dev/vdq", "delete_on_termination": True},
        {**SWAP, "volume_size": 100},
    ]
    cloud.conf.set_override("max_local_block_devices", 4, group="compute")
    server_id = cloud.boot(flavorRef="e5s512", block_device_mapping_v2=mapping)
    assert disks(cloud, server_id) == {"ephemeral0": 2, "ephemeral1": 3, "swap": 100}
    kept = cloud.driver._extra(server_id, "disks")
    assert (kept["ephemeral0"]["format"], kept["ephemeral1"]["format"]) == ("ext3", "")
    assert cloud.used() == (1, 128, 7)  # what the flavor gives, as in Nova
    cloud.do(server_id, {"resize": {"flavorRef": "e8s1500"}})
    assert disks(cloud, server_id) == {"ephemeral0": 2, "ephemeral1": 3, "swap": 100}
    cloud.conf.set_override("max_local_block_devices", -1, group="compute")
    reply = boot(cloud, flavorRef="e5s512", block_device_mapping_v2=[ROOT, *[BLANK] * 20])
    assert (reply.status_int, "more local devices than the limit" in reply.text) == (400, True)
    plain = cloud.boot(flavorRef="e5s512", block_device_mapping_v2=[ROOT, BLANK, SWAP])
    assert disks(cloud, plain) == {"ephemeral0": 5, "swap": 512}
    alone = cloud.boot(flavorRef="e5s512", block_device_mapping_v2=[ROOT, {"no_device": True, "device_name": "vdb"}])
    assert disks(cloud, alone) == {"ephemeral0": 5, "swap": 512}


def test_what_reboots_keep_and_a_rebuild_or_an_offload_begins_anew(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="e5s512")
    since = made_at(cloud, server_id)
    for body in (
        {"reboot": {"type": "HARD"}},
        {"rescue": {}},
        {"unrescue": None},
        {"os-stop": None},
        {"os-start": None},
    ):
        cloud.do(server_id, body, status=200 if "rescue" in body else 202)
    assert made_at(cloud, server_id) == since
    keeping = {"rebuild": {"imageRef": IMAGE, "preserve_ephemeral": True}}
    reply = cloud.act(server_id, keeping, status=400)
    assert "does not support preserving ephemeral partitions" in str(reply.json)
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert made_at(cloud, server_id) > since
    since = made_at(cloud, server_id)
    cloud.do(server_id, {"shelve": None})
    cloud.do(server_id, {"shelveOffload": None}, token=ADMIN)
    assert cloud.used() == (0, 0, 0)
    cloud.do(server_id, {"unshelve": None})
    assert (disks(cloud, server_id), made_at(cloud, server_id) > since) == ({"ephemeral0": 5, "swap": 512}, True)
    assert cloud.used() == (1, 128, 7)


def test_a_resize_grows_them_and_a_revert_goes_back(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="e5s512")
    cloud.do(server_id, {"resize": {"flavorRef": "e8s1500"}})
    assert (disks(cloud, server_id), cloud.used()) == ({"ephemeral0": 8, "swap": 1500}, (1, 128, 1 + 8 + 2))
    cloud.do(server_id, {"revertResize": None})
    assert (disks(cloud, server_id), cloud.used()) == ({"ephemeral0": 5, "swap": 512}, (1, 128, 7))
    cloud.do(server_id, {"resize": {"flavorRef": "e5"}})
    assert (disks(cloud, server_id), cloud.used()) == ({"ephemeral0": 5}, (1, 128, 7))
    cloud.do(server_id, {"confirmResize": None}, status=204)
    assert cloud.used() == (1, 128, 6)
    reply = cloud.act(server_id, {"resize": {"flavorRef": "1"}}, status=400)
    assert "Ephemeral disks can't be made smaller: the server has 5 GiB, flavor tiny 0." in str(reply.json)
    without = cloud.boot()
    cloud.do(without, {"resize": {"flavorRef": "e5s512"}})
    assert disks(cloud, without) == {"ephemeral0": 5, "swap": 512}


def test_a_live_resize_leaves_them(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="e5s512")
    reply = cloud.act(server_id, {"resize": {"flavorRef": "live"}}, status=400)
    assert "resized live with the disks that it has" in str(reply.json)
    cloud.do(server_id, {"resize": {"flavorRef": "live-same"}})
    assert cloud.server(server_id).flavor["id"] == "live-same"
    assert disks(cloud, server_id) == {"ephemeral0": 5, "swap": 512}


@pytest.mark.parametrize("version", ["2.1", "2.74"])
@pytest.mark.parametrize(
    ("flavor", "members", "words"),
    [
        ("e5s512", [ROOT, {**BLANK, "volume_size": 6}], LARGEST),
        ("e5s512", [ROOT, {**BLANK, "volume_size": 3}, BLANK], LARGEST),
        ("1", [ROOT, BLANK], LARGEST),
        ("e5s512", [ROOT, {**SWAP, "volume_size": 513}], "Swap drive requested is larger than instance type allows."),
        ("e5", [ROOT, SWAP], "Swap drive requested is larger than instance type allows."),
        ("e5s512", [ROOT, SWAP, SWAP], "Block Device Mapping is Invalid: More than one swap drive requested."),
        ("e5s512", [ROOT, BLANK, BLANK, SWAP], "You specified more local devices than the limit allows"),
        ("e5s512", [BLANK], SEQUENCE),
        ("e5s512", [ROOT, ROOT], SEQUENCE),
        ("e5s512", [ROOT, {**BLANK, "boot_index": 2}], SEQUENCE),
        ("e5s512", [ROOT, {**BLANK, "boot_index": "9" * 5000}], "Boot index is invalid."),
        ("e5s512", [{**ROOT, "boot_index": 1}], "Mapping image to local is not supported."),
        ("e5s512", [ROOT, {**BLANK, "guest_format": "ntfs"}], "Block Device Mapping is Invalid: ntfs format is not"),
        ("e5s512", [ROOT, {**BLANK, "uuid": IMAGE}], "Block Device Mapping is Invalid: Invalid device UUID."),
        ("e5s512", [{**ROOT, "uuid": ""}], "uuid"),
        ("e5s512", [{"source_type": "image", "boot_index": 0}], "Missing device UUID."),
        ("e5s512", [ROOT, {**BLANK, "disk_bus": "floppy"}], "The provided disk bus floppy is not valid."),
        ("e5s512", [ROOT, {**BLANK, "disk_bus": "scsi"}], "hw_disk_bus names (virtio), not at scsi"),
        ("e5s512", [ROOT, {**BLANK, "device_type": "cdrom"}], "has device_type disk, not cdrom"),
        ("e5s512", [ROOT, {**BLANK, "volume_size": 0}], "volume_size"),
        ("e5s512", [ROOT, {**BLANK, "destination_type": "volume", "volume_size": 1}], "there are no volumes yet"),
        ("e5s512", [ROOT, {"source_type": "snapshot", "uuid": IMAGE}], "there are no volumes yet"),
    ],
)
def test_what_can_not_be_is_refused(
    cloud: WholeCloud, flavor: str, members: list[Any], words: str, version: str
) -> None:
    extra = {"networks": "none"} if version == "2.74" else {}
    reply = boot(cloud, flavorRef=flavor, block_device_mapping_v2=members, version=version, **extra)
    assert reply.status_int == 400, reply.text
    assert words in reply.json["badRequest"]["message"]
    assert cloud.used() == (0, 0, 0)


def test_each_kind_has_what_it_can_use(cloud: WholeCloud) -> None:
    reply = boot(cloud, imageRef=UNIKERNEL, flavorRef="e5s512")
    assert (reply.status_int, "a unikernel does not swap" in reply.text) == (400, True)
    unikernel = cloud.boot(imageRef=UNIKERNEL, flavorRef="e5")
    assert disks(cloud, unikernel) == {"ephemeral0": 5}
    reply = cloud.act(unikernel, {"resize": {"flavorRef": "e8s1500"}}, status=400)
    assert "a unikernel does not swap" in str(reply.json)
    root = {**ROOT, "uuid": CONTAINER}
    mapping = [root, {**BLANK, "guest_format": "vfat"}]
    reply = boot(cloud, imageRef=CONTAINER, flavorRef="e5s512", block_device_mapping_v2=mapping)
    assert (reply.status_int, "a container's ephemeral disks are ext4, not vfat" in reply.text) == (400, True)
    mapping = [root, {**BLANK, "guest_format": "ext4"}, SWAP]
    container = cloud.boot(imageRef=CONTAINER, flavorRef="e5s512", block_device_mapping_v2=mapping)
    assert disks(cloud, container) == {"ephemeral0": 5, "swap": 512}


def test_a_host_without_room_for_them_is_none(cloud: WholeCloud) -> None:
    vast = Flavor(flavorid="vast", name="vast", vcpus=1, memory_mb=128, disk_gb=1)
    vast.ephemeral_gb, vast.swap_mb = 498, 1025
    cloud.store.transact(lambda session: session.add(vast))
    server_id = boot(cloud, flavorRef="vast").json["server"]["id"]
    server = cloud.settled(server_id)
    assert server.vm_state == "error" and "without 501 GiB of free disk" in str(server.fault)
    small = cloud.boot(flavorRef="e5")
    reply = cloud.act(small, {"resize": {"flavorRef": "vast"}}, status=400)
    assert "and 501 in all" in str(reply.json)


def test_servers_from_before_have_none(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    flavor = {**cloud.server(server_id).flavor, "ephemeral": 5, "swap": 64}

    def work(session: Any) -> None:
        session.get_one(Server, server_id).flavor = flavor

    cloud.store.transact(work)
    cloud.do(server_id, {"reboot": {"type": "HARD"}})
    assert (disks(cloud, server_id), cloud.used()) == ({}, (1, 128, 1))

"""A flavor's ephemeral disk and swap, from the API to a real guest that uses them as its metadata says, and nothing left of them."""

from __future__ import annotations

import base64
import re

from private_host import wait_for
from real_cloud import Cloud, marks_of, traces

LOOK = """#!/bin/sh
modprobe vfat
at=http://169.254.169.254/latest/meta-data/block-device-mapping
mkdir -p /run/own
swapon $(wget -q -O - $at/swap)
mount $(wget -q -O - $at/ephemeral0) /run/own && echo "found $(cat /run/own/count 2>/dev/null | wc -l)"
echo x >>/run/own/count
sed 's/^/swap /' /proc/swaps
grep /run/own /proc/mounts
umount /run/own
echo looked
"""


def test_a_vm_uses_what_its_flavor_and_its_request_give(cloud: Cloud) -> None:
    flavor = {"name": "scratch", "vcpus": 1, "ram": 128, "disk": 1, "OS-FLV-EXT-DATA:ephemeral": 2, "swap": 64}
    answer = cloud.ask("POST", "/compute/v2.1/flavors", {"flavor": flavor}, user="admin")
    assert answer.status == 200, answer
    flavor_id = answer.body["flavor"]["id"]
    image_id = cloud.find("/image/v2/images", "images", "tiny")
    blank = {"source_type": "blank", "destination_type": "local", "boot_index": -1}
    devices = [
        {"source_type": "image", "uuid": image_id, "destination_type": "local", "boot_index": 0},
        {**blank, "volume_size": 1, "guest_format": "ext3"},
        {**blank, "guest_format": "swap", "volume_size": 32},
    ]
    script = base64.b64encode(LOOK.encode()).decode()
    more = {"flavorRef": flavor_id, "user_data": script, "block_device_mapping_v2": devices}
    server_id = cloud.create("scratch", "vm", **more)
    try:
        cloud.await_status(server_id, "ACTIVE")
        said = cloud.await_console(server_id, "looked", 120)
        assert "found 0" in said
        assert re.search(rf"swap /dev/vdc\s+partition\s+{32 * 1024 - 4}\s", said), said
        assert "/dev/vdb /run/own ext3 rw" in said
        marks = marks_of(cloud, server_id)
        assert cloud.act(server_id, reboot={"type": "HARD"}).status == 202
        cloud.await_console(server_id, "found 1", 120)
        cloud.await_status(server_id, "ACTIVE")
        usage = cloud.read(f"/compute/v2.1/servers/{server_id}/diagnostics", "admin")
        assert {"vda_read", "vdb_read", "vdc_read"} <= usage.keys()
    finally:
        cloud.delete([server_id])
        cloud.ask("DELETE", f"/compute/v2.1/flavors/{flavor_id}", user="admin")
    wait_for("nothing of it", lambda: not traces(cloud, marks), 20)

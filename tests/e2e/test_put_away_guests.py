"""A real guest that runs though its server is put away is stopped: as after a restore that failed though it was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from private_host import wait_for
from real_cloud import Cloud, cloud_on_a_host

OPTIONS = """
[compute]
reclaim_instance_interval = 3600
shelved_offload_time = -1
reconcile_interval = 3600
shutdown_timeout = 3
"""
CONNECTIONS = {"unikernel": "qemu:///system", "container": "lxc:///system"}


@pytest.fixture(scope="module")
def cloud(images: Path) -> Iterator[Cloud]:
    with cloud_on_a_host(images, options=OPTIONS) as made:
        yield made


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_it_is_stopped_and_can_be_restored(cloud: Cloud, kind: str) -> None:
    server_id = cloud.create(f"away-{kind}", kind)
    cloud.await_status(server_id, "ACTIVE", 60)
    assert cloud.ask("DELETE", f"/compute/v2.1/servers/{server_id}", user="demo").status == 204
    cloud.await_status(server_id, "SOFT_DELETED", 60)
    virsh = ("virsh", "-q", "-c", CONNECTIONS[kind])
    cloud.host.run(*virsh, "start", f"nl-{server_id}")

    def actions() -> list[str]:
        path = f"/compute/v2.1/servers/{server_id}/os-instance-actions"
        return [action["action"] for action in cloud.read(path)["instanceActions"]]

    wait_for("an undo", lambda: actions()[0] == "undo", 30)  # libvirt tells of it; the next comparison is an hour away
    wait_for("its end", lambda: "shut off" in cloud.host.run(*virsh, "domstate", f"nl-{server_id}").stdout, 60)
    assert cloud.show(server_id)["status"] == "SOFT_DELETED"
    assert cloud.act(server_id, restore=None).status == 202
    cloud.await_status(server_id, "ACTIVE", 60)
    assert actions()[0] == "restore"
    assert cloud.act(server_id, forceDelete=None).status == 202
    wait_for("its end", lambda: cloud.show(server_id) is None, 60)

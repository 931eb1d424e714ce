"""Every action on every kind of guest through the API, with real guests that show afterwards that they work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from private_host import wait_for
from real_cloud import KINDS, Cloud, cloud_on_a_host
from working_guests import Guest, boot, make_flavors, upload_container

OPTIONS = """
[compute]
resize_confirm_window = -1
shelved_offload_time = -1
reclaim_instance_interval = 3600
restart_delay = 0.5
reconcile_interval = 3600
"""


@dataclass
class Walk:
    """One server of each kind, that goes through all actions."""

    cloud: Cloud
    guests: dict[str, Guest]
    container_image: str


@pytest.fixture(scope="module")
def walk(images: Path) -> Iterator[Walk]:
    with cloud_on_a_host(images, options=OPTIONS) as cloud:
        make_flavors(cloud)
        image_id = upload_container(cloud, images, "counting")
        vm_image = cloud.find("/image/v2/images", "images", "tiny")
        agent = [{"op": "add", "path": "/hw_qemu_guest_agent", "value": "yes"}]
        patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        assert cloud.ask("PATCH", f"/image/v2/images/{vm_image}", agent, user="admin", headers=patch).status == 200
        guests = {kind: boot(cloud, kind, image_id if kind == "container" else None) for kind in KINDS}
        for guest in guests.values():
            cloud.await_status(guest.server_id, "ACTIVE")
        for guest in guests.values():
            guest.works()
        yield Walk(cloud, guests, image_id)
        for guest in guests.values():
            guest.gone()


@pytest.fixture(params=KINDS)
def guest(walk: Walk, request: pytest.FixtureRequest) -> Guest:
    return walk.guests[request.param]


POWER: tuple[tuple[str, Any, str, int], ...] = (
    ("pause", None, "PAUSED", 0),
    ("unpause", None, "ACTIVE", 0),
    ("suspend", None, "SUSPENDED", 0),
    ("resume", None, "ACTIVE", 0),
    ("reboot", {"type": "SOFT"}, "ACTIVE", 1),
    ("reboot", {"type": "HARD"}, "ACTIVE", 1),
    ("os-stop", None, "SHUTOFF", 0),
    ("os-start", None, "ACTIVE", 1),
)
"""Action, argument, status after it, and how often the guest boots in it."""


def test_power_and_memory(guest: Guest) -> None:
    for name, argument, status, booted in POWER:
        guest.do(name, argument, status)
        if status == "ACTIVE":
            guest.works(booted=booted)
        else:
            assert guest.is_silent(), f"it answers although it is {status}"


def test_a_lock_holds_its_user_back(guest: Guest) -> None:
    assert guest.act("lock", {"locked_reason": "hands off"}).status == 202
    guest.refused("os-stop", None, "is locked", status=409)
    guest.do("pause", None, "PAUSED", user="admin")
    guest.do("unpause", None, user="admin")
    assert guest.act("unlock").status == 202
    guest.do("pause", None, "PAUSED")
    guest.do("unpause")
    guest.works()


def size(guest: Guest) -> tuple[int, int]:
    """Return the vCPUs and MiB that libvirt has the guest running with."""
    uri = "lxc:///system" if guest.kind == "container" else "qemu:///system"
    host, name = guest.cloud.host, f"nl-{guest.server_id}"
    # An emulated VM keeps its vCPUs, and gets the time of as many as it shall have.
    commands = ("schedinfo", "memtune") if guest.kind == "container" else ("schedinfo", "dominfo")
    said = "".join(host.run("virsh", "-q", "-c", uri, command, name).stdout for command in commands)
    shown = {key.strip(): value for key, _, value in (line.partition(":") for line in said.splitlines())}
    if guest.kind == "container":
        return int(shown["vcpu_quota"]) // 100_000, int(shown["hard_limit"]) // 1024
    quota = int(shown["global_quota"])
    vcpus = quota // 100_000 if 0 < quota < 1 << 40 else int(shown["CPU(s)"])
    return vcpus, round(int(shown["Used memory"].split()[0]) / 1024)


def test_a_live_resize(guest: Guest) -> None:
    kind = guest.kind
    if kind == "unikernel":
        guest.refused("resize", {"flavorRef": "unikernel-live"}, "vCPUs when it boots", status=400)
        guest.works()
        return
    if kind == "vm":
        guest.act("resize", {"flavorRef": "vm-much"})
        guest.cloud.await_status(guest.server_id, "ACTIVE")
        assert "nova_lite:max_vcpus" in guest.last()["message"]
    for flavor, expected in (
        ("live", {"vm": (2, 192), "container": (2, 128)}),
        ("less", {"vm": (1, 144), "container": (1, 96)}),
    ):
        guest.do("resize", {"flavorRef": f"{kind}-{flavor}"})
        # A balloon is taken for done a MiB before it is; it goes on by itself.
        wait_for(f"{expected[kind]}", lambda wanted=expected[kind]: size(guest) == wanted, 10)  # type: ignore[misc]
        guest.works()
        last = guest.last()
        assert (last["action"], [event["event"] for event in last["events"]][-1]) == ("resize", "compute_resize_live")
    server = guest.cloud.show(guest.server_id)
    assert server["status"] == "ACTIVE"


def test_images(walk: Walk, guest: Guest) -> None:
    cloud = walk.cloud
    image_id = guest.do("createImage", {"name": "shot", "metadata": {"of": "mine"}})["image_id"]
    guest.images.append(image_id)
    image = cloud.read(f"/image/v2/images/{image_id}")
    assert (image["status"], image["of"], image["owner"]) == ("active", "mine", image["owner"])
    assert image["container_format"] == ("docker" if guest.kind == "container" else "bare")
    guest.works()
    copy = boot(cloud, guest.kind, image_id)
    cloud.await_status(copy.server_id, "ACTIVE")
    # A disk remembers the boots of the server that it was copied from.
    copy.works(booted=0 if guest.kind == "unikernel" else guest.boots)
    copy.gone()


def test_backups_rotate(guest: Guest) -> None:
    made = []
    for number in range(3):
        asked = {"name": f"nightly-{number}", "backup_type": "daily", "rotation": 2}
        made.append(guest.do("createBackup", asked)["image_id"])
    guest.images += made
    there = [guest.cloud.ask("GET", f"/image/v2/images/{one}", user="demo").status for one in made]
    assert there == [404, 200, 200]
    guest.works()


def test_shelve(guest: Guest) -> None:
    guest.do("shelve", None, "SHELVED")
    assert guest.is_silent()
    guest.do("unshelve")
    guest.works(booted=1)
    guest.do("shelve", None, "SHELVED")
    guest.do("shelveOffload", None, "SHELVED_OFFLOADED", user="admin")
    assert guest.processes() == []
    guest.do("unshelve")
    # Its disk came back from the image; its console is a new one where the host gave the old away.
    guest.works(booted=1)
    assert not [image for image in guest.cloud.read("/image/v2/images")["images"] if image["name"].endswith("-shelved")]


def test_rescue(walk: Walk, guest: Guest) -> None:
    if guest.kind == "unikernel":
        guest.refused("rescue", None, "rebuild it, or rescue a VM or a container", status=400)
        return
    guest.do("rescue", None, "RESCUE")
    wait_for("the own disk in the rescue", lambda: guest.counted("own-boots") == guest.boots, 40)
    assert guest.counted() == 1
    guest.do("unrescue")
    guest.works(booted=1)
    name = "tiny-disk" if guest.kind == "vm" else "busybox"
    other = walk.cloud.find("/image/v2/images", "images", name)
    guest.do("rescue", {"rescue_image_ref": other, "adminPass": "x"}, "RESCUE")
    if guest.kind == "vm":
        # It has no ext4 of its own, so it mounts and serves the server's own disk, where this is one boot more.
        guest.works(booted=1)
    else:
        wait_for("the rescue's page", lambda: guest.page("") is not None, 40)
        assert guest.counted() == -1
    guest.do("unrescue")
    guest.works(booted=1)


@pytest.mark.parametrize(("name", "status"), [("pause", "PAUSED"), ("suspend", "SUSPENDED"), ("os-stop", "SHUTOFF")])
def test_a_guest_that_does_not_run(guest: Guest, name: str, status: str) -> None:
    guest.do(name, None, status)
    guest.images.append(guest.do("createImage", {"name": f"while-{status}"}, status)["image_id"])
    assert guest.is_silent()
    if status == "SUSPENDED":
        guest.do("shelve", None, "SHELVED")
        guest.do("unshelve")
    else:
        guest.do("reboot", {"type": "HARD"})
    guest.works(booted=1)


def test_a_stopped_guest_stays_stopped(guest: Guest) -> None:
    guest.do("os-stop", None, "SHUTOFF")
    guest.do("resize", {"flavorRef": f"{guest.kind}-large"}, "VERIFY_RESIZE")
    guest.do("revertResize", None, "SHUTOFF")
    assert guest.is_silent()
    if guest.kind == "unikernel":
        guest.do("os-start")
    else:
        guest.do("rescue", None, "RESCUE")
        wait_for("the own disk in the rescue", lambda: guest.counted("own-boots") == guest.boots, 40)
        guest.do("unrescue")
    guest.works(booted=1)


def test_resize(guest: Guest) -> None:
    large = f"{guest.kind}-large"
    guest.do("resize", {"flavorRef": large}, "VERIFY_RESIZE")
    guest.works(booted=1)
    guest.do("revertResize")
    # The disk from before the resize, which knows nothing of the boot in between.
    guest.boots -= guest.kind != "unikernel"
    guest.works(booted=1)
    guest.do("resize", {"flavorRef": large}, "VERIFY_RESIZE")
    guest.do("confirmResize")
    guest.works(booted=1)
    expected = {"vm": (2, 160), "unikernel": (2, 48), "container": (2, 96)}
    assert size(guest) == expected[guest.kind]
    assert guest.cloud.show(guest.server_id)["flavor"]["id"] == large


def test_rebuild(walk: Walk, guest: Guest) -> None:
    shown = guest.cloud.show(guest.server_id)
    guest.do("rebuild", {"imageRef": shown["image"]["id"], "name": f"anew-{guest.kind}"})
    if guest.kind != "unikernel":
        guest.boots = 0
    guest.works(booted=1)
    assert guest.cloud.show(guest.server_id)["name"] == f"anew-{guest.kind}"
    guest.do("os-stop", None, "SHUTOFF")
    guest.do("rebuild", {"imageRef": shown["image"]["id"]}, "SHUTOFF")
    assert guest.is_silent()
    guest.do("os-start")
    if guest.kind != "unikernel":
        guest.boots = 0
    guest.works(booted=1)


def test_a_deleted_server_is_restored(guest: Guest) -> None:
    assert guest.cloud.ask("DELETE", f"/compute/v2.1/servers/{guest.server_id}", user="demo").status == 204
    guest.cloud.await_status(guest.server_id, "SOFT_DELETED")
    assert guest.is_silent()
    guest.do("restore")
    guest.works(booted=1)


def test_the_state_is_reset(guest: Guest) -> None:
    guest.refused("os-resetState", {"state": "error"}, "Policy", status=403)
    guest.act("os-resetState", {"state": "error"}, user="admin")
    assert guest.cloud.show(guest.server_id)["status"] == "ERROR"
    guest.refused("os-start", None, "SHUTOFF", status=409)
    guest.do("reboot", {"type": "HARD"})
    guest.works(booted=1)


def kept_disks(guest: Guest) -> list[Path]:
    """Return what its host keeps of a guest for a revert."""
    directory = guest.cloud.host.state / "instances" / guest.server_id
    return [Path(where, name) for where, _, names in os.walk(directory) for name in names if name.endswith(".before")]


def test_a_reset_ends_a_resize(guest: Guest) -> None:
    """It can be neither confirmed nor reverted from there: the guest keeps its new size, and what was kept for a way back goes."""
    guest.do("resize", {"flavorRef": f"{guest.kind}-larger"}, "VERIFY_RESIZE")
    guest.works(booted=1)
    assert bool(kept_disks(guest)) == (guest.kind != "unikernel")
    guest.act("os-resetState", {"state": "active"}, user="admin")
    path = f"/compute/v2.1/os-migrations?instance_uuid={guest.server_id}"
    wait_for(
        "the end of the resize", lambda: guest.cloud.read(path, "admin")["migrations"][0]["status"] == "confirmed", 20
    )
    assert kept_disks(guest) == []
    assert guest.cloud.show(guest.server_id)["flavor"]["id"] == f"{guest.kind}-larger"
    guest.works()
    guest.do("reboot", {"type": "HARD"})
    guest.works(booted=1)


def test_what_is_asked_of_the_inside(guest: Guest) -> None:
    if guest.kind == "container":
        guest.refused("trigger_crash_dump", None, "no kernel of its own", status=400)
    else:
        guest.do("trigger_crash_dump")
    if guest.kind == "unikernel":
        guest.cloud.await_console(guest.server_id, "processor fault 2")
        guest.do("reboot", {"type": "HARD"})
        guest.works(booted=1)
    if guest.kind == "vm":
        guest.cloud.await_console(guest.server_id, "NMI")
        guest.do("changePassword", {"adminPass": "new-Secret-1"})
        wait_for("the new password", lambda: "root:$" in (guest.page("shadow") or ""), 10)
    else:
        guest.refused("changePassword", {"adminPass": "x"}, "hw_qemu_guest_agent", status=409)
    guest.works()
    path = f"/compute/v2.1/servers/{guest.server_id}/diagnostics"
    version = {"OpenStack-API-Version": "compute 2.48"}
    shown = guest.cloud.ask("GET", path, user="admin", headers=version).body
    assert (shown["state"], len(shown["nic_details"])) == ("running", 1)
    assert shown["nic_details"][0]["rx_octets"] > 0, shown
    assert shown["memory_details"]["used"] > 0
    answer = guest.act("os-getConsoleOutput", {"length": 2})
    assert answer.body["output"].count("\n") == 1


def test_a_guest_that_dies_is_started_again(guest: Guest) -> None:
    path = f"/compute/v2.1/servers/{guest.server_id}/metadata"
    policy = "always" if guest.kind == "container" else "on-failure"
    assert guest.cloud.ask("POST", path, {"metadata": {"nova_lite:restart": policy}}, user="demo").status == 200
    processes = guest.processes()
    # QEMU itself, or the container's first process rather than its controller.
    os.kill(processes[1 if guest.kind == "container" else 0], signal.SIGKILL)
    guest.works(booted=1)
    wait_for("ACTIVE", lambda: guest.cloud.show(guest.server_id)["status"] == "ACTIVE", 20)
    assert "restart" in [action["action"] for action in guest.history()]
    assert guest.cloud.ask("DELETE", f"{path}/nova_lite:restart", user="demo").status == 204


def test_a_resize_is_confirmed_by_itself(walk: Walk) -> None:
    cloud = walk.cloud
    for guest in walk.guests.values():
        guest.do("resize", {"flavorRef": f"{guest.kind}-largest"}, "VERIFY_RESIZE")
    cloud.stop()
    cloud.file.write_text(cloud.file.read_text().replace("resize_confirm_window = -1", "resize_confirm_window = 1"))
    cloud.start()
    for guest in walk.guests.values():
        cloud.await_status(guest.server_id, "ACTIVE")
        guest.works(booted=1)
        assert guest.last()["action"] == "confirmResize"

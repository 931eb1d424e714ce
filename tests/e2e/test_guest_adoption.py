"""Adoption of a real libvirt guest through the API: it is not stopped, lives as a server, and leaves its disk."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from private_host import run, wait_for
from real_cloud import Cloud
from test_guest_consoles import Seat

DOMAIN = """<domain type='qemu'><name>{name}</name><uuid>{ident}</uuid><memory unit='MiB'>96</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type><kernel>{kernel}</kernel><initrd>{ramdisk}</initrd>
<cmdline>console=ttyS0 no_timer_check</cmdline></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<serial type='pty'/></devices></domain>"""


@pytest.fixture
def stranger(cloud: Cloud, images: Path) -> Iterator[tuple[str, str, Path]]:
    """Run a guest as virt-install might have made it; give its name, UUID and disk."""
    files = {item["name"]: str(images.parent / item["file"]) for item in json.loads(images.read_text())}
    ident = str(uuid.uuid4())
    name = f"old-{ident[:8]}"
    disk = cloud.directory / f"{name}.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M"])
    disk.chmod(0o666)
    file = cloud.directory / f"{name}.xml"
    file.write_text(
        DOMAIN.format(name=name, ident=ident, disk=disk, kernel=files["tiny-kernel"], ramdisk=files["tiny-ramdisk"])
    )
    cloud.host.run("virsh", "-q", "define", str(file))
    cloud.host.run("virsh", "-q", "start", name)
    yield name, ident, disk
    if name in cloud.host.domains():
        cloud.host.run("virsh", "-q", "destroy", name, check=False)
        cloud.host.run("virsh", "-q", "undefine", name)
    disk.unlink()


def number(cloud: Cloud, name: str) -> str:
    """Return libvirt's number of a run of a guest: it changes with each start."""
    return cloud.host.run("virsh", "-q", "domid", name).stdout.strip()


def test_a_running_guest_becomes_a_server(cloud: Cloud, stranger: tuple[str, str, Path]) -> None:
    name, ident, disk = stranger
    found: dict[str, Any] = {}

    def heard() -> bool:
        found.update(cloud.read("/compute/v2.1/os-nova-lite-strangers", "admin"))
        return found["unanswered"] == []

    wait_for("the host's answer", heard, 30)
    (seen,) = [guest for guest in found["strangers"] if guest["guest"] == name]
    assert (seen["uuid"], seen["kind"], seen["vcpus"], seen["ram"]) == (ident, "vm", 1, 96)
    assert seen["disks"] == [{"device": "vda", "path": str(disk), "format": "qcow2"}]
    first_run = number(cloud, name)
    body = {
        "adoption": {
            "host": cloud.host.name,
            "guest": name,
            "flavorRef": cloud.find("/compute/v2.1/flavors", "flavors", "m1.nano"),
            "project_id": _project_of(cloud, "demo"),
        }
    }
    answer = cloud.ask("POST", "/compute/v2.1/os-nova-lite-adoptions", body, user="admin")
    assert answer.status == 202, answer
    assert answer.body["adoption"]["server_id"] == ident
    server = cloud.await_status(ident, "ACTIVE")
    assert (server["name"], server["image"]) == (name, "")
    assert number(cloud, name) == first_run, "it was started anew"
    path = f"/compute/v2.1/servers/{ident}/remote-consoles"
    console = {"remote_console": {"protocol": "serial", "type": "serial"}}
    opened = cloud.ask("POST", path, console, user="demo", headers={"OpenStack-API-Version": "compute 2.6"})
    assert opened.status == 200, (opened, cloud.tail())
    seat = Seat(opened.body["remote_console"]["url"])
    seat.until(b"login:", 90, nudge=b"\r")
    for action, status in (({"os-stop": None}, "SHUTOFF"), ({"os-start": None}, "ACTIVE"), ({"pause": None}, "PAUSED")):
        assert cloud.act(ident, **action).status == 202
        cloud.await_status(ident, status, 60)
    assert number(cloud, name) != first_run
    assert cloud.act(ident, createImage={"name": "x"}).status == 409
    cloud.delete([ident])
    assert name not in cloud.host.domains()
    assert disk.exists(), "its disk is the stranger's"


def _project_of(cloud: Cloud, name: str) -> str:
    projects = cloud.read("/identity/v3/projects", "admin")["projects"]
    return str(next(project["id"] for project in projects if project["name"] == name))


def test_a_guest_that_stands_still_stays_the_strangers(cloud: Cloud, stranger: tuple[str, str, Path]) -> None:
    name, ident, _disk = stranger
    nano = cloud.find("/compute/v2.1/flavors", "flavors", "m1.nano")
    cloud.host.run("virsh", "-q", "suspend", name)
    body = {"adoption": {"host": cloud.host.name, "guest": name, "flavorRef": nano}}
    refused = cloud.ask("POST", "/compute/v2.1/os-nova-lite-adoptions", body, user="admin")
    assert refused.status == 409, refused
    assert "PAUSED" in refused.body["conflictingRequest"]["message"]
    cloud.host.run("virsh", "-q", "resume", name)
    wait_for("it runs", lambda: cloud.host.run("virsh", "-q", "domstate", name).stdout.strip() == "running", 10)
    assert cloud.ask("GET", f"/compute/v2.1/servers/{ident}", user="admin").status == 404

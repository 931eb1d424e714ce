"""Guests that show what became of them: each counts its boots on its own disk and serves what it has there.

A VM and a container serve ``boots`` (a line for each boot of their disk) and, when they are rescued, ``own-boots``, a copy of that
file on their own disk. A unikernel has no disk; its boots are counted on its console.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_variant import with_program
from private_host import descendants, wait_for
from real_cloud import BOOT, Answer, Cloud, await_ping, command_of, marks_of, traces

VERSION = "2.96"
CONTAINER_PROGRAM = """
cp /mnt/own/srv/www/boots /srv/www/own-boots 2>/dev/null
echo boot >>/srv/www/boots
exec /sbin/start
"""
# The last lines stand in for qemu-ga: what libvirt asks of it to set a password and to shut down, in the same protocol.
VM_PROGRAM = r"""#!/bin/sh
modprobe -a virtio_balloon virtio_console 2>/dev/null
mkdir -p /own
mount -t ext4 -o ro /dev/vdb /own 2>/dev/null && cp /own/boots /mnt/own-boots
echo boot >>/mnt/boots
sync
busybox httpd -p 80 -h /mnt
port=/dev/virtio-ports/org.qemu.guest_agent.0
for real in /sys/class/virtio-ports/*; do
    [ ! -e "$real/name" ] || { mkdir -p /dev/virtio-ports; ln -s "/dev/${real##*/}" "/dev/virtio-ports/$(cat "$real/name")"; }
done
[ -e "$port" ] || exit 0
member() { printf %s "$line" | sed -n "s/.*\"$1\": *\"*\([^\",}]*\).*/\1/p"; }
{
    # Until libvirt has seen that somebody is here, and connects, a read is at its end at once.
    while :; do
        read -r line || { usleep 100000; continue; }
        case $(member execute) in
            guest-sync) echo "{\"return\": $(member id)}" ;;
            guest-set-user-password)
                echo "$(member username):$(member password | base64 -d)" | chpasswd >/dev/null 2>&1
                grep '^root:' /etc/shadow >/mnt/shadow
                echo '{"return": {}}' ;;
            guest-shutdown) poweroff ;;
            *) echo '{"return": {}}' ;;
        esac
    done
} <>"$port" >&0 2>/dev/null &
"""


def reach(cloud: Cloud, server_id: str) -> str:
    """Return the address at which the test, on the guest's host, reaches it."""
    return cloud.address(server_id)


@dataclass
class Guest:
    """A server of *kind*; ``boots`` is how often it must have booted by now."""

    cloud: Cloud
    kind: str
    server_id: str
    boots: int = 1
    images: list[str] = field(default_factory=list)

    def act(self, name: str, argument: Any = None, *, user: str = "demo") -> Answer:
        """Ask for an action at the latest microversion."""
        path = f"/compute/v2.1/servers/{self.server_id}/action"
        version = {"OpenStack-API-Version": f"compute {VERSION}"}
        return self.cloud.ask("POST", path, {name: argument}, user=user, headers=version)

    def do(self, name: str, argument: Any = None, status: str = "ACTIVE", *, user: str = "demo") -> Any:
        """Ask for an action, wait until the server is in *status* without a fault, and return what was answered."""
        answer = self.act(name, argument, user=user)
        assert answer.status in (200, 202, 204), (name, answer)
        self.cloud.await_status(self.server_id, status, 60)
        assert self.last()["message"] is None, self.last()
        return answer.body

    def refused(self, name: str, argument: Any, *words: str, status: int, user: str = "demo") -> None:
        """Ask for an action that must be refused, for a reason with these words."""
        answer = self.act(name, argument, user=user)
        assert answer.status == status, (name, answer)
        said = json.dumps(answer.body)
        assert all(word in said for word in words), said

    def page(self, name: str, limit: float = 5) -> str | None:
        """Return what the guest serves under a name; None: it does not answer, or has nothing of that name."""
        try:
            with closing(
                http.client.HTTPConnection(reach(self.cloud, self.server_id), 80, timeout=limit)
            ) as connection:
                connection.request("GET", f"/{name}")
                answer = connection.getresponse()
                text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        return text if answer.status == 200 else None

    def is_silent(self) -> bool:
        """Say whether nobody answers at its address."""
        return self.page("", 0.5) is None

    def counted(self, name: str = "boots") -> int:
        """Count the boots that its disk remembers, or its console where there is no disk; -1: it does not answer."""
        if self.kind == "unikernel":
            up = self.page("") is not None
            return self.cloud.console(self.server_id).count(" up at ") if up else -1
        text = self.page(name)
        return -1 if text is None else text.count("boot")

    def works(self, *, booted: int = 0) -> None:
        """Wait until the guest answers and has booted *booted* times more than when it last worked."""
        self.boots += booted
        seen: list[int] = []

        def look() -> bool:
            seen.append(self.counted())
            return seen[-1] == self.boots

        try:
            wait_for(f"{self.kind} at work", look, 60, 0.1)
        except AssertionError:
            tail = self.cloud.console(self.server_id)[-1500:]
            raise AssertionError(f"{self.kind}: {seen[-1]} boots, not {self.boots}: {tail}") from None
        await_ping(reach(self.cloud, self.server_id))

    def history(self) -> list[dict[str, Any]]:
        """Return what was done to it, the last first."""
        return self._read("")["instanceActions"]  # type: ignore[no-any-return]

    def last(self) -> dict[str, Any]:
        """Return what was last done to it, with its events."""
        return self._read(f"/{self.history()[0]['request_id']}")["instanceAction"]  # type: ignore[no-any-return]

    def _read(self, below: str) -> dict[str, Any]:
        path = f"/compute/v2.1/servers/{self.server_id}/os-instance-actions{below}"
        version = {"OpenStack-API-Version": f"compute {VERSION}"}
        answer = self.cloud.ask("GET", path, user="admin", headers=version)
        assert answer.status == 200, answer
        return answer.body  # type: ignore[no-any-return]

    def processes(self) -> list[int]:
        """Return the guest's processes on its host: QEMU, or a container's controller, then its own."""
        host = self.cloud.host
        mine = [pid for pid in host.pids() if self.server_id in command_of(pid)]
        return descendants(mine)

    def gone(self) -> None:
        """Delete it for good, with the images that were made of it; nothing may be left of it on its host."""
        marks = marks_of(self.cloud, self.server_id)
        assert self.act("forceDelete").status == 202
        wait_for(f"{self.kind} gone", lambda: self.cloud.show(self.server_id) is None, 40)
        for image_id in self.images:
            self.cloud.ask("DELETE", f"/image/v2/images/{image_id}", user="demo")
        assert traces(self.cloud, marks) == []


FLAVORS: Mapping[str, tuple[int, int, int, Mapping[str, str]]] = {
    "vm": (1, 128, 1, {"nova_lite:max_vcpus": "2", "nova_lite:max_memory_mb": "192"}),
    "vm-live": (2, 192, 1, {"nova_lite:max_vcpus": "2", "nova_lite:max_memory_mb": "192", "nova_lite:live": "true"}),
    "vm-less": (1, 144, 1, {"nova_lite:max_vcpus": "2", "nova_lite:max_memory_mb": "192", "nova_lite:live": "true"}),
    "vm-much": (4, 512, 1, {"nova_lite:live": "true"}),
    "vm-large": (2, 160, 2, {}),
    "vm-larger": (1, 192, 3, {}),
    "vm-largest": (1, 192, 4, {}),
    "unikernel": (1, 32, 0, {}),
    "unikernel-live": (1, 64, 0, {"nova_lite:live": "true"}),
    "unikernel-large": (2, 48, 0, {}),
    "unikernel-larger": (1, 64, 0, {}),
    "unikernel-largest": (1, 48, 0, {}),
    "container": (1, 64, 1, {}),
    "container-live": (2, 128, 1, {"nova_lite:live": "true"}),
    "container-less": (1, 96, 1, {"nova_lite:live": "true"}),
    "container-large": (2, 96, 2, {}),
    "container-larger": (1, 128, 3, {}),
    "container-largest": (1, 128, 4, {}),
}
"""vCPUs, MiB, GiB and extra specs by name; the id is the name."""


Flavors = Mapping[str, tuple[int, int, int, Mapping[str, str]]]


def make_flavors(cloud: Cloud, more: Flavors | None = None) -> None:
    """Have the flavors, and *more*, as an administrator makes them."""
    for name, (vcpus, memory, disk, specs) in {**FLAVORS, **(more or {})}.items():
        body = {"flavor": {"id": name, "name": name, "vcpus": vcpus, "ram": memory, "disk": disk}}
        assert cloud.ask("POST", "/compute/v2.1/flavors", body, user="admin").status == 200
        if specs:
            path = f"/compute/v2.1/flavors/{name}/os-extra_specs"
            assert cloud.ask("POST", path, {"extra_specs": specs}, user="admin").status == 200


def upload_container(cloud: Cloud, images: Path, name: str) -> str:
    """Upload the busybox image with the program that counts its boots; return the image's id."""
    entry = next(item for item in json.loads(images.read_text()) if item["name"] == "busybox")
    archive = cloud.directory / f"{name}.tar"
    with_program(images.parent / entry["file"], archive, ["/bin/sh", "-c", CONTAINER_PROGRAM])
    return upload(cloud, name, archive)


def upload(cloud: Cloud, name: str, archive: Path) -> str:
    """Upload a container image and return its id."""
    body = {"name": name, "disk_format": "raw", "container_format": "docker"}
    image_id = str(cloud.ask("POST", "/image/v2/images", body, user="demo").body["id"])
    octets = {"Content-Type": "application/octet-stream"}
    path = f"/image/v2/images/{image_id}/file"
    assert cloud.ask("PUT", path, archive.read_bytes(), user="demo", headers=octets).status == 204
    return image_id


def boot(cloud: Cloud, kind: str, image_id: str | None = None, **more: Any) -> Guest:
    """Ask for a server of *kind* and return its guest; it need not be there yet."""
    answer = cloud.ask("POST", "/compute/v2.1/servers", request_body(cloud, kind, image_id, **more), user="demo")
    assert answer.status == 202, answer
    return Guest(cloud, kind, str(answer.body["server"]["id"]))


def request_body(cloud: Cloud, kind: str, image_id: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the body that asks for a server of *kind* which counts its boots."""
    if kind == "vm":
        more = {"user_data": base64.b64encode(VM_PROGRAM.encode()).decode(), **more}
    chosen = image_id or cloud.find("/image/v2/images", "images", BOOT[kind][0])
    return cloud.request_for(f"walk-{kind}", kind, imageRef=chosen, flavorRef=kind, **more)

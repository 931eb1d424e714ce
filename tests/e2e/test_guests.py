"""The three kinds of guests on one network, seen from the host, from themselves and from each other."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from oci_variant import with_program
from private_host import run, wait_for
from real_cloud import KINDS, Cloud, await_ping, fetch, marks_of, traces

USER_DATA = "#!/bin/sh\necho user-data-ran-as-$(id -u)\n"
# Each line is on the console before the next is tried; what must fail is told by what is printed.
PROGRAM = """
echo "map $(cat /proc/self/uid_map | tr -s ' ')"
echo "name $(hostname) $(cat /etc/hostname) uid $(id -u)"
mknod /tmp/disk b 254 0 2>/dev/null && echo "mknod works" || echo "mknod refused"
mount -t tmpfs none /mnt 2>/dev/null && echo "mount works" || echo "mount refused"
echo x 2>/dev/null >/proc/sys/kernel/core_pattern && echo "host sysctl works" || echo "host sysctl refused"
head -c 700000000 /dev/zero | tail -c 700000000 >/dev/null; echo "memory status $?"
(i=0; while [ $i -lt 1500 ]; do sleep 600 & i=$((i+1)); done; echo "all forked") 2>&1
echo "the bomb is over"
while true; do read -t 60 nothing </dev/console; done
"""


@dataclass(frozen=True)
class Guests:
    """One running server of each kind, by kind, the addresses that the host and that they themselves see, and the key that opens the VM."""

    ids: dict[str, str]
    addresses: dict[str, str]
    fixed: dict[str, str]
    key: Path


@pytest.fixture(scope="module")
def guests(standing_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    cloud = standing_cloud
    key = tmp_path_factory.mktemp("key") / "id"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    public = key.with_suffix(".pub").read_text().strip()
    with cloud.host.inside(), ExitStack() as stack:
        body = {"keypair": {"name": "guests-key", "public_key": public}}
        assert cloud.ask("POST", "/compute/v2.1/os-keypairs", body, user="demo").status in (200, 201)
        user_data = base64.b64encode(USER_DATA.encode()).decode()
        more = {"vm": {"key_name": "guests-key", "user_data": user_data, "metadata": {"role": "first"}}}
        ids = {kind: cloud.create(f"one-{kind}", kind, **more.get(kind, {})) for kind in KINDS}
        stack.callback(lambda: cloud.delete(ids.values()))
        for server_id in ids.values():
            cloud.await_status(server_id, "ACTIVE")
        addresses = {kind: cloud.address(server_id) for kind, server_id in ids.items()}
        fixed = {kind: cloud.fixed_address(server_id) for kind, server_id in ids.items()}
        stack.pop_all()
    yield Guests(ids, addresses, fixed, key)
    with cloud.host.inside():
        cloud.delete(ids.values())


def ssh(guests: Guests, command: str) -> str:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
    line = ["ssh", "-i", str(guests.key), *(word for option in options for word in ("-o", option))]
    done: list[subprocess.CompletedProcess[str]] = []

    def look() -> bool:
        done.append(run([*line, "-o", "BatchMode=yes", f"root@{guests.addresses['vm']}", command], check=False))
        return done[-1].returncode != 255

    wait_for("ssh", look, 30, 0.2)
    assert done[-1].returncode == 0, done[-1]
    return done[-1].stdout


def test_each_answers_the_host(cloud: Cloud, guests: Guests) -> None:
    for kind in KINDS:
        await_ping(guests.addresses[kind])


def test_unikernel_and_container_serve_a_page(cloud: Cloud, guests: Guests) -> None:
    assert "one-unikernel" in fetch(guests.addresses["unikernel"])
    assert "busybox" in fetch(guests.addresses["container"])


def test_the_consoles(cloud: Cloud, guests: Guests) -> None:
    assert guests.fixed["unikernel"] in cloud.await_console(guests.ids["unikernel"], "one-unikernel")
    assert guests.fixed["container"] in cloud.await_console(guests.ids["container"], "one-container")
    # In any order: on a loaded machine the prompt comes before the guest knows its name.
    for words in ("login:", "tiny: one-vm up", "user-data-ran-as-0"):
        cloud.await_console(guests.ids["vm"], words)


def test_the_vm_knows_who_it_is(cloud: Cloud, guests: Guests) -> None:
    assert ssh(guests, "hostname").strip() == "one-vm"
    # cloud-init (ds-identify) asks for metadata where the firmware says so, and there is no config drive that was not asked for.
    assert ssh(guests, "cat /sys/class/dmi/id/product_name").strip() == "OpenStack Nova"
    assert ssh(guests, "cat /sys/class/dmi/id/product_uuid").strip().lower() == guests.ids["vm"]
    assert cloud.show(guests.ids["vm"])["config_drive"] == ""
    assert ssh(guests, "findfs LABEL=config-2 2>/dev/null || echo none").strip() == "none"
    shown = ssh(guests, "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json")
    data = json.loads(shown)
    assert data["uuid"] == guests.ids["vm"]
    assert (data["name"], data["hostname"].partition(".")[0]) == ("one-vm", "one-vm")
    assert data["meta"] == {"role": "first"}
    assert data["public_keys"]["guests-key"].split()[1] == guests.key.with_suffix(".pub").read_text().split()[1]
    assert guests.fixed["vm"] in ssh(guests, "ip -4 address show dev eth0")


def test_guests_reach_each_other(cloud: Cloud, guests: Guests) -> None:
    assert "1 packets received" in ssh(
        guests, f"for i in 1 2 3 4 5 6; do ping -c 1 -W 5 {guests.fixed['container']} && break; done"
    )
    assert "one-unikernel" in ssh(guests, f"wget -q -O - http://{guests.fixed['unikernel']}/")
    assert "busybox" in ssh(guests, f"wget -q -O - http://{guests.fixed['container']}/")


@pytest.fixture(scope="module")
def probe_image(standing_cloud: Cloud, images: Path, guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Upload busybox with a program that tries what a container must not do."""
    entry = next(item for item in json.loads(images.read_text()) if item["name"] == "busybox")
    archive = tmp_path_factory.mktemp("oci") / "probe.tar"
    page = f"wget -q -O - http://{guests.fixed['unikernel']}/"
    with_program(images.parent / entry["file"], archive, ["/bin/sh", "-c", page + PROGRAM])
    cloud = standing_cloud
    with cloud.host.inside():
        body = {"name": "probe", "disk_format": "raw", "container_format": "docker"}
        image_id = str(cloud.ask("POST", "/image/v2/images", body, user="demo").body["id"])
        octets = {"Content-Type": "application/octet-stream"}
        path = f"/image/v2/images/{image_id}/file"
        assert cloud.ask("PUT", path, archive.read_bytes(), user="demo", headers=octets).status == 204
    return image_id


def test_a_container_is_held_in(cloud: Cloud, probe_image: str) -> None:
    # 512 MiB: enough for a thousand processes, so that it is their number that ends the bomb.
    flavor = cloud.find("/compute/v2.1/flavors", "flavors", "m1.tiny")
    server_id = cloud.create("probe", "container", imageRef=probe_image, flavorRef=flavor)
    cloud.await_status(server_id, "ACTIVE")
    console = cloud.await_console(server_id, "the bomb is over")
    assert "one-unikernel" in console
    base = int(re.search(r"map +0 (\d+) 65536", console)[1])  # type: ignore[index]
    assert base >= 1_000_000
    assert "name probe probe uid 0" in console
    for what in ("mknod", "mount", "host sysctl"):
        assert f"{what} refused" in console
    assert "memory status 137" in console
    assert "all forked" not in console
    inside = [pid for pid in Path("/proc").glob("[0-9]*") if _owner(pid) in range(base, base + 65_536)]
    assert 500 < len(inside) <= 1024
    cloud.act(server_id, **{"os-stop": None})
    cloud.await_status(server_id, "SHUTOFF")
    assert "the bomb is over" in cloud.console(server_id)
    marks = marks_of(cloud, server_id)
    cloud.delete([server_id])
    assert traces(cloud, marks) == []


def _owner(process: Path) -> int:
    try:
        return process.stat().st_uid
    except OSError:
        return -1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_deleted_guest_is_left(cloud: Cloud, guests: Guests, kind: str) -> None:
    server_id = cloud.create(f"gone-{kind}", kind)
    cloud.await_status(server_id, "ACTIVE")
    marks = marks_of(cloud, server_id)
    await_ping(cloud.address(server_id))
    there = traces(cloud, marks)
    for what in ("domain", "device", "file", "row Allocation", "row Port", "process"):
        assert any(trace.startswith(what) for trace in there), f"{what} is not found even while it is there: {there}"
    assert any(marks.words[0] in trace for trace in there), there
    cloud.delete([server_id])
    assert traces(cloud, marks) == []

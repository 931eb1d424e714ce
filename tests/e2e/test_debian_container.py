"""A container of Debian itself, which build.sh makes only when asked: it starts, has its network and packages, and ends when told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from oci_variant import with_program
from private_host import run
from real_cloud import ROOT, Cloud, await_ping, cloud_on_a_host, marks_of, traces
from working_guests import reach, upload

pytestmark = pytest.mark.slow

PROGRAM = """
cat /etc/debian_version
dpkg --audit && echo "packages: $(dpkg-query -W | wc -l)"
ip -4 -o address show dev eth0
useradd --create-home somebody && su somebody -c id
apt-get --version | head -n 1
echo "the look is over"
exec sleep infinity
"""


@pytest.fixture(scope="module")
def archive(machine: None) -> Path:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("not installed: mmdebstrap")
    out = Path("/var/tmp/nova-lite-test-images-debian")
    run(["bash", str(ROOT / "devstack/images/build.sh"), "--out", str(out), "debian"], timeout=600)
    entry = next(item for item in json.loads((out / "images.json").read_text()) if item["name"] == "debian")
    return out / str(entry["file"])


@pytest.fixture(scope="module")
def debian_cloud(images: Path, archive: Path) -> Iterator[Cloud]:
    # The archive first: from inside the host no package mirror can be reached.
    with cloud_on_a_host(images) as made:
        yield made


def test_it_starts_and_stops(debian_cloud: Cloud, archive: Path) -> None:
    cloud = debian_cloud
    image_id = upload(cloud, "debian", archive)
    flavor = cloud.find("/compute/v2.1/flavors", "flavors", "m1.tiny")
    server_id = cloud.create("deb", "container", imageRef=image_id, flavorRef=flavor)
    cloud.await_status(server_id, "ACTIVE", 120)
    cloud.await_console(server_id, "debian: deb up")
    await_ping(reach(cloud, server_id))
    assert cloud.act(server_id, **{"os-stop": None}).status == 202
    cloud.await_status(server_id, "SHUTOFF")
    assert cloud.act(server_id, **{"os-start": None}).status == 202
    cloud.await_status(server_id, "ACTIVE")
    await_ping(reach(cloud, server_id))
    marks = marks_of(cloud, server_id)
    cloud.delete([server_id])
    assert traces(cloud, marks) == []


def test_it_is_a_debian(debian_cloud: Cloud, archive: Path) -> None:
    cloud = debian_cloud
    other = cloud.directory / "look.tar"
    with_program(archive, other, ["/bin/sh", "-c", PROGRAM])
    image_id = upload(cloud, "look", other)
    flavor = cloud.find("/compute/v2.1/flavors", "flavors", "m1.tiny")
    server_id = cloud.create("look", "container", imageRef=image_id, flavorRef=flavor)
    cloud.await_status(server_id, "ACTIVE", 120)
    console = cloud.await_console(server_id, "the look is over")
    assert "packages: " in console
    assert cloud.fixed_address(server_id) in console
    assert "(somebody)" in console
    cloud.delete([server_id])

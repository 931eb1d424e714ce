"""cloud-init's own datasources read metadata (OpenStack and EC2 layouts, over real sockets) and config drives of both formats.

cloud-init is the machine's, or Debian's package unpacked beside the tests: nothing is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pycdlib
import pytest
from test_metadata_server import World

from nova_lite.conf import load
from nova_lite.host import metadata, metadata_tree
from nova_lite.host.images import HostImages
from nova_lite.host.metadata import GuestData, GuestNic
from nova_lite.host.metadata_http import Request
from nova_lite.host.metadata_tree import Answer
from nova_lite.host.network_state import NetworkSpec, SubnetSpec
from nova_lite.virt.driver import Nic
from nova_lite.virt.libvirt import elements

READER = Path(__file__).with_name("cloud_init_reader.py")
INSTALLED = Path("/usr/lib/python3/dist-packages")
SCRIPT = b"#cloud-config\nruncmd: [echo]\n# \xe9\n"
GUEST = GuestData(
    server_id="0afc3b94-4e30-4c1e-9d5b-9c9b6b4c6d11",
    name="Web 1",
    hostname="web-1",
    project_id="p" * 32,
    availability_zone="nova",
    meta={"role": "web"},
    keys={"mine": "ssh-ed25519 AAAA me"},
    user_data=SCRIPT,
    injected_files={"/etc/motd": b"h\xe9llo\n", "/etc/empty": b""},
    vendor_data={"cloud-init": "#cloud-config\n{}"},
    random_seed=bytes(range(256)) * 2,
    devices={"root": "vda", "ephemeral0": "vdb", "swap": "vdc"},
)
DEVICES = {"ami": "vda", "root": "/dev/vda", "ephemeral0": "/dev/vdb", "swap": "/dev/vdc"}
"""What cloud-init mounts at /mnt, and swaps to."""
V4 = SubnetSpec("s4", "10.0.0.0/24", "10.0.0.1", True, ("192.0.2.53",))
STATIC = SubnetSpec("s5", "10.1.0.0/24", "10.1.0.1", False, ("192.0.2.53",), (("10.9.0.0/16", "10.1.0.2"),))
V6 = SubnetSpec("s6", "fd00:1::/64", "fd00:1::1", True, (), ra_mode="slaac", address_mode="slaac")
NICS = [
    GuestNic(
        Nic(
            "p1",
            "fa:16:3e:00:00:05",
            "nl-p1",
            "nl-br7",
            1450,
            ("10.0.0.5/24", "fd00:1::5/64"),
            "10.0.0.1",
            ("192.0.2.53",),
        ),
        NetworkSpec("n1", 7, 1450, (V4, V6)),
        "uplink",
    ),
    GuestNic(
        Nic("p2", "fa:16:3e:00:00:06", "nl-p2", "nl-br8", 1450, ("10.1.0.5/24",), "10.1.0.1", ("192.0.2.53",)),
        NetworkSpec("n2", 8, 1450, (STATIC,)),
    ),
]


@pytest.fixture(scope="module")
def cloud_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that has the package cloudinit."""
    if (INSTALLED / "cloudinit").is_dir():
        return INSTALLED
    if shutil.which("apt-get") is None:
        pytest.skip("cannot run on this machine: there is neither cloud-init nor apt-get")
    place = tmp_path_factory.mktemp("cloud-init")
    argv = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "cloud-init"]
    got = subprocess.run(["timeout", "120", *argv], cwd=place, capture_output=True, text=True, check=False)
    packages = list(place.glob("cloud-init_*.deb"))
    if not packages:
        pytest.skip(f"cannot run on this machine: cloud-init can't be downloaded: {got.stderr[-200:]}")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(place / "x")], check=True, timeout=60)
    return place / "x/usr/lib/python3/dist-packages"


def read(cloud_init: Path, what: str, where: str, *, before: tuple[str, ...] = ()) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment["PYTHONPATH"] = str(cloud_init)
    argv = [*before, sys.executable, str(READER), what, where]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def check(seen: dict[str, Any]) -> None:
    assert (seen["uuid"], seen["hostname"]) == (GUEST.server_id, "web-1")
    assert seen["keys"] == {"mine": "ssh-ed25519 AAAA me"}
    assert seen["userdata"].encode("latin-1") == SCRIPT
    assert seen["files"] == {"/etc/motd": "h\xe9llo\n", "/etc/empty": ""}
    assert seen["vendordata"] == {"cloud-init": "#cloud-config\n{}"}
    assert seen["seed"] == 512
    assert seen["devices"] == DEVICES
    assert seen["version"] == 2
    first, second = (each for each in seen["network"]["config"] if each["type"] == "physical")
    assert (first["mac_address"], first["mtu"]) == ("fa:16:3e:00:00:05", 1450)
    assert [each["type"] for each in first["subnets"]] == ["dhcp4", "ipv6_slaac"]
    (static,) = second["subnets"]
    assert (static["type"], static["address"], static["netmask"]) == ("static", "10.1.0.5", "255.255.255.0")
    assert {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.1.0.2"} in static["routes"]
    assert [each["address"] for each in seen["network"]["config"] if each["type"] == "nameserver"] == ["192.0.2.53"]


class Tells:
    """A source with one guest's tree."""

    tree = metadata_tree.tree(GUEST, NICS)

    def answer(self, port_id: str, request: Request) -> Answer:
        return metadata_tree.answer(self.tree, request.path, "")


@pytest.fixture
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = World()
    made.server._source = Tells()
    try:
        made.serve()
        yield made
    finally:
        made.remove()


def test_the_openstack_datasource_reads_metadata(cloud_init: Path, world: World) -> None:
    inside = ("ip", "netns", "exec", f"{world.tag}-g7")
    check(read(cloud_init, "openstack", "http://169.254.169.254", before=inside))


def test_the_ec2_datasource_reads_metadata(cloud_init: Path, world: World) -> None:
    inside = ("ip", "netns", "exec", f"{world.tag}-g7")
    seen = read(cloud_init, "ec2", "http://169.254.169.254", before=inside)
    assert seen["userdata"].encode("latin-1") == SCRIPT
    data = seen["metadata"]
    assert (data["hostname"], data["local-ipv4"], data["instance-id"]) == ("web-1", "10.0.0.5", "i-0afc3b94")
    assert data["placement"]["availability-zone"] == "nova"
    assert data["public-keys"] == {"mine": "ssh-ed25519 AAAA me"}
    assert data["block-device-mapping"] == DEVICES


@pytest.mark.parametrize("form", ["iso9660", "vfat"])
def test_the_config_drive_datasource_reads_both_formats(cloud_init: Path, tmp_path: Path, form: str) -> None:
    images = HostImages(load([], {"state_path": str(tmp_path), "compute.config_drive_format": form}))
    path = images.config_drive(GUEST.server_id, metadata.files(GUEST, NICS))
    seed = tmp_path / "seed"
    seed.mkdir()
    unpack(path, seed, form)
    check(read(cloud_init, "drive", str(seed)))


def test_cloud_init_looks_for_metadata_by_the_firmwares_word(cloud_init: Path, tmp_path: Path) -> None:
    program = cloud_init.parents[1] / "cloud-init/ds-identify"
    if not program.exists():
        pytest.skip(f"cannot run on this machine: there is no {program}")
    root = ET.Element("domain")
    ET.SubElement(root, "os")
    elements.product(root, GUEST.server_id)
    product = root.findtext("sysinfo/system/entry[@name='product']")
    tables = tmp_path / "sys/class/dmi/id"
    tables.mkdir(parents=True)
    for name, text in (
        ("proc/cmdline", "quiet"),
        ("proc/uptime", "1 1"),
        ("bin/systemd-detect-virt", "#!/bin/sh\necho qemu"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "bin/systemd-detect-virt").chmod(0o755)
    surroundings = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PATH_ROOT": str(tmp_path),
        "UNAME_MACHINE": "x86_64",
    }

    def sources() -> str:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        (tmp_path / "run").mkdir()
        subprocess.run(["sh", program, "--force"], env=surroundings, check=False, capture_output=True, timeout=60)
        found = tmp_path / "run/cloud-init/cloud.cfg"
        return found.read_text().strip() if found.exists() else ""

    assert "OpenStack" not in sources()
    (tables / "product_name").write_text(f"{product}\n")
    assert sources() == "datasource_list: [ OpenStack, None ]"


def test_a_guest_with_nothing_of_its_own_is_read_too(cloud_init: Path, tmp_path: Path) -> None:
    images = HostImages(load([], {"state_path": str(tmp_path)}))
    bare = replace(GUEST, keys={}, user_data=None, vendor_data={}, meta={})
    path = images.config_drive(GUEST.server_id, metadata.files(bare, NICS[:1]))
    seed = tmp_path / "seed"
    seed.mkdir()
    unpack(path, seed, "iso9660")
    seen = read(cloud_init, "drive", str(seed))
    assert (seen["userdata"], seen["uuid"]) == ("", GUEST.server_id)


def unpack(path: Path, into: Path, form: str) -> None:
    if form == "vfat":
        if shutil.which("mcopy") is None:
            pytest.skip("needs mtools")
        subprocess.run(["mcopy", "-s", "-Q", "-i", str(path), "::/", str(into)], check=True, capture_output=True)
        return
    image = pycdlib.PyCdlib()
    image.open(str(path))
    for directory, _, names in image.walk(rr_path="/"):
        for name in names:
            content = BytesIO()
            image.get_file_from_iso_fp(content, rr_path=f"{directory.rstrip('/')}/{name}")
            target = into / directory.lstrip("/") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.getvalue())
    image.close()

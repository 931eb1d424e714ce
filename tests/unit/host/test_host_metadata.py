"""The config drive's files, and the drive itself read back."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import uuid
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pycdlib
import pytest

from nova_lite.conf import load
from nova_lite.host import metadata
from nova_lite.host.images import HostImages
from nova_lite.host.metadata import GuestData, GuestNic
from nova_lite.host.network_state import NetworkSpec, SubnetSpec
from nova_lite.host.ports import HostError
from nova_lite.virt.driver import Nic

GUEST = GuestData(
    server_id="0afc3b94-4e30-4c1e-9d5b-9c9b6b4c6d11",
    name="Web 1",
    hostname="web-1",
    project_id="p" * 32,
    availability_zone="nova",
    launch_index=2,
    meta={"role": "web"},
    keys={"mine": "ssh-ed25519 AAAA me"},
    user_data=b"#!/bin/sh\n\xff",
    random_seed=b"seed",
)
SUBNET = SubnetSpec("s4", "10.0.0.0/24", "10.0.0.1", True, ("192.0.2.53",), (("10.9.0.0/16", "10.0.0.2"),))
V6 = SubnetSpec("s6", "fd00:1::/64", "fd00:1::1", True, ())
NETWORK = NetworkSpec("n", 7, 1450, (SUBNET, V6))
NIC = Nic(
    "port", "fa:16:3e:00:00:05", "nl-port", "nl-br7", 1450, ("10.0.0.5/24", "fd00:1::5/64"), "10.0.0.1", ("192.0.2.53",)
)


def test_the_paths() -> None:
    found = metadata.files(GUEST, [GuestNic(NIC, NETWORK)])
    names = ("meta_data.json", "network_data.json", "user_data", "vendor_data.json", "vendor_data2.json")
    assert sorted(found) == sorted(
        [f"openstack/{version}/{name}" for version in ("latest", "2018-08-27") for name in names]
        + [f"ec2/{version}/{name}" for version in ("latest", "2009-04-04") for name in ("meta-data.json", "user-data")]
    )
    assert found["openstack/latest/user_data"] == b"#!/bin/sh\n\xff"
    assert not [name for name in metadata.files(replace(GUEST, user_data=None), []) if "user" in name]


def test_meta_data() -> None:
    data = metadata.meta_data(GUEST, [GuestNic(NIC, NETWORK)])
    assert data == {
        "uuid": GUEST.server_id,
        "name": "Web 1",
        "hostname": "web-1",
        "launch_index": 2,
        "availability_zone": "nova",
        "project_id": "p" * 32,
        "meta": {"role": "web"},
        "public_keys": {"mine": "ssh-ed25519 AAAA me"},
        "keys": [{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me"}],
        "random_seed": "c2VlZA==",
        "devices": [],
        "dedicated_cpus": [],
    }
    assert "keys" not in metadata.meta_data(replace(GUEST, keys={}), [])
    windows = metadata.meta_data(replace(GUEST, keys={"win": "-----BEGIN CERTIFICATE-----\nMII"}), [])
    assert windows["keys"] == [{"name": "win", "type": "x509", "data": "-----BEGIN CERTIFICATE-----\nMII"}]
    tagged = metadata.meta_data(GUEST, [GuestNic(NIC, NETWORK, "uplink")])["devices"]
    assert tagged == [{"type": "nic", "bus": "none", "mac": NIC.mac, "address": "none", "tags": ["uplink"]}]


def test_network_data_says_dhcp_where_the_host_answers_it() -> None:
    data = metadata.network_data([GuestNic(NIC, NETWORK)])
    assert data["links"] == [
        {"id": "nl-port", "vif_id": "port", "type": "bridge", "mtu": 1450, "ethernet_mac_address": NIC.mac}
    ]
    assert data["networks"][0] == {"id": "network0", "link": "nl-port", "network_id": "n", "type": "ipv4_dhcp"}
    assert data["networks"][1]["type"] == "ipv6"
    assert data["networks"][1]["routes"] == [{"network": "::", "netmask": "::", "gateway": "fd00:1::1"}]
    assert data["services"] == [{"type": "dns", "address": "192.0.2.53"}]


def test_network_data_of_a_static_subnet() -> None:
    network = replace(NETWORK, subnets=(replace(SUBNET, enable_dhcp=False),))
    [layer] = metadata.network_data([GuestNic(replace(NIC, addresses=("10.0.0.5/24",)), network)])["networks"]
    assert layer == {
        "id": "network0",
        "link": "nl-port",
        "network_id": "n",
        "type": "ipv4",
        "ip_address": "10.0.0.5",
        "netmask": "255.255.255.0",
        "routes": [
            {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"},
            {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.2"},
        ],
        "services": [{"type": "dns", "address": "192.0.2.53"}],
    }


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateless", "dhcpv6-stateful"])
def test_network_data_says_how_an_ipv6_address_comes(mode: str) -> None:
    network = replace(NETWORK, subnets=(SUBNET, replace(V6, ra_mode=mode, address_mode=mode)))
    layer = metadata.network_data([GuestNic(NIC, network)])["networks"][1]
    assert layer["type"] == f"ipv6_{mode}"
    assert layer["ip_address"] == "fd00:1::5"


def test_a_drive_of_fat_reads_back_by_mtools(tmp_path: Path) -> None:
    if shutil.which("mcopy") is None:
        pytest.skip("needs mtools")
    images = HostImages(load([], {"state_path": str(tmp_path), "compute.config_drive_format": "vfat"}))
    files = metadata.files(GUEST, [GuestNic(NIC, NETWORK)])
    files |= {f"many/file-with-a-long-name-{index:04d}.json": bytes(index) for index in range(0, 5000, 50)}
    path = images.config_drive(GUEST.server_id, files)
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == ("config.img", 0o600)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["mcopy", "-s", "-Q", "-i", str(path), "::/", str(out)], check=True, capture_output=True)
    assert {str(each.relative_to(out)): each.read_bytes() for each in out.rglob("*") if each.is_file()} == files
    said = subprocess.run(["mdir", "-i", str(path), "::"], check=True, capture_output=True, text=True).stdout
    assert "config-2" in said
    with pytest.raises(HostError, match="no room"):
        images.config_drive(GUEST.server_id, {"user_data": bytes(17 << 20)})
    assert [each.name for each in path.parent.iterdir()] == ["config.img"]


def test_the_drive_reads_back(tmp_path: Path) -> None:
    images = HostImages(load([], {"state_path": str(tmp_path)}))
    files = metadata.files(GUEST, [GuestNic(NIC, NETWORK)])
    path = images.config_drive(GUEST.server_id, {"openstack/latest/old": b"old"})
    assert images.config_drive(GUEST.server_id, files) == path
    assert path.parent == tmp_path / "instances" / GUEST.server_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["config.iso"]
    image = pycdlib.PyCdlib()
    image.open(str(path))
    assert image.pvd.volume_identifier.decode().strip() == "config-2"
    for how in ("rr_path", "joliet_path", "iso_path"):
        for name, content in files.items():
            read = BytesIO()
            image.get_file_from_iso_fp(read, **{how: f"/{name}"})
            assert read.getvalue() == content
    image.close()
    assert json.loads(files["openstack/latest/meta_data.json"])["uuid"] == GUEST.server_id


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/../b", ""])
def test_an_odd_path_is_refused(tmp_path: Path, name: str) -> None:
    images = HostImages(load([], {"state_path": str(tmp_path)}))
    with pytest.raises(HostError):
        images.config_drive(str(uuid.uuid4()), {name: b"x"})
    with pytest.raises(HostError, match="not a UUID"):
        images.config_drive("../../etc", {"x": b"x"})

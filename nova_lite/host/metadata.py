"""What a guest is told about itself: the files of the config drive, by pure functions from plain data.

Source: https://docs.openstack.org/nova/latest/user/metadata.html and its network_data.json schema. The same files in
every version's directory: each version only added members, and a reader takes those that it knows.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_lite.host.network_state import NetworkSpec
from nova_lite.virt.driver import Nic

VERSIONS = ("2018-08-27", "latest")
"""cloud-init takes the newest directory that it knows (2018-08-27), everybody else ``latest``."""


CONTENT = "content"
"""The directory of injected files, beside those of versions."""


@dataclass(frozen=True)
class GuestData:
    """What the files are made from. ``user_data``: the bytes as the user gave them. ``keys``: name → public SSH key.
    ``injected_files``: path in the guest → content.

    ``random_seed`` is fresh entropy for the guest's pool, 512 bytes in Nova; empty: none is given.
    """

    server_id: str
    name: str
    hostname: str
    project_id: str
    availability_zone: str
    launch_index: int = 0
    meta: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    user_data: bytes | None = None
    injected_files: Mapping[str, bytes] = field(default_factory=dict)
    vendor_data: Mapping[str, object] = field(default_factory=dict)
    random_seed: bytes = b""
    flavor: str = ""
    reservation_id: str = ""
    devices: Mapping[str, str] = field(default_factory=dict)
    """EC2's name of each disk (``root``, ``ephemeral0``, ``swap``) → the device's, ``vdb``."""


@dataclass(frozen=True)
class GuestNic:
    """An interface with the network that it is on, and the device tag that its user knows it by."""

    nic: Nic
    network: NetworkSpec
    tag: str | None = None


def files(guest: GuestData, nics: Sequence[GuestNic]) -> dict[str, bytes]:
    """Return the config drive's files, path → content."""
    content = {
        "meta_data.json": _json(meta_data(guest, nics)),
        "network_data.json": _json(network_data(nics)),
        "vendor_data.json": _json(guest.vendor_data),
        "vendor_data2.json": b"{}",
    }
    if guest.user_data is not None:
        content["user_data"] = guest.user_data
    found = {f"openstack/{version}/{name}": data for version in VERSIONS for name, data in content.items()}
    for index, data in enumerate(guest.injected_files.values()):
        found[f"openstack/{CONTENT}/{index:04}"] = data
    for version in ("2009-04-04", "latest"):
        found[f"ec2/{version}/meta-data.json"] = _json(ec2_meta_data(guest, nics))
        if guest.user_data is not None:
            found[f"ec2/{version}/user-data"] = guest.user_data
    return found


def meta_data(guest: GuestData, nics: Sequence[GuestNic]) -> dict[str, Any]:
    """Return ``meta_data.json``."""
    data: dict[str, Any] = {
        "uuid": guest.server_id,
        "name": guest.name,
        "hostname": guest.hostname,
        "launch_index": guest.launch_index,
        "availability_zone": guest.availability_zone,
        "project_id": guest.project_id,
        "meta": dict(guest.meta),
        "devices": [
            {"type": "nic", "bus": "none", "mac": each.nic.mac, "address": "none", "tags": [each.tag]}
            for each in nics
            if each.tag
        ],
        "dedicated_cpus": [],
    }
    if guest.keys:
        data["public_keys"] = dict(guest.keys)
        data["keys"] = [{"name": name, "type": _key_type(key), "data": key} for name, key in guest.keys.items()]
    if guest.injected_files:
        data["files"] = [
            {"path": path, "content_path": f"/{CONTENT}/{index:04}"} for index, path in enumerate(guest.injected_files)
        ]
    if guest.random_seed:
        data["random_seed"] = base64.b64encode(guest.random_seed).decode()
    return data


def _key_type(key: str) -> str:
    """Return ``x509`` for a certificate (Windows guests look for those), else ``ssh``."""
    return "x509" if key.startswith("-----BEGIN CERTIFICATE-----") else "ssh"


def network_data(nics: Sequence[GuestNic]) -> dict[str, Any]:
    """Return ``network_data.json``: a link for each port, a network for each address, a service for each name server."""
    networks = [entry for each in nics for entry in _layers(each)]
    servers = dict.fromkeys(server for each in nics for server in each.nic.dns)
    return {
        "links": [
            {
                "id": each.nic.device,
                "vif_id": each.nic.port_id,
                "type": "bridge",
                "mtu": each.nic.mtu,
                "ethernet_mac_address": each.nic.mac,
            }
            for each in nics
        ],
        "networks": [{"id": f"network{index}"} | entry for index, entry in enumerate(networks)],
        "services": [{"type": "dns", "address": server} for server in servers],
    }


def _layers(each: GuestNic) -> list[dict[str, Any]]:
    layers = []
    for text in each.nic.addresses:
        interface = ipaddress.ip_interface(text)
        subnet = next(
            (s for s in each.network.subnets if ipaddress.ip_network(s.cidr) == interface.network),
            None,
        )
        layer: dict[str, Any] = {"link": each.nic.device, "network_id": each.network.network_id}
        kind = f"ipv{interface.version}"
        if subnet is not None and subnet.enable_dhcp and interface.version == 4:
            layers.append(layer | {"type": "ipv4_dhcp"})
            continue
        if subnet is not None and subnet.address_mode is not None:
            kind = f"ipv6_{subnet.address_mode}"
        routes = [_route(destination, hop) for destination, hop in (subnet.routes if subnet else ())]
        if subnet is not None and subnet.gateway:
            routes.insert(0, _route("0.0.0.0/0" if interface.version == 4 else "::/0", subnet.gateway))
        layers.append(
            layer
            | {
                "type": kind,
                "ip_address": str(interface.ip),
                "netmask": str(interface.network.netmask),
                "routes": routes,
                "services": [{"type": "dns", "address": server} for server in (subnet.dns if subnet else ())],
            }
        )
    return layers


def _route(destination: str, hop: str) -> dict[str, str]:
    network = ipaddress.ip_network(destination)
    return {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": hop}


def ec2_meta_data(guest: GuestData, nics: Sequence[GuestNic]) -> dict[str, Any]:
    """Return the EC2 form of the metadata, for readers that know no other."""
    addresses = [text.partition("/")[0] for each in nics for text in each.nic.addresses if ":" not in text]
    data: dict[str, Any] = {
        "instance-id": _ec2_id(guest.server_id),
        "ami-launch-index": guest.launch_index,
        "hostname": guest.hostname,
        "local-hostname": guest.hostname,
        "local-ipv4": addresses[0] if addresses else "",
        "placement": {"availability-zone": guest.availability_zone},
        "instance-type": guest.flavor,
        "reservation-id": guest.reservation_id,
    }
    if guest.devices:
        # Nova's form: the root disk twice, once without /dev, and all others with it.
        data["block-device-mapping"] = {
            "ami": guest.devices["root"],
            **{name: f"/dev/{device}" for name, device in guest.devices.items()},
        }
    if guest.keys:
        # As EC2 lists them: "0=name", and the key below that index.
        data["public-keys"] = {
            str(i): {"openssh-key": key, "_name": f"{i}={name}"} for i, (name, key) in _numbered(guest)
        }
    return data


def _numbered(guest: GuestData) -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(guest.keys.items()))


def _ec2_id(server_id: str) -> str:
    """Return an id of EC2's form, ``i-`` and eight hexadecimal digits, the same each time for the same server."""
    return f"i-{server_id.replace('-', '')[:8]}"


def _json(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()

"""The files of a VM's config drive, as cloud-init and cirros read them. Pure: rows in, path → bytes out.

Source: https://docs.openstack.org/nova/latest/user/metadata.html (OpenStack format).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from collections.abc import Sequence
from typing import Any

from nova_lite.db.models import Server
from nova_lite.host.ports import NetworkSpec
from nova_lite.virt.driver import Nic

VERSIONS = ("latest", "2018-08-27")


def files(server: Server, nics: Sequence[Nic], networks: Sequence[NetworkSpec], zone: str) -> dict[str, bytes]:
    """Make the files for *server*; ``nics[i]`` is on ``networks[i]``; *zone*: the host's availability zone."""
    content = {
        "meta_data.json": _json(meta_data(server, zone)),
        "network_data.json": _json(network_data(nics, networks)),
        "vendor_data.json": b"{}",
    }
    if server.user_data:
        content["user_data"] = _user_data(server.user_data)
    return {f"openstack/{version}/{name}": data for version in VERSIONS for name, data in content.items()}


def meta_data(server: Server, zone: str) -> dict[str, Any]:
    """Make ``meta_data.json``."""
    data: dict[str, Any] = {
        "uuid": server.id,
        "name": server.name,
        "hostname": server.hostname,
        "launch_index": server.launch_index,
        "availability_zone": zone,
        "project_id": server.project_id,
        "meta": dict(server.metadata_),
    }
    if server.public_key:
        name = server.key_name or "key"
        data["public_keys"] = {name: server.public_key}
        data["keys"] = [{"name": name, "type": "ssh", "data": server.public_key}]
    return data


def network_data(nics: Sequence[Nic], networks: Sequence[NetworkSpec]) -> dict[str, Any]:
    """Make ``network_data.json``: one link a port, one network an address."""
    links: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    services: dict[str, None] = {}
    for nic, network in zip(nics, networks, strict=True):
        links.append(
            {
                "id": nic.device,
                "vif_id": nic.port_id,
                "type": "bridge",
                "mtu": nic.mtu,
                "ethernet_mac_address": nic.mac,
            }
        )
        services |= dict.fromkeys(nic.dns)
        dynamic = any(subnet.enable_dhcp for subnet in network.subnets)
        for text in nic.addresses:
            layers.append(_layer(f"network{len(layers)}", text, nic, network, dynamic=dynamic))
    return {
        "links": links,
        "networks": layers,
        "services": [{"type": "dns", "address": address} for address in services],
    }


def _layer(name: str, address: str, nic: Nic, network: NetworkSpec, *, dynamic: bool) -> dict[str, Any]:
    interface = ipaddress.ip_interface(address)
    layer: dict[str, Any] = {"id": name, "link": nic.device, "network_id": network.network_id}
    if dynamic:
        return layer | {"type": f"ipv{interface.version}_dhcp"}
    routes = [_route(destination, hop) for destination, hop in nic.routes]
    if nic.gateway:
        routes.insert(0, _route("0.0.0.0/0" if interface.version == 4 else "::/0", nic.gateway))
    return layer | {
        "type": f"ipv{interface.version}",
        "ip_address": str(interface.ip),
        "netmask": str(interface.network.netmask),
        "routes": routes,
    }


def _route(destination: str, hop: str) -> dict[str, str]:
    network = ipaddress.ip_network(destination, strict=False)
    return {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": hop}


def _user_data(text: str) -> bytes:
    """Decode what the API took as base64; what is none goes as it is."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()

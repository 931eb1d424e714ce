"""The tree of networks."""

from __future__ import annotations

from typing import Any

from nova_lite.cli.topology import Found, draw


def port(key: str, network: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "name": "",
        "network_id": network,
        "status": "ACTIVE",
        "device_id": "",
        "device_owner": "",
        **more,
        "fixed_ips": [{"ip_address": address}],
    }


FOUND = Found(
    networks=[
        {"id": "n0", "name": "public", "subnets": ["s0"], "router:external": True},
        {
            "id": "n1",
            "name": "private",
            "subnets": ["s1"],
            "provider:network_type": "vxlan",
            "provider:segmentation_id": 7,
        },
        {"id": "n2", "name": "alone\x1b[2J", "subnets": [], "shared": True, "admin_state_up": False},
    ],
    subnets=[{"id": "s0", "cidr": "172.24.4.0/24"}, {"id": "s1", "cidr": "10.0.0.0/24"}],
    routers=[
        {
            "id": "r1",
            "name": "edge",
            "external_gateway_info": {"network_id": "n0", "external_fixed_ips": [{"ip_address": "172.24.4.10"}]},
        },
        {"id": "r2", "name": "inner", "external_gateway_info": None},
    ],
    ports=[
        port("p1", "n1", "10.0.0.1", device_owner="network:router_interface", device_id="r1"),
        port("p4", "n1", "10.0.0.4", device_owner="network:router_interface", device_id="r2"),
        port("p2", "n1", "10.0.0.12", device_owner="compute:nova", device_id="v1"),
        port("p3", "n1", "10.0.0.5", name="spare", port_security_enabled=False),
        port("p5", "n1", "10.0.0.2", device_owner="network:dhcp", device_id="x"),
    ],
    floating_ips=[
        {
            "floating_ip_address": "172.24.4.50",
            "port_id": "p2",
            "fixed_ip_address": "10.0.0.12",
            "floating_network_id": "n0",
        },
        {"floating_ip_address": "172.24.4.51", "port_id": None, "floating_network_id": "n0"},
    ],
    servers=[{"id": "v1", "name": "web", "status": "ACTIVE"}],
)


def test_the_tree() -> None:
    assert "\n".join(draw(FOUND)) == "\n".join(
        [
            "network public  172.24.4.0/24  (external)",
            "├── floating IP 172.24.4.51 (leads to nobody)",
            "└── router edge  172.24.4.10",
            "    └── network private  10.0.0.0/24  (vxlan 7)  by 10.0.0.1",
            "        ├── port spare  10.0.0.5  unused  no port security",
            "        └── server web  10.0.0.12 ← 172.24.4.50  ACTIVE",
            "router inner",
            "└── network private  10.0.0.0/24  (vxlan 7)  by 10.0.0.4  (see above)",
            "network alone  (shared, down)",
        ]
    )


def test_nothing() -> None:
    assert draw(Found([], [], [], [], [], [])) == ["There are no networks."]

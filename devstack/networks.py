"""The networks of a fresh cloud, over REST: "private" for guests, "public" outside it, a router between, and rules that let a first guest be reached."""

from __future__ import annotations

from typing import Any

from cloud import Cloud, CloudError, listing, reason
from keystoneauth1.exceptions import Conflict

PRIVATE = "private"
PUBLIC = "public"
ROUTER = "router1"
RULES: tuple[dict[str, Any], ...] = (
    {"protocol": "icmp"},
    {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
    {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
)
"""What the default groups of the admin's and the demo user's projects let in, beside what upstream's do."""


def seed_networks(cloud: Cloud, private_cidr: str, public_cidr: str) -> None:
    """Have the shared network "private", the external network "public" and a router that joins them."""
    private = _network(cloud, PRIVATE, {"shared": True})
    inside = _subnet(cloud, private, private_cidr, {})
    outside = {
        "router:external": True,
        "is_default": True,
        "provider:network_type": "flat",
        "provider:physical_network": PUBLIC,
    }
    public = _network(cloud, PUBLIC, outside)
    _subnet(cloud, public, public_cidr, {"enable_dhcp": False})
    router = _router(cloud, public)
    ports = listing(cloud.network, "/ports", "ports", device_id=router, network_id=private)
    if not ports:
        cloud.network.put(f"/routers/{router}/add_router_interface", json={"subnet_id": inside})
        print(f"router {ROUTER}: joins {PRIVATE} and {PUBLIC}")


def _network(cloud: Cloud, name: str, members: dict[str, Any]) -> str:
    found = listing(cloud.network, "/networks", "networks", name=name)
    if found:
        return str(found[0]["id"])
    made = cloud.network.post("/networks", json={"network": {"name": name, **members}}).json()["network"]
    print(f"network {name}: created")
    return str(made["id"])


def _subnet(cloud: Cloud, network_id: str, cidr: str, members: dict[str, Any]) -> str:
    found = listing(cloud.network, "/subnets", "subnets", network_id=network_id)
    if found:
        return str(found[0]["id"])
    body = {"network_id": network_id, "cidr": cidr, "ip_version": 4, **members}
    try:
        made = cloud.network.post("/subnets", json={"subnet": body}).json()["subnet"]
    except Conflict as error:
        raise CloudError(f"the subnet {cidr} could not be made: {reason(error)}") from error
    print(f"subnet {cidr}: created")
    return str(made["id"])


def _router(cloud: Cloud, public: str) -> str:
    found = listing(cloud.network, "/routers", "routers", name=ROUTER)
    if found:
        return str(found[0]["id"])
    body = {"name": ROUTER, "external_gateway_info": {"network_id": public}}
    made = cloud.network.post("/routers", json={"router": body}).json()["router"]
    print(f"router {ROUTER}: created")
    return str(made["id"])


def open_default_group(cloud: Cloud) -> None:
    """Let ping, SSH and HTTP into the default security group of the cloud's user."""
    groups = listing(cloud.network, "/security-groups", "security_groups", name="default", project_id=cloud.project_id)
    if not groups:
        raise CloudError("the project has no default security group")
    for rule in RULES:
        body = {"security_group_id": groups[0]["id"], "direction": "ingress", "ethertype": "IPv4", **rule}
        try:
            cloud.network.post("/security-group-rules", json={"security_group_rule": body})
        except Conflict:
            continue  # it is there already


def floating_address(cloud: Cloud, server: dict[str, Any]) -> str:
    """Return the address outside the cloud that leads to *server*, given to it now if it has none.

    :raises CloudError: it has no port on the network "private", or there is no network "public".
    """
    ports = listing(cloud.network, "/ports", "ports", device_id=server["id"])
    public = listing(cloud.network, "/networks", "networks", name=PUBLIC)
    if not ports or not public:
        raise CloudError(f"{server['name']} has no port" if public else f"there is no network {PUBLIC}")
    found = listing(cloud.network, "/floatingips", "floatingips", port_id=ports[0]["id"])
    if not found:
        body = {"floating_network_id": public[0]["id"], "port_id": ports[0]["id"]}
        found = [cloud.network.post("/floatingips", json={"floatingip": body}).json()["floatingip"]]
    return str(found[0]["floating_ip_address"])

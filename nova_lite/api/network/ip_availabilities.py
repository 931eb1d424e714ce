"""How many addresses networks have left."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import NUMBER, QUERY, Column
from nova_lite.api.routes import Route
from nova_lite.network import ip_availability
from nova_lite.network.ip_availability import NetworkUse

COLUMNS = {
    "network_id": Column("id"),
    "network_name": Column("name"),
    "tenant_id": Column("project_id"),
    "project_id": Column("project_id"),
}


def index(call: Call) -> dict[str, Any]:
    """List the networks with their addresses."""
    versions = collections.values(call, "ip_version", NUMBER)
    found = ip_availability.find(call.store, collections.listing(call, COLUMNS), versions)
    return {"network_ip_availabilities": [collections.fields(call, _view(each)) for each in found]}


def show(call: Call) -> dict[str, Any]:
    """Show one network's addresses."""
    found = ip_availability.get(call.store, call.params["network_id"])
    return collections.one(call, "network_ip_availability", _view(found))


def _view(found: NetworkUse) -> dict[str, Any]:
    network = found.network
    return {
        "network_id": network.id,
        "network_name": network.name,
        "tenant_id": network.project_id,
        "project_id": network.project_id,
        "total_ips": sum(each.total for each in found.subnets),
        "used_ips": sum(each.used for each in found.subnets),
        "subnet_ip_availability": [
            {
                "subnet_id": each.subnet.id,
                "subnet_name": each.subnet.name,
                "cidr": each.subnet.cidr,
                "ip_version": each.subnet.ip_version,
                "total_ips": each.total,
                "used_ips": each.used,
            }
            for each in found.subnets
        ],
    }


ROUTES = (
    Route("GET", "/v2.0/network-ip-availabilities", index, "get_network_ip_availability", query=QUERY),
    Route("GET", "/v2.0/network-ip-availabilities/{network_id}", show, "get_network_ip_availability", query=QUERY),
)

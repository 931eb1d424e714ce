"""Subnets."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, NUMBER, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.db.models import Subnet
from nova_lite.errors import Conflict
from nova_lite.network import networks, ports, subnets
from nova_lite.network.queries import Listing
from nova_lite.network.subnets import AUTOMATIC, NewSubnet

COLUMNS = {
    "id": Column("id"),
    "name": Column("name"),
    "description": Column("description"),
    "project_id": Column("project_id"),
    "tenant_id": Column("project_id"),
    "network_id": Column("network_id"),
    "ip_version": Column("ip_version", NUMBER),
    "cidr": Column("cidr"),
    "gateway_ip": Column("gateway_ip"),
    "enable_dhcp": Column("enable_dhcp", TRUTH),
}
_ADDRESS: Schema = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_SERVERS: Schema = {"type": "array", "items": _ADDRESS, "maxItems": 5, "uniqueItems": True}
_ROUTES: Schema = {
    "type": "array",
    "maxItems": 20,
    "items": {
        "type": "object",
        "properties": {"destination": {"type": "string", "format": "cidr"}, "nexthop": _ADDRESS},
        "required": ["destination", "nexthop"],
        "additionalProperties": False,
    },
}
_POOLS: Schema = {
    "type": "array",
    "maxItems": 64,
    "items": {
        "type": "object",
        "properties": {"start": _ADDRESS, "end": _ADDRESS},
        "required": ["start", "end"],
        "additionalProperties": False,
    },
}
_UUID: Schema = {"type": "string", "format": "uuid"}
CREATE: Schema = collections.body(
    "subnet",
    {
        "name": TEXT,
        "description": TEXT,
        "network_id": _UUID,
        "ip_version": {"type": ["integer", "string"], "enum": [4, 6, "4", "6"]},
        "cidr": {"type": "string", "format": "cidr"},
        "gateway_ip": {"type": ["string", "null"], "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "enable_dhcp": BOOLEAN,
        "dns_nameservers": _SERVERS,
        "host_routes": _ROUTES,
        "allocation_pools": _POOLS,
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["network_id", "ip_version", "cidr"],
)
UPDATE: Schema = collections.body(
    "subnet",
    {"name": TEXT, "description": TEXT, "dns_nameservers": _SERVERS, "host_routes": _ROUTES, "enable_dhcp": BOOLEAN},
)


def index(call: Call) -> dict[str, Any]:
    """List the subnets that the caller may see."""
    found = subnets.find(call.store, collections.listing(call, COLUMNS))
    return collections.page(call, "subnets", [_view(row) for row in found])


def show(call: Call) -> dict[str, Any]:
    """Show one subnet."""
    return collections.one(call, "subnet", _view(subnets.get(call.store, call.params["id"], collections.scope(call))))


def create(call: Call) -> dict[str, Any]:
    """Add a subnet to a network; it belongs to the network's project."""
    wanted = call.body["subnet"]
    network = networks.get(call.store, wanted["network_id"], collections.scope(call)).network
    call.authorize({"project_id": network.project_id})
    pools = wanted.get("allocation_pools")
    row = subnets.create(
        call.store,
        NewSubnet(
            network_id=network.id,
            cidr=wanted["cidr"],
            ip_version=int(wanted["ip_version"]),
            name=wanted.get("name", ""),
            description=wanted.get("description", ""),
            gateway_ip=wanted.get("gateway_ip", AUTOMATIC),
            enable_dhcp=truth(wanted.get("enable_dhcp", True)),
            dns_nameservers=tuple(wanted.get("dns_nameservers", ())),
            host_routes=tuple(wanted.get("host_routes", ())),
            pools=tuple(pools) if pools else None,
        ),
        None,
    )
    return {"subnet": _view(row)}


def update(call: Call) -> dict[str, Any]:
    """Change a subnet's name, description, DNS servers, routes."""
    row = subnets.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": row.project_id})
    values: dict[str, Any] = dict(call.body["subnet"])
    if "enable_dhcp" in values:
        values["enable_dhcp"] = truth(values["enable_dhcp"])
        if values["enable_dhcp"] != row.enable_dhcp and _in_use(call, row.network_id):
            raise Conflict("DHCP can't be switched while servers have ports on the network.", "network.network_in_use")
    if values:
        subnets.change(call.store, row.id, None, values)
    return {"subnet": _view(subnets.get(call.store, row.id, collections.scope(call)))}


def _in_use(call: Call, network_id: str) -> bool:
    """Tell whether any port is on a network."""
    return bool(ports.find(call.store, Listing(None, {"network_id": [network_id]}, limit=1)))


def delete(call: Call) -> None:
    """Delete a subnet."""
    row = subnets.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": row.project_id})
    subnets.delete(call.store, row.id, None)


def _view(row: Subnet) -> dict[str, Any]:
    return collections.standard(row) | {
        "network_id": row.network_id,
        "ip_version": row.ip_version,
        "cidr": row.cidr,
        "gateway_ip": row.gateway_ip,
        "enable_dhcp": row.enable_dhcp,
        "allocation_pools": row.pools,
        "dns_nameservers": row.dns_nameservers,
        "host_routes": row.host_routes,
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "subnetpool_id": None,
        "service_types": [],
    }


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a subnet that the caller may see. :raises NotFound: there is none such."""
    return subnets.get(call.store, identifier, collections.scope(call)).project_id

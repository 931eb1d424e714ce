"""Subnets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, NUMBER, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.network import networks, subnet_rules, subnets
from nova_lite.network.subnet_rules import AUTOMATIC, NewSubnet
from nova_lite.network.subnets import Shown

COLUMNS = {
    **collections.NAMED,
    "network_id": Column("network_id"),
    "ip_version": Column("ip_version", NUMBER),
    "cidr": Column("cidr"),
    "gateway_ip": Column("gateway_ip"),
    "enable_dhcp": Column("enable_dhcp", TRUTH),
    "ipv6_address_mode": Column("ipv6_address_mode"),
    "ipv6_ra_mode": Column("ipv6_ra_mode"),
    "subnetpool_id": Column("subnetpool_id"),
}
_UUID: Schema = {"type": "string", "format": "uuid"}
_ADDRESS: Schema = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_SERVERS: Schema = {"type": ["array", "null"], "items": _ADDRESS, "maxItems": 5, "uniqueItems": True}
_ROUTES: Schema = {
    "type": ["array", "null"],
    "maxItems": 20,
    "uniqueItems": True,
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
_OWNERS: Schema = {
    "type": "array",
    "maxItems": 64,
    "uniqueItems": True,
    "items": {
        "type": "string",
        "maxLength": 255,
        "pattern": r"^(network|compute|neutron|baremetal):[^\x00-\x1f\x7f]*$",
        "description": "a device owner, as compute:nova or network:floatingip",
    },
}
_GATEWAY: Schema = {"type": ["string", "null"], "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "gateway_ip": _GATEWAY,
    "enable_dhcp": BOOLEAN,
    "dns_nameservers": _SERVERS,
    "host_routes": _ROUTES,
    "allocation_pools": _POOLS,
    "service_types": _OWNERS,
}
_MODE: Schema = {"type": ["string", "null"], "enum": [*subnet_rules.MODES, None]}
CREATE: Schema = collections.creation(
    "subnet",
    "subnets",
    {
        **_COMMON,
        "network_id": _UUID,
        "ip_version": {"type": ["integer", "string"], "enum": [4, 6, "4", "6"]},
        "cidr": {"type": ["string", "null"], "format": "cidr"},
        "ipv6_address_mode": _MODE,
        "ipv6_ra_mode": _MODE,
        "subnetpool_id": {"type": ["string", "null"], "format": "uuid"},
        "use_default_subnetpool": BOOLEAN,
        "prefixlen": {"type": ["integer", "string"], "minimum": 1, "maximum": 128, "pattern": "^[0-9]{1,3}$"},
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["network_id", "ip_version"],
)
UPDATE: Schema = collections.body("subnet", _COMMON)


def index(call: Call) -> dict[str, Any]:
    """List the subnets that the caller may see."""
    shared = collections.values(call, "shared", TRUTH)
    found = subnets.find(call.store, collections.listing(call, COLUMNS), shared)
    return collections.page(call, "subnets", [_view(each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one subnet."""
    return collections.one(call, "subnet", _view(subnets.get(call.store, call.params["id"], collections.scope(call))))


def create(call: Call) -> dict[str, Any]:
    """Add a subnet, or several of them; each belongs to its network's project."""
    wanted, bulk = collections.bodies(call, "subnet", "subnets")
    for network_id in {each["network_id"] for each in wanted}:
        network = networks.get(call.store, network_id, collections.scope(call)).network
        call.authorize({"project_id": network.project_id})
    for each in wanted:
        if any(name in each for name in ("project_id", "tenant_id")):
            collections.owner(call, each, "create_subnet:owner")
    news = [_new(each) for each in wanted]
    made = subnets.create_many(call.store, news, collections.scope(call), call.services.conf)
    call.wake_hosts(made.hosts)
    return collections.made("subnet", "subnets", [_view(Shown(row)) for row in made.subnets], bulk=bulk)


def _new(wanted: Mapping[str, Any]) -> NewSubnet:
    pools = wanted.get("allocation_pools")
    return NewSubnet(
        network_id=wanted["network_id"],
        cidr=wanted.get("cidr"),
        ip_version=int(wanted["ip_version"]),
        name=wanted.get("name", ""),
        description=wanted.get("description", ""),
        gateway_ip=wanted.get("gateway_ip", AUTOMATIC),
        enable_dhcp=truth(wanted.get("enable_dhcp", True)),
        dns_nameservers=tuple(wanted.get("dns_nameservers") or ()),
        host_routes=tuple(wanted.get("host_routes") or ()),
        pools=tuple(pools) if pools else None,
        ipv6_address_mode=wanted.get("ipv6_address_mode"),
        ipv6_ra_mode=wanted.get("ipv6_ra_mode"),
        subnetpool_id=wanted.get("subnetpool_id"),
        prefixlen=int(wanted["prefixlen"]) if "prefixlen" in wanted else None,
        service_types=tuple(wanted.get("service_types", ())),
        use_default_pool=truth(wanted.get("use_default_subnetpool", False)),
    )


def update(call: Call) -> dict[str, Any]:
    """Change a subnet."""
    row = subnets.get(call.store, call.params["id"], collections.scope(call)).subnet
    call.authorize({"project_id": row.project_id})
    wanted: dict[str, Any] = dict(call.body["subnet"])
    for member in ("dns_nameservers", "host_routes"):
        if member in wanted:
            wanted[member] = wanted[member] or []
    if "enable_dhcp" in wanted:
        wanted["enable_dhcp"] = truth(wanted["enable_dhcp"])
    if "allocation_pools" in wanted:
        wanted["pools"] = wanted.pop("allocation_pools")
    call.wake_hosts(subnets.change(call.store, row.id, wanted, collections.expected(call)))
    return {"subnet": _view(subnets.get(call.store, row.id, collections.scope(call)))}


def delete(call: Call) -> None:
    """Delete a subnet."""
    row = subnets.get(call.store, call.params["id"], collections.scope(call)).subnet
    call.authorize({"project_id": row.project_id})
    call.wake_hosts(subnets.delete(call.store, row.id, collections.expected(call)))


def _view(found: Shown) -> dict[str, Any]:
    row = found.subnet
    return collections.standard(row, found.tags) | {
        "network_id": row.network_id,
        "ip_version": row.ip_version,
        "cidr": row.cidr,
        "gateway_ip": row.gateway_ip,
        "enable_dhcp": row.enable_dhcp,
        "allocation_pools": row.pools,
        "dns_nameservers": row.dns_nameservers,
        "host_routes": row.host_routes,
        "ipv6_address_mode": row.ipv6_address_mode,
        "ipv6_ra_mode": row.ipv6_ra_mode,
        "subnetpool_id": row.subnetpool_id,
        "service_types": row.service_types,
    }


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a subnet that the caller may see. :raises NotFound: there is none such."""
    return subnets.get(call.store, identifier, collections.scope(call)).subnet.project_id

"""Routers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.errors import Invalid
from nova_lite.network import router_interfaces, routers
from nova_lite.network.router_gateways import WantedAddress, WantedGateway
from nova_lite.network.router_interfaces import Interface
from nova_lite.network.router_legs import bad
from nova_lite.network.routers import Change, NewRouter, Shown

COLUMNS = {
    **collections.NAMED,
    "admin_state_up": Column("admin_state_up", TRUTH),
}
_UUID: Schema = {"type": "string", "format": "uuid"}
_ADDRESS: Schema = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_GATEWAY: Schema = {
    "type": ["object", "null"],
    "properties": {
        "network_id": {"anyOf": [_UUID, {"type": "null"}]},
        "enable_snat": BOOLEAN,
        "external_fixed_ips": {
            "type": ["array", "null"],
            "maxItems": 8,
            "items": {
                "type": "object",
                "properties": {"subnet_id": _UUID, "ip_address": _ADDRESS},
                "minProperties": 1,
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_ROUTES: Schema = {
    "type": ["array", "null"],
    "maxItems": 256,
    "items": {
        "type": "object",
        "properties": {"destination": {"type": "string", "maxLength": 64}, "nexthop": _ADDRESS},
        "required": ["destination", "nexthop"],
        "additionalProperties": False,
    },
}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "admin_state_up": BOOLEAN,
    "external_gateway_info": _GATEWAY,
    "distributed": BOOLEAN,
    "ha": BOOLEAN,
}
CREATE = collections.creation(
    "router",
    "routers",
    {
        **_COMMON,
        "availability_zone_hints": collections.ZONE_HINTS,
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
)
UPDATE = collections.body("router", {**_COMMON, "routes": _ROUTES})
ROUTES = collections.body("router", {"routes": {**_ROUTES, "type": "array"}}, ["routes"])
INTERFACE: Schema = {
    "type": "object",
    "properties": {"subnet_id": _UUID, "port_id": _UUID},
    "additionalProperties": False,
}


def index(call: Call) -> dict[str, Any]:
    """List the routers that the caller may see."""
    statuses = collections.values(call, "status", str.upper)
    if statuses and "ACTIVE" not in statuses:
        return collections.page(call, "routers", [])
    views = [_view(call, each) for each in routers.find(call.store, collections.listing(call, COLUMNS))]
    return collections.page(call, "routers", views)


def show(call: Call) -> dict[str, Any]:
    """Show one router."""
    return collections.one(call, "router", _view(call, _found(call)))


def create(call: Call) -> dict[str, Any]:
    """Make routers, with a way out if one is asked for."""
    wanted, bulk = collections.bodies(call, "router", "routers")
    news = []
    for item in wanted:
        project_id = collections.owner(call, item, "create_router:owner")
        _check_kind(call, item, "create_router")
        news.append(
            NewRouter(
                project_id=project_id,
                name=item.get("name", ""),
                description=item.get("description", ""),
                admin_state_up=truth(item.get("admin_state_up", True)),
                gateway=_gateway(call, item.get("external_gateway_info"), "create_router", {"project_id": project_id}),
                zone_hints=tuple(item.get("availability_zone_hints", ())),
            )
        )
    made = routers.create(call.store, call.services.conf, news, collections.scope(call))
    return collections.made("router", "routers", [_view(call, each) for each in made], bulk=bulk)


def update(call: Call) -> dict[str, Any]:
    """Change a router's names, admin state, way out, extra routes."""
    found = _own(call)
    wanted = call.body["router"]
    _check_kind(call, wanted, "update_router")
    values: dict[str, Any] = {name: wanted[name] for name in ("name", "description") if name in wanted}
    if "admin_state_up" in wanted:
        values["admin_state_up"] = truth(wanted["admin_state_up"])
    target = {"project_id": found.router.project_id}
    change = Change(
        values,
        sets_gateway="external_gateway_info" in wanted,
        gateway=_gateway(call, wanted.get("external_gateway_info"), "update_router", target),
        routes=(wanted["routes"] or []) if "routes" in wanted else None,
    )
    scope, expected = collections.scope(call), collections.expected(call)
    call.wake_hosts(routers.change(call.store, found.router.id, change, scope, expected))
    return {"router": _view(call, _found(call))}


def delete(call: Call) -> None:
    """Delete a router that joins no network."""
    call.wake_hosts(routers.delete(call.store, _own(call).router.id, collections.expected(call)))


def add_routes(call: Call) -> dict[str, Any]:
    """Add extra routes to those that a router has."""
    return _edit_routes(call, add=True)


def remove_routes(call: Call) -> dict[str, Any]:
    """Remove some of a router's extra routes."""
    return _edit_routes(call, add=False)


def _edit_routes(call: Call, *, add: bool) -> dict[str, Any]:
    found, expected = _own(call), collections.expected(call)
    wanted = call.body["router"]["routes"]
    call.wake_hosts(routers.edit_routes(call.store, found.router.id, wanted, add=add, expected=expected))
    return {"router": _view(call, _found(call))}


def add_interface(call: Call) -> dict[str, Any]:
    """Join a network, by a subnet's gateway address or by a port."""
    found = _own(call)
    subnet_id, port_id = call.body.get("subnet_id"), call.body.get("port_id")
    if not subnet_id and not port_id:
        raise bad("Either subnet_id or port_id must be specified")
    if subnet_id and port_id:
        raise bad("Cannot specify both subnet-id and port-id")
    scope, expected = collections.scope(call), collections.expected(call)
    if port_id:
        done, hosts = router_interfaces.add_port(call.store, found.router.id, port_id, scope, expected)
    else:
        done, hosts = router_interfaces.add_subnet(call.store, found.router.id, subnet_id, scope, expected)
    call.wake_hosts(hosts)
    return _interface(found, done)


def remove_interface(call: Call) -> dict[str, Any]:
    """Let a network go, named by the port, the subnet, or both."""
    found = _own(call)
    subnet_id, port_id = call.body.get("subnet_id"), call.body.get("port_id")
    if not subnet_id and not port_id:
        raise bad("Either subnet_id or port_id must be specified")
    expected = collections.expected(call)
    done, hosts = router_interfaces.remove(call.store, found.router.id, port_id, subnet_id, expected)
    call.wake_hosts(hosts)
    return _interface(found, done)


def _interface(found: Shown, done: Interface) -> dict[str, Any]:
    return {
        "id": found.router.id,
        "tenant_id": found.router.project_id,
        "project_id": found.router.project_id,
        "port_id": done.port_id,
        "network_id": done.network_id,
        "subnet_id": done.subnet_ids[0],
        "subnet_ids": list(done.subnet_ids),
    }


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a router that the caller may see. :raises NotFound: there is none such."""
    return routers.get(call.store, identifier, collections.scope(call)).router.project_id


def _found(call: Call) -> Shown:
    return routers.get(call.store, call.params["id"], collections.scope(call))


def _own(call: Call) -> Shown:
    found = _found(call)
    call.authorize({"project_id": found.router.project_id})
    return found


def _check_kind(call: Call, wanted: Mapping[str, Any], rule: str) -> None:
    """Every router here is distributed, and none has a second one that stands by: there is no network node to fail."""
    for member, only in (("distributed", True), ("ha", False)):
        if member not in wanted:
            continue
        call.authorize(rule=f"{rule}:{member}")
        if truth(wanted[member]) is not only:
            raise Invalid(
                f"Invalid input for {member}. Reason: routers of this cloud are distributed and not highly available "
                f"ones; it can only be {only}.",
                "network.invalid_input",
            )


def _gateway(
    call: Call, wanted: Mapping[str, Any] | None, rule: str, target: Mapping[str, Any]
) -> WantedGateway | None:
    if not wanted:
        return None
    network_id = wanted.get("network_id")
    if network_id is None:
        if set(wanted) == {"network_id"}:
            return None
        raise Invalid(
            "Invalid input for external_gateway_info. Reason: Validation of dictionary's keys failed: 'network_id' is "
            "required.",
            "request.schema",
        )
    call.authorize(target, rule=f"{rule}:external_gateway_info")
    for member in ("enable_snat", "external_fixed_ips"):
        if wanted.get(member) is not None:
            call.authorize(target, rule=f"{rule}:external_gateway_info:{member}")
    snat = wanted.get("enable_snat")
    return WantedGateway(
        network_id,
        None if snat is None else truth(snat),
        tuple(
            WantedAddress(item.get("subnet_id"), item.get("ip_address"))
            for item in wanted.get("external_fixed_ips") or ()
        ),
    )


def _view(call: Call, found: Shown) -> dict[str, Any]:
    row = found.router
    gateway: dict[str, Any] | None = None
    if row.external_network_id is not None:
        gateway = {
            "network_id": row.external_network_id,
            "enable_snat": row.enable_snat,
            "external_fixed_ips": [
                {"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in found.gateway
            ],
        }
    view = collections.standard(row, found.tags) | {
        "admin_state_up": row.admin_state_up,
        "status": "ACTIVE",
        "external_gateway_info": gateway,
        "routes": [dict(route) for route in row.routes],
        "availability_zone_hints": list(row.zone_hints),
        "availability_zones": list(found.zones),
        "flavor_id": None,
    }
    for member, value in (("distributed", True), ("ha", False)):
        if call.may(f"get_router:{member}"):
            view[member] = value
    return view

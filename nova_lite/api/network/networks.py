"""Networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, NUMBER, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.errors import Invalid
from nova_lite.network import network_removal, network_rules, networks, segments
from nova_lite.network.networks import NewNetwork, Shown
from nova_lite.network.segments import Segment

PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
COLUMNS = {
    **collections.NAMED,
    "admin_state_up": Column("admin_state_up", TRUTH),
    "router:external": Column("external", TRUTH),
    "is_default": Column("is_default", TRUTH),
    "mtu": Column("mtu", NUMBER),
    "port_security_enabled": Column("port_security_enabled", TRUTH),
    "dns_domain": Column("dns_domain"),
    "qos_policy_id": Column("qos_policy_id"),
    "provider:network_type": Column("network_type"),
    "provider:physical_network": Column("physical_network"),
}
_SPECIAL = {"shared": TRUTH, "provider:segmentation_id": NUMBER}
_DOMAIN: Schema = {
    "type": "string",
    "maxLength": 255,
    "pattern": r"^$|^([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)+$",
    "description": "a domain name that ends with a dot",
}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "admin_state_up": BOOLEAN,
    "shared": BOOLEAN,
    "router:external": BOOLEAN,
    "is_default": BOOLEAN,
    "port_security_enabled": BOOLEAN,
    "dns_domain": _DOMAIN,
    "qos_policy_id": {"type": ["string", "null"], "format": "uuid"},
    "mtu": {"type": ["integer", "string"], "minimum": 0, "maximum": 65_535, "pattern": "^[0-9]{1,5}$"},
}
_MEMBERS: dict[str, Any] = {
    **_COMMON,
    "project_id": PROJECT,
    "tenant_id": PROJECT,
    "availability_zone_hints": collections.ZONE_HINTS,
    "provider:network_type": {"type": ["string", "null"], "enum": [*segments.TYPES, None]},
    "provider:physical_network": {"type": ["string", "null"], "maxLength": 64},
    "provider:segmentation_id": {"type": ["integer", "string", "null"], "pattern": "^[0-9]{1,9}$", "minimum": 0},
}
CREATE: Schema = collections.creation("network", "networks", _MEMBERS)
UPDATE: Schema = collections.body("network", _COMMON)

_COLUMN = {"router:external": "external"}
_ADMINS = ("shared", "router:external", "is_default")
LEAST_MTU = 68
"""Bytes that IPv4 needs (RFC 791)."""


def index(call: Call) -> dict[str, Any]:
    """List the networks that the caller may see."""
    asked = call.request.GET
    statuses = [text.upper() for text in asked.getall("status")]
    if statuses and "ACTIVE" not in statuses:
        return collections.page(call, "networks", [])
    special = {name: collections.values(call, name, read) for name, read in _SPECIAL.items() if name in asked}
    for name in PROVIDER:
        if name in {*asked, *asked.getall("sort_key")}:
            # Who may not see it may not find it out by asking for each value, or by their order, either.
            call.authorize(rule=f"get_network:{name}")
    found = networks.find(call.store, collections.listing(call, COLUMNS), special)
    return collections.page(call, "networks", _views(call, found))


def show(call: Call) -> dict[str, Any]:
    """Show one network."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "network", _views(call, [found])[0])


def create(call: Call) -> dict[str, Any]:
    """Make a network, or several of them."""
    wanted, bulk = collections.bodies(call, "network", "networks")
    made = networks.create_many(call.store, [_new(call, each) for each in wanted], call.services.conf)
    return collections.made("network", "networks", _views(call, made), bulk=bulk)


def _new(call: Call, wanted: Mapping[str, Any]) -> NewNetwork:
    project_id = collections.owner(call, wanted, "create_network:owner")
    for member in _ADMINS:
        if truth(wanted.get(member, False)):
            call.authorize(rule=f"create_network:{member}")
    for member in PROVIDER:
        if wanted.get(member) is not None:
            call.authorize(rule=f"create_network:{member}")
    return NewNetwork(
        project_id=project_id,
        name=wanted.get("name", ""),
        description=wanted.get("description", ""),
        admin_state_up=truth(wanted.get("admin_state_up", True)),
        shared=truth(wanted.get("shared", False)),
        external=truth(wanted.get("router:external", False)),
        is_default=truth(wanted.get("is_default", False)),
        mtu=_mtu(int(wanted.get("mtu", 0))),
        port_security_enabled=truth(wanted.get("port_security_enabled", True)),
        dns_domain=wanted.get("dns_domain", ""),
        qos_policy_id=wanted.get("qos_policy_id"),
        segment=_segment(call, wanted),
        zone_hints=tuple(wanted.get("availability_zone_hints", ())),
    )


def _segment(call: Call, wanted: Mapping[str, Any]) -> Segment | None:
    kind, physical, number = (wanted.get(member) for member in PROVIDER)
    if (kind, physical, number) == (None, None, None):
        return None
    return segments.choose(call.services.conf, kind, physical, None if number is None else int(number))


def _mtu(wanted: int) -> int | None:
    """Read an MTU; 0 asks for the carrier's."""
    if 0 < wanted < LEAST_MTU:
        raise Invalid(f"Invalid input for mtu. Reason: '{wanted}' is less than {LEAST_MTU}.", "network.invalid_input")
    return wanted or None


def update(call: Call) -> dict[str, Any]:
    """Change a network."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.network.project_id})
    wanted: dict[str, Any] = {}
    for member, value in call.body["network"].items():
        column = _COLUMN.get(member, member)
        new = truth(value) if _COMMON[member] is BOOLEAN else value
        if member in _ADMINS and new != getattr(found.network, column):
            call.authorize(rule=f"update_network:{member}")
        wanted[column] = new
    if "mtu" in wanted:
        wanted["mtu"] = _mtu(int(wanted["mtu"])) or network_rules.mtu(
            call.services.conf, Segment(found.network.network_type), None
        )
    hosts = networks.change(
        call.store,
        found.network.id,
        wanted,
        expected=collections.expected(call),
        scope=collections.scope(call),
        conf=call.services.conf,
    )
    call.wake_hosts(hosts)
    changed = networks.get(call.store, found.network.id, collections.scope(call))
    return {"network": _views(call, [changed])[0]}


def delete(call: Call) -> None:
    """Delete a network and its subnets."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.network.project_id})
    call.wake_hosts(network_removal.delete(call.store, found.network.id, collections.expected(call)))


def _views(call: Call, found: Sequence[Shown]) -> list[dict[str, Any]]:
    provider = [member for member in PROVIDER if call.may(f"get_network:{member}")]
    return [_view(each, provider) for each in found]


def _view(found: Shown, provider: Sequence[str]) -> dict[str, Any]:
    row = found.network
    carried = {
        "provider:network_type": row.network_type,
        "provider:physical_network": row.physical_network,
        "provider:segmentation_id": row.segmentation_id if row.network_type == segments.VXLAN else row.vlan,
    }
    view = collections.standard(row, found.tags) | {
        "admin_state_up": row.admin_state_up,
        "status": "ACTIVE",
        "subnets": list(found.subnet_ids),
        "shared": found.shared,
        "router:external": row.external,
        "mtu": row.mtu,
        "port_security_enabled": row.port_security_enabled,
        "dns_domain": row.dns_domain,
        "qos_policy_id": row.qos_policy_id,
        "availability_zone_hints": list(row.zone_hints),
        "availability_zones": list(found.zones),
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
    }
    if row.external:
        view["is_default"] = row.is_default
    return view | {member: carried[member] for member in provider}


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a network that the caller may see. :raises NotFound: there is none such."""
    return networks.get(call.store, identifier, collections.scope(call)).network.project_id

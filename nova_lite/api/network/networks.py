"""Networks."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.errors import Invalid
from nova_lite.network import networks
from nova_lite.network.networks import NewNetwork, Shown

COLUMNS = {
    "id": Column("id"),
    "name": Column("name"),
    "description": Column("description"),
    "project_id": Column("project_id"),
    "tenant_id": Column("project_id"),
    "admin_state_up": Column("admin_state_up", TRUTH),
    "shared": Column("shared", TRUTH),
    "router:external": Column("external", TRUTH),
    "mtu": Column("mtu", collections.NUMBER),
}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "admin_state_up": BOOLEAN,
    "shared": BOOLEAN,
    "router:external": BOOLEAN,
}
_MTU: Schema = {"type": "integer", "minimum": 576, "maximum": 65_535}
CREATE: Schema = collections.body(
    "network",
    {
        **_COMMON,
        "mtu": _MTU,
        "project_id": PROJECT,
        "tenant_id": PROJECT,
        "availability_zone_hints": {"type": "array", "maxItems": 0},
        "provider:network_type": {"type": "string", "enum": ["vxlan"]},
        "provider:physical_network": {"type": "null"},
        "provider:segmentation_id": {"type": "null"},
    },
)
UPDATE: Schema = collections.body("network", {**_COMMON, "mtu": _MTU})


def index(call: Call) -> dict[str, Any]:
    """List the networks that the caller may see."""
    wanted = call.request.GET.getall("status")
    found = networks.find(call.store, collections.listing(call, COLUMNS))
    views = [_view(call, each) for each in found]
    return collections.page(
        call, "networks", [view for view in views if not wanted or view["status"].upper() in map(str.upper, wanted)]
    )


def show(call: Call) -> dict[str, Any]:
    """Show one network."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "network", _view(call, found))


def create(call: Call) -> dict[str, Any]:
    """Make a network."""
    wanted = call.body["network"]
    project_id = collections.owner(call, wanted, "create_network:owner")
    for member in ("shared", "router:external"):
        if truth(wanted.get(member, False)):
            call.authorize(rule=f"create_network:{member}")
    if any(member.startswith("provider:") for member in wanted):
        call.authorize(rule="create_network:provider")
    made = networks.create(
        call.store,
        NewNetwork(
            project_id=project_id,
            name=wanted.get("name", ""),
            description=wanted.get("description", ""),
            admin_state_up=truth(wanted.get("admin_state_up", True)),
            shared=truth(wanted.get("shared", False)),
            external=truth(wanted.get("router:external", False)),
            mtu=wanted.get("mtu", call.services.conf.network.mtu),
        ),
    )
    return {"network": _view(call, made)}


def update(call: Call) -> dict[str, Any]:
    """Change a network's name and the like; its MTU only stays what it is, as guests have been told it."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.network.project_id})
    wanted = call.body["network"]
    values: dict[str, Any] = {name: wanted[name] for name in ("name", "description") if name in wanted}
    for member, column in (("admin_state_up",) * 2, ("shared",) * 2, ("router:external", "external")):
        if member not in wanted:
            continue
        if column != "admin_state_up" and truth(wanted[member]) != getattr(found.network, column):
            call.authorize(rule=f"update_network:{member}")
        values[column] = truth(wanted[member])
    if "mtu" in wanted and wanted["mtu"] != found.network.mtu:
        raise Invalid("Invalid input for operation: a network's MTU can't be changed.", "network.invalid_input")
    if values:
        networks.change(call.store, found.network.id, None, values)
    return {"network": _view(call, networks.get(call.store, found.network.id, collections.scope(call)))}


def delete(call: Call) -> None:
    """Delete a network and its subnets."""
    found = networks.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.network.project_id})
    networks.delete(call.store, found.network.id, None)


def _view(call: Call, found: Shown) -> dict[str, Any]:
    row = found.network
    view = collections.standard(row) | {
        "admin_state_up": row.admin_state_up,
        "status": "ACTIVE",
        "subnets": list(found.subnet_ids),
        "shared": row.shared,
        "router:external": row.external,
        "mtu": row.mtu,
        "availability_zone_hints": [],
        "availability_zones": [],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
    }
    if call.may("get_network:provider"):
        view |= {
            "provider:network_type": row.network_type,
            "provider:physical_network": None,
            "provider:segmentation_id": row.segmentation_id,
        }
    return view


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a network that the caller may see. :raises NotFound: there is none such."""
    return networks.get(call.store, identifier, collections.scope(call)).network.project_id

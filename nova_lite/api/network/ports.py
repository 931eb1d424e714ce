"""Ports."""

from __future__ import annotations

import ipaddress
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.errors import Invalid
from nova_lite.network import ports
from nova_lite.network.ports import NewPort, Shown, WantedAddress

COLUMNS = {
    "id": Column("id"),
    "name": Column("name"),
    "description": Column("description"),
    "project_id": Column("project_id"),
    "tenant_id": Column("project_id"),
    "network_id": Column("network_id"),
    "mac_address": Column("mac_address", str.lower),
    "admin_state_up": Column("admin_state_up", TRUTH),
    "status": Column("status", str.upper),
    "device_id": Column("device_id"),
    "device_owner": Column("device_owner"),
}
_UUID: Schema = {"type": "string", "format": "uuid"}
_FIXED_IPS: Schema = {
    "type": "array",
    "maxItems": 8,
    "items": {
        "type": "object",
        "properties": {
            "subnet_id": _UUID,
            "ip_address": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        },
        "minProperties": 1,
        "additionalProperties": False,
    },
}
_EMPTY: Schema = {"type": "array", "maxItems": 0}
CREATE: Schema = collections.body(
    "port",
    {
        "network_id": _UUID,
        "name": TEXT,
        "description": TEXT,
        "admin_state_up": BOOLEAN,
        "mac_address": {"type": "string", "format": "mac"},
        "fixed_ips": _FIXED_IPS,
        "security_groups": _EMPTY,
        "allowed_address_pairs": _EMPTY,
        "binding:vnic_type": {"type": "string", "enum": ["normal"]},
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["network_id"],
)
UPDATE: Schema = collections.body("port", {"name": TEXT, "description": TEXT, "admin_state_up": BOOLEAN})


def index(call: Call) -> dict[str, Any]:
    """List the ports that the caller may see."""
    addresses, subnet_ids = _held(call)
    found = ports.find(call.store, collections.listing(call, COLUMNS), addresses=addresses, subnet_ids=subnet_ids)
    return collections.page(call, "ports", [_view(call, each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one port."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "port", _view(call, found))


def create(call: Call) -> dict[str, Any]:
    """Make a port, for a server to be given later."""
    wanted = call.body["port"]
    mac = wanted.get("mac_address", "").lower() or None
    if mac is not None and (int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00"):
        raise Invalid(f"Invalid input for mac_address. Reason: '{mac}' is no unicast address.", "network.bad_mac")
    asked = wanted.get("fixed_ips")
    made = ports.create(
        call.store,
        NewPort(
            network_id=wanted["network_id"],
            project_id=collections.owner(call, wanted, "create_port:owner"),
            name=wanted.get("name", ""),
            description=wanted.get("description", ""),
            mac_address=mac,
            admin_state_up=truth(wanted.get("admin_state_up", True)),
            addresses=None
            if asked is None
            else tuple(WantedAddress(item.get("subnet_id"), item.get("ip_address")) for item in asked),
        ),
        collections.scope(call),
        call.services.conf.network.mac_prefix,
    )
    return {"port": _view(call, made)}


def update(call: Call) -> dict[str, Any]:
    """Change a port's name, description, admin state."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.port.project_id})
    values: dict[str, Any] = dict(call.body["port"])
    if "admin_state_up" in values:
        values["admin_state_up"] = truth(values["admin_state_up"])
    if values:
        ports.change(call.store, found.port.id, None, values)
    return {"port": _view(call, ports.get(call.store, found.port.id, collections.scope(call)))}


def delete(call: Call) -> None:
    """Delete a port that no server has."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.port.project_id})
    ports.delete(call.store, found.port.id, None)


def _held(call: Call) -> tuple[list[str], list[str]]:
    """Read ``fixed_ips=ip_address=…`` and ``fixed_ips=subnet_id=…``."""
    found: dict[str, list[str]] = {"ip_address": [], "subnet_id": []}
    for text in call.request.GET.getall("fixed_ips"):
        name, _, value = text.partition("=")
        if name not in found:
            raise Invalid(f"Invalid filter fixed_ips={text[:64]}.", "network.bad_request")
        found[name].append(_canonical(value) if name == "ip_address" else value)
    return found["ip_address"], found["subnet_id"]


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Invalid(f"Invalid filter: '{address[:64]}' is no IP address.", "network.bad_request") from None


def _view(call: Call, found: Shown) -> dict[str, Any]:
    row = found.port
    view = collections.standard(row) | {
        "network_id": row.network_id,
        "mac_address": row.mac_address,
        "admin_state_up": row.admin_state_up,
        "status": row.status,
        "device_id": row.device_id,
        "device_owner": row.device_owner,
        "fixed_ips": [{"subnet_id": held.subnet_id, "ip_address": held.address} for held in found.addresses],
        "security_groups": [],
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "binding:vnic_type": "normal",
    }
    if call.may("get_port:binding"):
        view |= {
            "binding:host_id": row.host or "",
            "binding:profile": {},
            "binding:vif_type": "bridge" if row.host else "unbound",
            "binding:vif_details": {},
        }
    return view


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a port that the caller may see. :raises NotFound: there is none such."""
    return ports.get(call.store, identifier, collections.scope(call)).port.project_id

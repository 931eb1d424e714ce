"""A server's interfaces: to list, show, attach and detach."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access, parameters
from nova_lite.api.compute.parameters import IP_ADDRESS, TAG, UUID
from nova_lite.api.compute.server_action import ACCEPTED
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import server_interfaces, servers
from nova_lite.compute.interfaces import WantedNic
from nova_lite.compute.servers import Nic
from nova_lite.errors import Invalid, NotFound


def _attach(minor: int) -> Schema:
    address: Schema = {
        "type": "object",
        "properties": {"ip_address": IP_ADDRESS},
        "required": ["ip_address"],
        "additionalProperties": False,
    }
    properties: dict[str, Any] = {
        "net_id": UUID,
        "port_id": UUID,
        # Nova takes a list of which one address can be had.
        "fixed_ips": {"type": "array", "minItems": 1, "maxItems": 1, "items": address},
    }
    if minor >= 49:
        properties["tag"] = TAG
    schema = parameters.body("interfaceAttachment", properties)
    return {**schema, "required": []}


ATTACH = parameters.by_minor(_attach, 1, 49)


def index(call: Call) -> dict[str, Any]:
    """List the interfaces."""
    return {"interfaceAttachments": [_view(nic, call.version.minor) for nic in _nics(call)]}


def show(call: Call) -> dict[str, Any]:
    """Show one interface, by its port."""
    return {"interfaceAttachment": _one(call, call.params["port_id"])}


def create(call: Call) -> dict[str, Any]:
    """Attach an interface; the answer shows it while the guest is being given it."""
    record = access.server(call)
    asked: dict[str, Any] = call.body.get("interfaceAttachment") or {}
    if "port_id" in asked and ("net_id" in asked or "fixed_ips" in asked):
        other = "net_id" if "net_id" in asked else "fixed_ips"
        raise Invalid(f"'port_id' can't be named together with '{other}': a port has both already.", "server.interface")
    if "fixed_ips" in asked and "net_id" not in asked:
        raise Invalid("'net_id' must be named together with 'fixed_ips'.", "server.interface")
    address = asked["fixed_ips"][0]["ip_address"] if "fixed_ips" in asked else None
    wanted = WantedNic(asked.get("net_id"), asked.get("port_id"), address, asked.get("tag")) if asked else None
    if wanted is not None and wanted.network_id is None and wanted.port_id is None:
        raise Invalid("'tag' must be named together with 'net_id' or 'port_id'.", "server.interface")
    change = server_interfaces.attach(
        call.store,
        call.caller,
        record.id,
        wanted,
        scope=access.scope(call),
        override_lock=call.principal.is_admin,
        mac_prefix=call.services.conf.network.mac_prefix,
    )
    call.wake_hosts(change.hosts)
    return {"interfaceAttachment": _one(call, change.port_id)}


def delete(call: Call) -> Reply:
    """Detach an interface."""
    record = access.server(call)
    change = server_interfaces.detach(
        call.store, call.caller, record.id, call.params["port_id"], override_lock=call.principal.is_admin
    )
    call.wake_hosts(change.hosts)
    return ACCEPTED


def _nics(call: Call) -> tuple[Nic, ...]:
    found = servers.get_detail(call.store, access.server_id(call), access.scope(call))
    if not call.authorized:
        call.authorize({"project_id": found.server.project_id, "user_id": found.server.user_id})
    return found.nics


def _one(call: Call, port_id: str) -> dict[str, Any]:
    for nic in _nics(call):
        if nic.port_id == port_id:
            return _view(nic, call.version.minor)
    raise NotFound(
        f"Instance {call.params['server_id']} does not have a port with id {port_id[:64]}", "server.port_not_found"
    )


def _view(nic: Nic, minor: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "net_id": nic.network_id,
        "port_id": nic.port_id,
        "mac_addr": nic.mac_address,
        "port_state": nic.status,
        "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in nic.addresses],
    }
    if minor >= 70:
        shown["tag"] = nic.tag
    return shown

"""A server's addresses and interfaces, to read."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.compute.server_views import addresses
from nova_lite.api.context import Call
from nova_lite.compute import servers
from nova_lite.compute.servers import Nic
from nova_lite.errors import NotFound


def _nics(call: Call) -> tuple[Nic, ...]:
    found = servers.get_detail(call.store, access.server_id(call), access.scope(call))
    call.authorize({"project_id": found.server.project_id, "user_id": found.server.user_id})
    return found.nics


def index(call: Call) -> dict[str, Any]:
    """List the addresses by network."""
    return {"addresses": addresses(_nics(call), extended=False)}


def show(call: Call) -> dict[str, Any]:
    """List the addresses on one network, by its name."""
    label = call.params["label"]
    shown = addresses(_nics(call), extended=False)
    if label not in shown:
        raise NotFound("Network not found", "server.network_not_found")
    return {label: shown[label]}


def interfaces(call: Call) -> dict[str, Any]:
    """List the interfaces."""
    return {"interfaceAttachments": [_interface(nic, call.version.minor) for nic in _nics(call)]}


def interface(call: Call) -> dict[str, Any]:
    """Show one interface, by its port."""
    port_id = call.params["port_id"]
    for nic in _nics(call):
        if nic.port_id == port_id:
            return {"interfaceAttachment": _interface(nic, call.version.minor)}
    raise NotFound(
        f"Instance {call.params['server_id']} does not have a port with id {port_id[:64]}", "server.port_not_found"
    )


def _interface(nic: Nic, minor: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "net_id": nic.network_id,
        "port_id": nic.port_id,
        "mac_addr": nic.mac_address,
        "port_state": nic.status,
        "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in nic.addresses],
    }
    if minor >= 70:
        shown["tag"] = None
    return shown

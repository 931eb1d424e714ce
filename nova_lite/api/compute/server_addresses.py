"""A server's addresses, to read."""

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

"""``/os-networks`` and ``/os-tenant-networks``, until 2.35: networks as compute showed them, for reading."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.context import Call
from nova_lite.db.models import Network
from nova_lite.errors import NotFound
from nova_lite.network import networks
from nova_lite.network.networks import Shown
from nova_lite.network.queries import Listing

_UNKNOWN = (
    *("bridge", "vpn_public_port", "dhcp_start", "bridge_interface", "updated_at", "cidr_v6", "deleted_at", "gateway"),
    *("rxtx_base", "priority", "project_id", "vpn_private_address", "deleted", "vlan", "broadcast", "netmask"),
    *("injected", "cidr", "vpn_public_address", "multi_host", "dns2", "created_at", "host", "gateway_v6"),
    *("netmask_v6", "dns1", "mtu", "dhcp_server", "enable_dhcp", "share_address"),
)


def _find(call: Call) -> list[Network]:
    found = networks.find(call.store, Listing(project_id=access.scope(call), limit=call.services.conf.api.max_limit))
    return [shown.network for shown in found]


def _one(call: Call) -> Network:
    try:
        shown: Shown = networks.get(call.store, call.params["network_id"][:64], access.scope(call))
    except NotFound:
        raise NotFound("Network not found", "network.not_found") from None
    return shown.network


def index(call: Call) -> dict[str, Any]:
    """List networks."""
    return {"networks": [_view(row) for row in _find(call)]}


def show(call: Call) -> dict[str, Any]:
    """Show a network."""
    return {"network": _view(_one(call))}


def _view(row: Network) -> dict[str, Any]:
    return {**dict.fromkeys(_UNKNOWN), "id": row.id, "label": row.name}


def tenant_index(call: Call) -> dict[str, Any]:
    """List networks, shortly."""
    return {"networks": [_short(row) for row in _find(call)]}


def tenant_show(call: Call) -> dict[str, Any]:
    """Show a network, shortly."""
    return {"network": _short(_one(call))}


def _short(row: Network) -> dict[str, Any]:
    return {"id": row.id, "label": row.name, "cidr": "None"}

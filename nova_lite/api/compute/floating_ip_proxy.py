"""``/os-floating-ips`` and ``/os-floating-ip-pools``, until 2.35: floating IPs as Nova shows them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.errors import Conflict, NotFound, OverLimit
from nova_lite.network import floating_ips, networks
from nova_lite.network.floating_ips import NewFloatingIp, Shown
from nova_lite.network.queries import Listing

CREATE: Schema = {
    "type": ["object", "null"],
    "properties": {"pool": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}


def _pools(call: Call) -> list[tuple[str, str, bool]]:
    """Return the external networks: id, name, whether it is the default one."""
    listing = Listing(access.scope(call), {"external": [True]}, [("created_at", False)])
    return [
        (shown.network.id, shown.network.name, shown.network.is_default) for shown in networks.find(call.store, listing)
    ]


def pools(call: Call) -> dict[str, Any]:
    """List the external networks."""
    return {"floating_ip_pools": [{"name": name or identifier} for identifier, name, _ in _pools(call)]}


def index(call: Call) -> dict[str, Any]:
    """List the project's floating IPs."""
    most: int = call.services.conf.api.max_limit
    listing = Listing(access.scope(call), {"project_id": [access.project(call)]}, limit=most)
    found = floating_ips.find(call.store, listing)
    names = _names(call) if found else {}
    return {"floating_ips": [_view(each, names) for each in found]}


def show(call: Call) -> dict[str, Any]:
    """Show one floating IP."""
    return {"floating_ip": _view(_found(call), _names(call))}


def create(call: Call) -> dict[str, Any]:
    """Take a floating IP, of a pool that is named by name or id, or of the default one."""
    wanted = (call.body or {}).get("pool")
    new = NewFloatingIp(access.project(call), _pool(call, wanted))
    try:
        made, _ = floating_ips.create(call.store, call.services.conf, [new], access.scope(call))
    except Conflict as error:
        if error.code == "network.over_quota":
            raise OverLimit("IP allocation over quota.", error.code) from error
        raise NotFound("No more floating IPs available.", "server.no_more_floating_ips") from error
    return {"floating_ip": _view(made[0], _names(call))}


def _pool(call: Call, wanted: str | None) -> str:
    there = _pools(call)
    fitting = [pool for pool in there if wanted is None or wanted in (pool[0], pool[1])]
    if not fitting:
        raise NotFound("Floating IP pool not found.", "server.floating_ip_pool_not_found")
    return sorted(fitting, key=lambda pool: not pool[2])[0][0]


def delete(call: Call) -> None:
    """Give a floating IP back."""
    found = _found(call)
    call.authorize({"project_id": found.floating.project_id})
    call.wake_hosts(floating_ips.delete(call.store, found.floating.id))


def _found(call: Call) -> Shown:
    identifier = call.params["id"][:64]
    try:
        return floating_ips.get(call.store, identifier, access.scope(call))
    except NotFound:
        raise NotFound(f"Floating IP not found for ID {identifier}", "server.floating_ip_not_found") from None


def _names(call: Call) -> dict[str, str]:
    return {identifier: name or identifier for identifier, name, _ in _pools(call)}


def _view(found: Shown, names: dict[str, str]) -> dict[str, Any]:
    row, port = found.floating, found.port
    owned = port is not None and port.device_owner.startswith("compute:")
    return {
        "id": row.id,
        "ip": row.address,
        "fixed_ip": row.fixed_address,
        "pool": names.get(row.floating_network_id),
        "instance_id": port.device_id if port is not None and owned else None,
    }

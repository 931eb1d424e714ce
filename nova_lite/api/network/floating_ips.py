"""Floating IPs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.sql import ColumnElement

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import PROJECT, TEXT, Column
from nova_lite.api.routes import Schema
from nova_lite.network import floating_ips
from nova_lite.network.floating_ips import NewFloatingIp, Shown
from nova_lite.network.floating_routes import WantedTarget, bad

COLUMNS = {
    **collections.STANDARD,
    "floating_network_id": Column("floating_network_id"),
    "floating_ip_address": Column("address"),
    "fixed_ip_address": Column("fixed_address"),
    "port_id": Column("port_id"),
    "router_id": Column("router_id"),
    "qos_policy_id": Column("qos_policy_id"),
}
_UUID: Schema = {"type": "string", "format": "uuid"}
_UUID_OR_NONE: Schema = {"anyOf": [_UUID, {"type": "null"}]}
_ADDRESS_OR_NONE: Schema = {
    "anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}, {"type": "null"}]
}
_COMMON: dict[str, Any] = {
    "port_id": _UUID_OR_NONE,
    "fixed_ip_address": _ADDRESS_OR_NONE,
    "description": TEXT,
    "qos_policy_id": _UUID_OR_NONE,
}
CREATE = collections.creation(
    "floatingip",
    "floatingips",
    {
        **_COMMON,
        "floating_network_id": _UUID,
        "floating_ip_address": _ADDRESS_OR_NONE,
        "subnet_id": _UUID_OR_NONE,
        "dns_name": TEXT,
        "dns_domain": TEXT,
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["floating_network_id"],
)
UPDATE = collections.body("floatingip", _COMMON)


def index(call: Call) -> dict[str, Any]:
    """List the floating IPs that the caller may see."""
    statuses = set(collections.values(call, "status", str.upper))
    if statuses and not statuses & {"ACTIVE", "DOWN"}:
        return collections.page(call, "floatingips", [])
    conditions: list[ColumnElement[bool]] = []
    if len(statuses & {"ACTIVE", "DOWN"}) == 1:
        conditions.append(floating_ips.leads_somewhere(yes="ACTIVE" in statuses))
    found = floating_ips.find(call.store, collections.listing(call, COLUMNS), *conditions)
    return collections.page(call, "floatingips", [_view(each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one floating IP."""
    return collections.one(call, "floatingip", _view(_found(call)))


def create(call: Call) -> dict[str, Any]:
    """Take floating IPs, and let them lead to ports."""
    wanted, bulk = collections.bodies(call, "floatingip", "floatingips")
    news = []
    for item in wanted:
        project_id = collections.owner(call, item, "create_floatingip:owner")
        if item.get("floating_ip_address"):
            call.authorize({"project_id": project_id}, rule="create_floatingip:floating_ip_address")
        news.append(
            NewFloatingIp(
                project_id=project_id,
                network_id=item["floating_network_id"],
                subnet_id=item.get("subnet_id"),
                address=item.get("floating_ip_address"),
                target=_target(item),
                description=item.get("description", ""),
                dns_name=item.get("dns_name", ""),
                dns_domain=item.get("dns_domain", ""),
                qos_policy_id=item.get("qos_policy_id"),
            )
        )
    made, hosts = floating_ips.create(call.store, call.services.conf, news, collections.scope(call))
    call.wake_hosts(hosts)
    return collections.made("floatingip", "floatingips", [_view(each) for each in made], bulk=bulk)


def _target(item: Mapping[str, Any]) -> WantedTarget | None:
    port_id, address = item.get("port_id"), item.get("fixed_ip_address")
    if port_id:
        return WantedTarget(port_id, address)
    if address:
        raise bad("fixed_ip_address cannot be specified without a port_id")
    return None


def update(call: Call) -> dict[str, Any]:
    """Let a floating IP lead elsewhere or nowhere; change its description or limits."""
    found = _found(call)
    call.authorize({"project_id": found.floating.project_id})
    wanted = call.body["floatingip"]
    hosts = floating_ips.change(
        call.store,
        found.floating.id,
        {name: wanted[name] for name in ("description", "qos_policy_id") if name in wanted},
        collections.scope(call),
        # A body without a member is upstream's first way to let it lead nowhere, and still works there.
        sets_target="port_id" in wanted or bool(wanted.get("fixed_ip_address")) or not wanted,
        target=_target(wanted),
        expected=collections.expected(call),
    )
    call.wake_hosts(hosts)
    return {"floatingip": _view(_found(call))}


def delete(call: Call) -> None:
    """Give a floating IP back."""
    found = _found(call)
    call.authorize({"project_id": found.floating.project_id})
    call.wake_hosts(floating_ips.delete(call.store, found.floating.id, collections.expected(call)))


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a floating IP that the caller may see. :raises NotFound: there is none such."""
    return floating_ips.get(call.store, identifier, collections.scope(call)).floating.project_id


def _found(call: Call) -> Shown:
    return floating_ips.get(call.store, call.params["id"], collections.scope(call))


def _view(found: Shown) -> dict[str, Any]:
    row, port = found.floating, found.port
    details = None
    if port is not None:
        details = {
            "name": port.name,
            "network_id": port.network_id,
            "mac_address": port.mac_address,
            "admin_state_up": port.admin_state_up,
            "status": port.status,
            "device_id": port.device_id,
            "device_owner": port.device_owner,
        }
    return collections.unnamed(row, found.tags) | {
        "floating_network_id": row.floating_network_id,
        "floating_ip_address": row.address,
        "fixed_ip_address": row.fixed_address,
        "port_id": row.port_id,
        "router_id": row.router_id,
        "status": found.status,
        "port_details": details,
        "dns_name": row.dns_name,
        "dns_domain": row.dns_domain,
        "qos_policy_id": row.qos_policy_id,
    }

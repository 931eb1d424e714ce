"""Actions of servers that change what their ports are in and what leads to them; the guest notices nothing."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access, policies
from nova_lite.api.compute.parameters import IP_ADDRESS, shortest_ip
from nova_lite.api.compute.server_action import ACCEPTED, Action, closed
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import server_fixed_ips, server_floating_ips, server_security_groups
from nova_lite.compute.servers import ServerRecord

_GROUPS, _FLOATING = policies.PREFIX + "os-security-groups:", policies.PREFIX + "os-floating-ips:"
_NAMED: Schema = closed({"name": {"type": "string", "minLength": 1, "maxLength": 255}}, "name")


def _add_group(call: Call, record: ServerRecord, argument: Any) -> Reply:
    override = call.principal.is_admin
    call.wake_hosts(server_security_groups.add(call.store, record.id, argument["name"], override_lock=override))
    return ACCEPTED


def _remove_group(call: Call, record: ServerRecord, argument: Any) -> Reply:
    override = call.principal.is_admin
    call.wake_hosts(server_security_groups.remove(call.store, record.id, argument["name"], override_lock=override))
    return ACCEPTED


def _add_floating(call: Call, record: ServerRecord, argument: Any) -> Reply:
    address, fixed = argument["address"], argument.get("fixed_address")
    call.wake_hosts(server_floating_ips.associate(call.store, record.id, address, fixed, access.scope(call)))
    return ACCEPTED


def _remove_floating(call: Call, record: ServerRecord, argument: Any) -> Reply:
    call.wake_hosts(server_floating_ips.disassociate(call.store, record.id, argument["address"], access.scope(call)))
    return ACCEPTED


def _add_fixed(call: Call, record: ServerRecord, argument: Any) -> Reply:
    hosts = server_fixed_ips.add(
        call.store, record.id, argument["networkId"], access.scope(call), override_lock=call.principal.is_admin
    )
    call.wake_hosts(hosts)
    return ACCEPTED


def _remove_fixed(call: Call, record: ServerRecord, argument: Any) -> Reply:
    address = shortest_ip(argument["address"])
    hosts = server_fixed_ips.remove(
        call.store, record.id, address, access.scope(call), override_lock=call.principal.is_admin
    )
    call.wake_hosts(hosts)
    return ACCEPTED


ACTIONS = (
    Action(
        "addFixedIp",
        policies.PREFIX + "os-multinic:add",
        _add_fixed,
        closed({"networkId": {"type": "string", "minLength": 1, "maxLength": 255}}, "networkId"),
        until=43,
    ),
    Action(
        "removeFixedIp",
        policies.PREFIX + "os-multinic:remove",
        _remove_fixed,
        closed({"address": IP_ADDRESS}, "address"),
        until=43,
    ),
    Action("addSecurityGroup", _GROUPS + "add", _add_group, _NAMED),
    Action("removeSecurityGroup", _GROUPS + "remove", _remove_group, _NAMED),
    Action(
        "addFloatingIp",
        _FLOATING + "add",
        _add_floating,
        closed({"address": IP_ADDRESS, "fixed_address": IP_ADDRESS}, "address"),
        until=43,
    ),
    Action(
        "removeFloatingIp", _FLOATING + "remove", _remove_floating, closed({"address": IP_ADDRESS}, "address"), until=43
    ),
)

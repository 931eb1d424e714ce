"""Security group rules."""

from __future__ import annotations

import ipaddress
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import PROJECT, TEXT, TRUTH, Column
from nova_lite.api.routes import Schema
from nova_lite.db.models import SecurityGroupRule
from nova_lite.network import security_group_rules, security_groups
from nova_lite.network.security_group_rules import NewRule
from nova_lite.network.security_rule_forms import canonical

COLUMNS = {
    **collections.STANDARD,
    "security_group_id": Column("group_id"),
    "direction": Column("direction"),
    "ethertype": Column("ethertype"),
    "protocol": Column("protocol", str.lower),
    "port_range_min": Column("port_min", collections.NUMBER),
    "port_range_max": Column("port_max", collections.NUMBER),
    "remote_ip_prefix": Column("remote_ip_prefix"),
    "remote_group_id": Column("remote_group_id"),
    "remote_address_group_id": Column("remote_address_group_id"),
}
_UUID: Schema = {"type": "string", "format": "uuid"}
_UUID_OR_NONE: Schema = {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 0}, _UUID]}
_NUMBER: Schema = {"type": ["integer", "string", "null"], "maxLength": 16}
CREATE = collections.creation(
    "security_group_rule",
    "security_group_rules",
    {
        "security_group_id": _UUID,
        "direction": {"type": "string", "enum": ["ingress", "egress"]},
        "ethertype": {"type": ["string", "null"], "maxLength": 16},
        "protocol": {"type": ["string", "integer", "null"], "maxLength": 40},
        "port_range_min": _NUMBER,
        "port_range_max": _NUMBER,
        "remote_ip_prefix": {"type": ["string", "null"], "maxLength": 64},
        # What is no id is not found, as upstream has it.
        "remote_group_id": {"type": ["string", "null"], "maxLength": 64},
        "remote_address_group_id": _UUID_OR_NONE,
        "description": {**TEXT, "type": ["string", "null"]},
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["security_group_id", "direction"],
)


def index(call: Call) -> dict[str, Any]:
    """List the rules of the groups that the caller may see."""
    if call.principal.project_id:
        security_groups.have_default(call.store, call.principal.project_id)
    conditions = [
        security_group_rules.in_default(yes=yes) for yes in collections.values(call, "belongs_to_default_sg", TRUTH)
    ]
    found = security_group_rules.find(call.store, collections.listing(call, COLUMNS), *conditions)
    return collections.page(
        call, "security_group_rules", [view(each.rule, in_default=each.in_default) for each in found]
    )


def show(call: Call) -> dict[str, Any]:
    """Show one rule."""
    found = security_group_rules.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "security_group_rule", view(found.rule, in_default=found.in_default))


def create(call: Call) -> dict[str, Any]:
    """Add rules to a group of the caller's."""
    wanted, bulk = collections.bodies(call, "security_group_rule", "security_group_rules")
    news = []
    for item in wanted:
        form = canonical(item)
        named = item.get("project_id") or item.get("tenant_id")
        if named and named != call.principal.project_id:
            call.authorize(rule="create_security_group_rule:owner")
        news.append(NewRule(item["security_group_id"], form))
    scope = collections.scope(call)
    for group_id in dict.fromkeys(new.group_id for new in news):
        group = security_groups.get(call.store, group_id, scope).group
        call.authorize({"project_id": group.project_id})
    made, hosts = security_group_rules.create(call.store, call.services.conf, news, scope)
    call.wake_hosts(hosts)
    views = [view(each.rule, in_default=each.in_default) for each in made]
    return collections.made("security_group_rule", "security_group_rules", views, bulk=bulk)


def delete(call: Call) -> None:
    """Delete a rule."""
    found = security_group_rules.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.group_project_id})
    call.wake_hosts(security_group_rules.delete(call.store, found.rule.id, collections.expected(call)))


def view(row: SecurityGroupRule, *, in_default: bool) -> dict[str, Any]:
    """Make the view of a rule."""
    prefix = row.remote_ip_prefix
    return collections.unnamed(row) | {
        "security_group_id": row.group_id,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "port_range_min": row.port_min,
        "port_range_max": row.port_max,
        "remote_ip_prefix": prefix,
        "normalized_cidr": None if prefix is None else str(ipaddress.ip_interface(prefix).network),
        "remote_group_id": row.remote_group_id,
        "remote_address_group_id": row.remote_address_group_id,
        "belongs_to_default_sg": in_default,
    }

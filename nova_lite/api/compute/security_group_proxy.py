"""``/os-security-groups`` and ``/os-security-group-rules``, until 2.35, and a server's groups: as Nova shows them."""

from __future__ import annotations

from typing import Any

from nova_lite.api import validation
from nova_lite.api.compute import access
from nova_lite.api.compute.network_refusals import as_compute
from nova_lite.api.compute.parameters import UUID, body
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import server_security_groups
from nova_lite.db.models import SecurityGroup, SecurityGroupRule
from nova_lite.errors import Invalid
from nova_lite.network import security_group_rules, security_groups
from nova_lite.network.queries import Listing
from nova_lite.network.security_group_rules import NewRule
from nova_lite.network.security_groups import NewGroup, Shown
from nova_lite.network.security_rule_forms import canonical

_TEXT: Schema = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"}
CREATE = UPDATE = body("security_group", {"name": _TEXT, "description": _TEXT}, ["name", "description"])
_PORT: Schema = {"type": ["integer", "string", "null"], "maxLength": 16}
CREATE_RULE = body(
    "security_group_rule",
    {
        "parent_group_id": UUID,
        "ip_protocol": {"type": ["string", "integer", "null"], "maxLength": 40},
        "from_port": _PORT,
        "to_port": _PORT,
        "cidr": {"type": ["string", "null"], "maxLength": 64},
        "group_id": {"anyOf": [UUID, {"type": "null"}]},
    },
    ["parent_group_id"],
)
_WHOLE_RANGE = ("tcp", "udp")


def index(call: Call) -> dict[str, Any]:
    """List the project's groups; an admin may list everybody's (``all_tenants``)."""
    project_id = access.project(call)
    security_groups.have_default(call.store, project_id)
    everybody = call.query.get("all_tenants") in ("1", "true", "True") and call.principal.is_admin
    filters = {} if everybody else {"project_id": [project_id]}
    most: int = call.services.conf.api.max_limit
    limit, offset = _number(call, "limit", most), _number(call, "offset", 0)
    found = security_groups.find(call.store, Listing(access.scope(call), filters, [("name", False)]))
    return {"security_groups": _views(call, found[offset : offset + min(limit, most)])}


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise Invalid(f"{name} param must be an integer: {text[:64]}", "request.paging")
    return int(text)


def show(call: Call) -> dict[str, Any]:
    """Show one group."""
    return {"security_group": _views(call, [_found(call)])[0]}


def create(call: Call) -> dict[str, Any]:
    """Make a group."""
    wanted = call.body["security_group"]
    new = NewGroup(access.project(call), wanted["name"], wanted.get("description") or "")
    with as_compute():
        made = security_groups.create(call.store, call.services.conf, [new])
    return {"security_group": _views(call, made)[0]}


def update(call: Call) -> dict[str, Any]:
    """Change a group's name and description."""
    found = _own(call)
    wanted = {name: call.body["security_group"][name] for name in ("name", "description")}
    with as_compute():
        call.wake_hosts(security_groups.change(call.store, found.group.id, wanted))
    return show(call)


def delete(call: Call) -> None:
    """Delete a group that no port is in."""
    found = _own(call)
    with as_compute():
        call.wake_hosts(security_groups.delete(call.store, found.group.id, is_admin=call.principal.is_admin))


def create_rule(call: Call) -> dict[str, Any]:
    """Let something into a group."""
    wanted = call.body["security_group_rule"]
    scope = access.scope(call)
    group = security_groups.get(call.store, wanted["parent_group_id"], scope)
    call.authorize({"project_id": group.group.project_id})
    cidr = wanted.get("cidr")
    ports = {"port_range_min": _port(wanted.get("from_port")), "port_range_max": _port(wanted.get("to_port"))}
    protocol = wanted.get("ip_protocol")
    if protocol is None and not wanted.get("group_id"):
        raise Invalid("Invalid IP protocol: name one, or a group.", "network.security_group_rule_invalid_protocol")
    form = canonical(
        {
            "direction": "ingress",
            "ethertype": "IPv6" if cidr and ":" in cidr else "IPv4",
            "protocol": protocol,
            "remote_ip_prefix": cidr or (None if wanted.get("group_id") else "0.0.0.0/0"),
            "remote_group_id": wanted.get("group_id"),
            **ports,
        }
    )
    with as_compute():
        made, hosts = security_group_rules.create(
            call.store, call.services.conf, [NewRule(group.group.id, form)], scope
        )
    call.wake_hosts(hosts)
    row = made[0].rule
    return {"security_group_rule": _rule(row, _groups(call, [row]))}


def _port(value: int | str | None) -> int | str | None:
    """Read Nova's -1, which is "any"."""
    return None if value in (-1, "-1") else value


def delete_rule(call: Call) -> None:
    """Take a rule back."""
    found = security_group_rules.get(call.store, call.params["rule_id"][:64], access.scope(call))
    call.authorize({"project_id": found.group_project_id})
    call.wake_hosts(security_group_rules.delete(call.store, found.rule.id))


def of_server(call: Call) -> dict[str, Any]:
    """List the groups of a server."""
    record = access.server(call)
    return {"security_groups": _views(call, server_security_groups.of_server(call.store, record.id))}


def _found(call: Call) -> Shown:
    identifier = call.params["group_id"]
    if not validation.FORMATS["uuid"](identifier):
        raise Invalid("Security group id should be uuid", "request.security_group_id")
    return security_groups.get(call.store, identifier, access.scope(call))


def _own(call: Call) -> Shown:
    found = _found(call)
    call.authorize({"project_id": found.group.project_id})
    return found


def _groups(call: Call, rules: list[SecurityGroupRule]) -> dict[str, SecurityGroup]:
    """Return the groups that rules name as remote, in one query."""
    named = sorted({rule.remote_group_id for rule in rules if rule.remote_group_id})
    if not named:
        return {}
    found = security_groups.find(call.store, Listing(None, {"id": named}))
    return {shown.group.id: shown.group for shown in found}


def _views(call: Call, found: list[Shown]) -> list[dict[str, Any]]:
    # Nova knows rules for what comes in only.
    shown = {each.group.id: [rule for rule in each.rules if rule.direction == "ingress"] for each in found}
    groups = _groups(call, [rule for rules in shown.values() for rule in rules])
    return [
        {
            "id": each.group.id,
            "name": each.group.name,
            "description": each.group.description,
            "tenant_id": each.group.project_id,
            "rules": [_rule(rule, groups) for rule in shown[each.group.id]],
        }
        for each in found
    ]


def _rule(row: SecurityGroupRule, groups: dict[str, SecurityGroup]) -> dict[str, Any]:
    low, high = row.port_min, row.port_max
    if row.protocol is not None and low is None and high is None:
        low, high = (1, 65_535) if row.protocol in _WHOLE_RANGE else (-1, -1)
    view: dict[str, Any] = {
        "id": row.id,
        "parent_group_id": row.group_id,
        "ip_protocol": row.protocol,
        "from_port": low,
        "to_port": high,
        "group": {},
        "ip_range": {},
    }
    remote = groups.get(row.remote_group_id or "")
    if remote is not None:
        view["group"] = {"name": remote.name, "tenant_id": remote.project_id}
    elif row.remote_group_id is None:
        view["ip_range"] = {"cidr": row.remote_ip_prefix or ("::/0" if row.ethertype == "IPv6" else "0.0.0.0/0")}
    return view

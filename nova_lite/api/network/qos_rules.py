"""Bandwidth limits of QoS policies: below their policy, and by their own id alone (the alias routes)."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.routes import Schema
from nova_lite.db.models import QosPolicy, QosRule
from nova_lite.errors import NotFound
from nova_lite.network import qos_policies, qos_rules
from nova_lite.network.qos_rules import KIND

_HIGHEST = (1 << 31) - 1
_DIRECTIONS = ("egress", "ingress")
_MEMBERS: dict[str, Any] = {
    "max_kbps": {"type": "integer", "minimum": 1, "maximum": _HIGHEST},
    "max_burst_kbps": {"type": "integer", "minimum": 0, "maximum": _HIGHEST},
    "direction": {"type": "string", "enum": list(_DIRECTIONS)},
}
_RULE, _ALIAS = "bandwidth_limit_rule", "alias_bandwidth_limit_rule"
CREATE: Schema = collections.body(_RULE, _MEMBERS, ["max_kbps"])
UPDATE: Schema = collections.body(_RULE, _MEMBERS)
ALIAS_UPDATE: Schema = collections.body(_ALIAS, _MEMBERS)


def index(call: Call) -> dict[str, Any]:
    """List the limits of a policy."""
    found = qos_policies.get(call.store, call.params["policy_id"], collections.scope(call))
    asked = call.request.GET
    views = [view(rule) for rule in found.rules]
    for member in ("id", "direction", "max_kbps", "max_burst_kbps"):
        wanted = asked.getall(member)
        views = [each for each in views if not wanted or str(each[member]) in wanted]
    return collections.page(call, "bandwidth_limit_rules", views)


def show(call: Call) -> dict[str, Any]:
    """Show one limit of a policy."""
    policy = _policy(call)
    return collections.one(call, _RULE, view(qos_rules.get(call.store, call.params["rule_id"], policy.id)))


def create(call: Call) -> dict[str, Any]:
    """Add a limit to a policy."""
    policy = _own(call)
    wanted = {"direction": "egress", "max_burst_kbps": 0, **call.body[_RULE]}
    made, hosts = qos_rules.create(call.store, policy.id, wanted)
    call.wake_hosts(hosts)
    return {_RULE: view(made)}


def update(call: Call) -> dict[str, Any]:
    """Change a limit."""
    return {_RULE: _change(call, _own(call), call.body[_RULE])}


def delete(call: Call) -> None:
    """Remove a limit."""
    call.wake_hosts(qos_rules.delete(call.store, call.params["rule_id"], _own(call).id))


def show_alias(call: Call) -> dict[str, Any]:
    """Show a limit by its id alone."""
    policy = _policy_of_rule(call)
    return collections.one(call, _ALIAS, view(qos_rules.get(call.store, call.params["rule_id"], policy.id)))


def update_alias(call: Call) -> dict[str, Any]:
    """Change a limit by its id alone."""
    policy = _policy_of_rule(call)
    call.authorize({"project_id": policy.project_id})
    return {_ALIAS: _change(call, policy, call.body[_ALIAS])}


def delete_alias(call: Call) -> None:
    """Remove a limit by its id alone."""
    policy = _policy_of_rule(call)
    call.authorize({"project_id": policy.project_id})
    call.wake_hosts(qos_rules.delete(call.store, call.params["rule_id"], policy.id))


def rule_types(_call: Call) -> dict[str, Any]:
    """List the kinds of rule that there are."""
    return {"rule_types": [{"type": KIND}]}


def show_rule_type(call: Call) -> dict[str, Any]:
    """Show what rules of a kind may say."""
    if call.params["rule_type"] != KIND:
        raise NotFound(f"Rule type {call.params['rule_type'][:64]} could not be found.", "network.qos_rule_not_found")
    parameters: list[dict[str, Any]] = [
        {"parameter_name": name, "parameter_type": "range", "parameter_values": {"start": least, "end": _HIGHEST}}
        for name, least in (("max_kbps", 1), ("max_burst_kbps", 0))
    ]
    parameters += [
        {"parameter_name": "direction", "parameter_type": "choices", "parameter_values": list(_DIRECTIONS)},
    ]
    return {"rule_type": {"type": KIND, "drivers": [{"name": "nova_lite", "supported_parameters": parameters}]}}


def _policy(call: Call) -> QosPolicy:
    return qos_policies.get(call.store, call.params["policy_id"], collections.scope(call)).policy


def _own(call: Call) -> QosPolicy:
    policy = _policy(call)
    call.authorize({"project_id": policy.project_id})
    return policy


def _policy_of_rule(call: Call) -> QosPolicy:
    policy_id = qos_rules.policy_of(call.store, call.params["rule_id"])
    try:
        return qos_policies.get(call.store, policy_id, collections.scope(call)).policy
    except NotFound:
        # That the policy is there is none of the caller's business.
        raise qos_rules.unknown(call.params["rule_id"]) from None


def _change(call: Call, policy: QosPolicy, wanted: dict[str, Any]) -> dict[str, Any]:
    rule_id = call.params["rule_id"]
    call.wake_hosts(qos_rules.change(call.store, rule_id, policy.id, wanted))
    return view(qos_rules.get(call.store, rule_id, policy.id))


def view(rule: QosRule) -> dict[str, Any]:
    """Make the view of a limit."""
    return {
        "id": rule.id,
        "max_kbps": rule.max_kbps,
        "max_burst_kbps": rule.max_burst_kbps,
        "direction": rule.direction,
    }

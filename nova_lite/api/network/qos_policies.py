"""QoS policies."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections, qos_rules
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.network import qos_policies
from nova_lite.network.qos_policies import NewPolicy, Shown
from nova_lite.network.qos_rules import KIND

COLUMNS = {
    **collections.NAMED,
    "shared": Column("shared", TRUTH),
    "is_default": Column("is_default", TRUTH),
}
_COMMON: dict[str, Any] = {"name": TEXT, "description": TEXT, "shared": BOOLEAN, "is_default": BOOLEAN}
CREATE = collections.creation("policy", "policies", {**_COMMON, "project_id": PROJECT, "tenant_id": PROJECT})
UPDATE = collections.body("policy", _COMMON)


def index(call: Call) -> dict[str, Any]:
    """List the policies that the caller may see."""
    views = [_view(each) for each in qos_policies.find(call.store, collections.listing(call, COLUMNS))]
    return collections.page(call, "policies", views)


def show(call: Call) -> dict[str, Any]:
    """Show one policy with its rules."""
    return collections.one(call, "policy", _view(_found(call)))


def create(call: Call) -> dict[str, Any]:
    """Make policies, without rules."""
    wanted, bulk = collections.bodies(call, "policy", "policies")
    news = []
    for item in wanted:
        project_id = collections.owner(call, item, "create_policy:owner")
        if truth(item.get("shared", False)):
            call.authorize(rule="create_policy:shared")
        news.append(
            NewPolicy(
                project_id=project_id,
                name=item.get("name", ""),
                description=item.get("description", ""),
                shared=truth(item.get("shared", False)),
                is_default=truth(item.get("is_default", False)),
            )
        )
    made = [_view(each) for each in qos_policies.create(call.store, news)]
    return collections.made("policy", "policies", made, bulk=bulk)


def update(call: Call) -> dict[str, Any]:
    """Change a policy's names, whom it is for, whether it is the default."""
    found = _found(call)
    call.authorize({"project_id": found.policy.project_id})
    values: dict[str, Any] = dict(call.body["policy"])
    for member in ("shared", "is_default"):
        if member in values:
            values[member] = truth(values[member])
    if values.get("shared", found.policy.shared) != found.policy.shared:
        call.authorize(rule="update_policy:shared")
    qos_policies.change(call.store, found.policy.id, values, collections.expected(call))
    return {"policy": _view(_found(call))}


def delete(call: Call) -> None:
    """Delete a policy that nothing has."""
    found = _found(call)
    call.authorize({"project_id": found.policy.project_id})
    qos_policies.delete(call.store, found.policy.id, collections.expected(call))


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a policy that the caller may see. :raises NotFound: there is none such."""
    return qos_policies.get(call.store, identifier, collections.scope(call)).policy.project_id


def _found(call: Call) -> Shown:
    return qos_policies.get(call.store, call.params["id"], collections.scope(call))


def _view(found: Shown) -> dict[str, Any]:
    return collections.standard(found.policy, found.tags) | {
        "shared": found.shared,
        "is_default": found.policy.is_default,
        "rules": [qos_rules.view(rule) | {"type": KIND, "qos_policy_id": found.policy.id} for rule in found.rules],
    }

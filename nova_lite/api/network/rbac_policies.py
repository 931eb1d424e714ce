"""RBAC policies."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import PROJECT, Column
from nova_lite.api.routes import Schema
from nova_lite.db.models import RbacPolicy
from nova_lite.errors import Invalid
from nova_lite.network import rbac, rbac_policies
from nova_lite.network.rbac_policies import NewPolicy

COLUMNS = {
    "id": Column("id"),
    "project_id": Column("project_id"),
    "tenant_id": Column("project_id"),
    "object_type": Column("object_type"),
    "object_id": Column("object_id"),
    "action": Column("action"),
    "target_tenant": Column("target_project"),
    "target_project": Column("target_project"),
}
_TARGET: Schema = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^(\*|[a-zA-Z0-9-]+)$"}
_TARGETS: dict[str, Any] = {"target_tenant": _TARGET, "target_project": _TARGET}
CREATE: Schema = collections.body(
    "rbac_policy",
    {
        **_TARGETS,
        "object_type": {"type": "string", "enum": sorted(rbac.OBJECTS)},
        "object_id": {"type": "string", "format": "uuid"},
        "action": {"type": "string", "enum": [rbac.SHARED, rbac.EXTERNAL]},
        "project_id": PROJECT,
        "tenant_id": PROJECT,
    },
    ["object_type", "object_id", "action"],
)
UPDATE: Schema = collections.body("rbac_policy", _TARGETS)


def index(call: Call) -> dict[str, Any]:
    """List the policies of the caller's project; admins: of all."""
    found = rbac_policies.find(call.store, collections.listing(call, COLUMNS))
    return collections.page(call, "rbac_policies", [_view(row) for row in found])


def show(call: Call) -> dict[str, Any]:
    """Show one policy."""
    row = rbac_policies.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "rbac_policy", _view(row))


def create(call: Call) -> dict[str, Any]:
    """Lend a thing to a project, or to all."""
    wanted = call.body["rbac_policy"]
    project_id = collections.owner(call, wanted, "create_rbac_policy:owner")
    target = _target(call, wanted, "create_rbac_policy:target_tenant")
    if wanted["action"] == rbac.EXTERNAL:
        call.authorize(rule="create_network:router:external")
    new = NewPolicy(project_id, wanted["object_type"], wanted["object_id"], wanted["action"], target)
    made = rbac_policies.create(call.store, new, collections.scope(call), call.services.conf)
    return {"rbac_policy": _view(made)}


def _target(call: Call, wanted: dict[str, Any], rule: str) -> str:
    """Return whom a thing is lent to; everybody only by who may. :raises Invalid: it does not say."""
    target: str | None = wanted.get("target_tenant") or wanted.get("target_project")
    if target is None:
        raise Invalid(
            "Invalid input for field/attribute rbac_policy. 'target_tenant' is a required property", "request.schema"
        )
    if target == rbac.EVERYBODY:
        call.authorize(rule=rule)
    return target


def update(call: Call) -> dict[str, Any]:
    """Lend a thing to another project instead."""
    row = rbac_policies.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": row.project_id})
    wanted = call.body["rbac_policy"]
    if wanted:
        rbac_policies.retarget(call.store, row.id, _target(call, wanted, "update_rbac_policy:target_tenant"))
    return {"rbac_policy": _view(rbac_policies.get(call.store, row.id, collections.scope(call)))}


def delete(call: Call) -> None:
    """Take a thing back."""
    row = rbac_policies.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": row.project_id})
    rbac_policies.delete(call.store, row.id)


def _view(row: RbacPolicy) -> dict[str, Any]:
    return {
        "id": row.id,
        "tenant_id": row.project_id,
        "project_id": row.project_id,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "action": row.action,
        "target_tenant": row.target_project,
    }

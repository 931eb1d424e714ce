"""Which projects may use a flavor that is not public."""

from __future__ import annotations

from typing import Any

from nova_lite.api import validation
from nova_lite.api.compute import policies
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import flavors
from nova_lite.errors import Invalid

_TENANT: Schema = {
    "type": "object",
    "properties": {"tenant": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]*$"}},
    "required": ["tenant"],
    "additionalProperties": False,
}


def _grant(call: Call, flavor_id: str, project_id: str) -> list[str]:
    # Public flavors are refused from 2.7 on.
    return flavors.grant(call.store, flavor_id, project_id, of_public=call.version.minor < 7)


def _revoke(call: Call, flavor_id: str, project_id: str) -> list[str]:
    return flavors.revoke(call.store, flavor_id, project_id)


BODY: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1}
_ACTIONS: dict[str, tuple[str, Any, Schema]] = {
    name: (
        policies.PREFIX + f"os-flavor-access:{rule}",
        run,
        {"type": "object", "properties": {name: _TENANT}, "required": [name], "additionalProperties": False},
    )
    for name, rule, run in (
        ("addTenantAccess", "add_tenant_access", _grant),
        ("removeTenantAccess", "remove_tenant_access", _revoke),
    )
}


def index(call: Call) -> dict[str, Any]:
    """List the projects that may use a flavor."""
    flavor_id = call.params["flavor_id"]
    return _view(flavor_id, flavors.access(call.store, flavor_id))


def act(call: Call) -> dict[str, Any]:
    """Give or take a project's right to a flavor."""
    name = next(iter(call.body))
    if name not in _ACTIONS:
        raise Invalid(f"There is no such action: {name[:64]}", "flavor.no_such_action")
    rule, run, schema = _ACTIONS[name]
    call.authorize(rule=rule)
    validation.validate(schema, call.body)
    flavor_id = call.params["flavor_id"]
    return _view(flavor_id, run(call, flavor_id, call.body[name]["tenant"]))


def _view(flavor_id: str, projects: list[str]) -> dict[str, Any]:
    return {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": project} for project in projects]}

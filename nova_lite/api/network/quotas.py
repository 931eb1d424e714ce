"""Quotas of networks and what goes with them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network.collections import QUERY
from nova_lite.api.routes import Route, Schema
from nova_lite.errors import Invalid
from nova_lite.network import quotas

_LIMIT: Schema = {
    "type": ["integer", "string"],
    "minimum": -1,
    "maximum": 2_147_483_647,
    "pattern": r"^(-1|[0-9]{1,9})$",
}
_HOW = ("force", "check_limit")
"""Members that say how to set, beside those that say what."""
_TRUTH: Schema = {"type": "boolean"}
UPDATE: Schema = {
    "type": "object",
    "properties": {
        "quota": {
            "type": "object",
            "properties": dict.fromkeys(quotas.RESOURCES, _LIMIT) | dict.fromkeys(_HOW, _TRUTH),
            "additionalProperties": False,
        }
    },
    "required": ["quota"],
    "additionalProperties": False,
}


def _project(call: Call) -> str:
    """Return the project that is meant, once the policy allows it."""
    project_id = call.params["project_id"]
    call.authorize({"project_id": project_id})
    return project_id


def index(call: Call) -> dict[str, Any]:
    """List the projects that have limits of their own; who is no admin sees their own project's."""
    found = quotas.projects(call.services.conf, call.store)
    who = call.principal
    seen = {name: limits for name, limits in found.items() if who.is_admin or name == who.project_id}
    return {"quotas": [{"tenant_id": name, "project_id": name, **limits} for name, limits in seen.items()]}


def show(call: Call) -> dict[str, Any]:
    """Show a project's limits."""
    return {"quota": quotas.limits(call.services.conf, call.store, _project(call))}


def own(call: Call) -> dict[str, Any]:
    """Say whose limits the caller's token is about."""
    project = {"tenant_id": call.principal.project_id, "project_id": call.principal.project_id}
    return {"tenant": project, "project": project}


def defaults(call: Call) -> dict[str, Any]:
    """Show the limits that a project begins with."""
    _project(call)
    return {"quota": quotas.defaults(call.services.conf)}


def details(call: Call) -> dict[str, Any]:
    """Show a project's limits with what is in use. Nothing is ever only reserved: what is made counts at once."""
    project_id = _project(call)
    used = quotas.usage(call.store, project_id)
    limits = quotas.limits(call.services.conf, call.store, project_id)
    return {
        "quota": {name: {"limit": most, "used": used[name], "reserved": 0} for name, most in limits.items()},
    }


def update(call: Call) -> dict[str, Any]:
    """Set a project's limits; with ``check_limit`` none below what is in use."""
    project_id, body = _project(call), call.body["quota"]
    wanted = {name: int(value) for name, value in body.items() if name not in _HOW}
    if body.get("check_limit"):
        used = quotas.usage(call.store, project_id)
        for name, value in wanted.items():
            if 0 <= value < used[name]:
                raise Invalid(
                    f"Quota limit {value} for {name} must be greater than or equal to already used {used[name]}",
                    "request.schema",
                )
    return {"quota": quotas.change(call.services.conf, call.store, project_id, wanted)}


def delete(call: Call) -> None:
    """Let a project have the defaults again."""
    quotas.reset(call.store, _project(call))


_ONE = "/v2.0/quotas/{project_id}"
ROUTES = (
    Route("GET", "/v2.0/quotas", index, "get_quota", query=QUERY),
    Route("GET", "/v2.0/quotas/tenant", own, "get_quota", query=QUERY),
    Route("GET", "/v2.0/quotas/project", own, "get_quota", query=QUERY),
    Route("GET", f"{_ONE}/default", defaults, "get_quota", late=True, query=QUERY),
    Route("GET", f"{_ONE}/default.json", defaults, "get_quota", late=True, query=QUERY),
    Route("GET", f"{_ONE}/details.json", details, "get_quota", late=True, query=QUERY),
    Route("GET", f"{_ONE}/details", details, "get_quota", late=True, query=QUERY),
    Route("GET", _ONE, show, "get_quota", late=True, query=QUERY),
    Route("PUT", _ONE, update, "update_quota", late=True, body=UPDATE, query=QUERY),
    Route("DELETE", _ONE, delete, "delete_quota", late=True, status=204, query=QUERY),
)

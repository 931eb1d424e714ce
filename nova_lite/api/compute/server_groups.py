"""``/os-server-groups``: servers that are to be together, or apart."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access, paging, parameters, policies
from nova_lite.api.compute.parameters import by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import server_groups
from nova_lite.compute.server_groups import MOST_PER_HOST, Group
from nova_lite.errors import Invalid

_HARD = ["anti-affinity", "affinity"]
_ALL = [*_HARD, "soft-anti-affinity", "soft-affinity"]


def _create(minor: int) -> Schema:
    if minor >= 64:
        most = parameters.POSITIVE
        rules: Schema = {"type": "object", "properties": {MOST_PER_HOST: most}, "additionalProperties": False}
        properties: dict[str, Any] = {
            "name": parameters.NAME,
            "policy": {"type": "string", "enum": _ALL},
            "rules": rules,
        }
        return parameters.body("server_group", properties, ["name", "policy"])
    policy = {"type": "string", "enum": _ALL if minor >= 15 else _HARD}
    listed: Schema = {"type": "array", "items": policy, "minItems": 1, "maxItems": 1}
    return parameters.body("server_group", {"name": parameters.NAME, "policies": listed}, ["name", "policies"])


def _query(minor: int) -> Schema:
    # Upstream has no marker, but openstacksdk asks for the next page with one whenever a page is full.
    properties = {**paging.PAGE, "offset": parameters.NUMBERS, "all_projects": parameters.TEXTS}
    return parameters.query(properties, is_open=minor < 75)


CREATE = by_minor(_create, 1, 15, 64)
QUERY = by_minor(_query, 1, 75)


def _view(call: Call, group: Group) -> dict[str, Any]:
    minor, row = call.version.minor, group.row
    shown: dict[str, Any] = {"id": row.id, "name": row.name, "members": list(group.members)}
    if minor >= 64:
        shown |= {"policy": row.policy, "rules": row.rules}
    else:
        shown |= {"policies": [row.policy], "metadata": {}}
    if minor >= 13:
        shown |= {"project_id": row.project_id, "user_id": row.user_id}
    return shown


def _one(call: Call) -> Group:
    """Return the group that the path names, once the policy allows what is asked."""
    group = server_groups.get(call.store, call.params["group_id"][:64], access.scope(call))
    call.authorize({"project_id": group.row.project_id, "user_id": group.row.user_id})
    return group


def index(call: Call) -> dict[str, Any]:
    """List the project's groups; an admin may list everybody's."""
    # Whoever is no admin may say so without effect, as upstream.
    everybody = "all_projects" in call.query and call.principal.is_admin
    project_id = access.scope(call) if everybody else call.principal.project_id or ""
    if everybody:
        call.authorize(rule=policies.PREFIX + "os-server-groups:index:all_projects")
    offset = min(int(call.query.get("offset", "0")), parameters.LARGEST)
    found = server_groups.find(
        call.store, project_id, limit=paging.limit_of(call), offset=offset, marker=call.query.get("marker")
    )
    return {"server_groups": [_view(call, group) for group in found]}


def show(call: Call) -> dict[str, Any]:
    """Show one group."""
    return {"server_group": _view(call, _one(call))}


def create(call: Call) -> dict[str, Any]:
    """Make a group."""
    wanted = call.body["server_group"]
    policy = wanted["policy"] if call.version.minor >= 64 else wanted["policies"][0]
    rules = {name: int(value) for name, value in (wanted.get("rules") or {}).items()}
    if any(value < 1 for value in rules.values()):
        raise Invalid(
            "Invalid input for field/attribute max_server_per_host. It must be at least 1", "server_group.rules"
        )
    if rules and policy != server_groups.ANTI_AFFINITY:
        raise Invalid("Only anti-affinity policy supports rules.", "server_group.rules")
    group = server_groups.create(
        call.store,
        call.services.conf,
        access.project(call),
        call.principal.user_id,
        wanted["name"],
        policy,
        rules,
    )
    return {"server_group": _view(call, group)}


def delete(call: Call) -> None:
    """Delete a group; its servers go on without it."""
    group = _one(call)
    server_groups.delete(call.store, group.row.id, access.scope(call))

"""``/v3/projects``, for reading."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, flag, links
from nova_lite.db.models import Project
from nova_lite.errors import NotFound
from nova_lite.identity import projects, roles


def view(call: Call, project: Project) -> dict[str, Any]:
    """Shape a project; its parent is its domain, as there are no trees of projects here."""
    return {
        **project.extra,
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "options": {},
        "tags": [],
        "links": links(call, "projects", project.id),
    }


def index(call: Call) -> dict[str, Any]:
    """List projects, by name, domain or whether they are enabled if asked for."""
    # Domains are projects too in Keystone, and are listed when asked for; here they are not.
    if flag(call, "is_domain"):
        return collection(call, "projects", [])
    query = call.query
    with call.store.read() as session:
        rows = projects.list_all(
            session,
            name=query.get("name"),
            domain_id=query.get("domain_id") or query.get("parent_id"),
            enabled=flag(call, "enabled"),
        )
        return collection(call, "projects", [view(call, row) for row in rows])


def show(call: Call) -> dict[str, Any]:
    """Show a project."""
    with call.store.read() as session:
        row = projects.find(session, project_id=call.params["id"])
        # Whoever may not see it is not told either whether it is there.
        call.authorize({"project_id": row.id if row else ""})
        if row is None:
            raise NotFound(f"Could not find project: {call.params['id']}.", "project.not_found")
        return {"project": view(call, row)}


def mine(call: Call) -> dict[str, Any]:
    """List the projects that the caller may get a token for."""
    return _of(call, call.principal.user_id, enabled_only=True)


def of_user(call: Call) -> dict[str, Any]:
    """List the projects that a user has a role on."""
    call.authorize({"user_id": call.params["id"]})
    return _of(call, call.params["id"], enabled_only=False)


def _of(call: Call, user_id: str, *, enabled_only: bool) -> dict[str, Any]:
    with call.store.read() as session:
        rows = roles.projects_of(session, user_id, enabled_only=enabled_only)
        name, enabled = call.query.get("name"), flag(call, "enabled")
        shown = [
            view(call, row)
            for row in rows
            if (name is None or row.name == name) and (enabled is None or row.enabled == enabled)
        ]
        return collection(call, "projects", shown)

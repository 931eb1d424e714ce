"""``/v3/projects``."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity import schemas
from nova_lite.api.identity.collection import collection, domain_for, flag, links, same_domain
from nova_lite.api.identity.tokens import authenticator
from nova_lite.db.models import Project
from nova_lite.errors import Invalid, NotFound
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
        "tags": project.extra.get("tags", []),
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


def create(call: Call) -> dict[str, Any]:
    """Make a project."""
    wanted = call.body["project"]
    domain_id = domain_for(call, wanted)
    if wanted.get("parent_id") not in (None, domain_id):
        raise Invalid("Projects have no parents here but their domain; leave parent_id out.", "project.parent")
    values = {
        "name": wanted["name"],
        "description": wanted.get("description") or "",
        "enabled": wanted.get("enabled", True),
        "extra": {name: value for name, value in schemas.own_of_project(wanted).items() if value is not None},
    }
    return {"project": view(call, projects.create(call.store, domain_id, values))}


def update(call: Call) -> dict[str, Any]:
    """Change a project."""
    wanted = call.body["project"]
    lifetime = call.services.conf.identity.token_lifetime
    with call.store.read() as session:
        row = projects.get(session, call.params["id"])
    same_domain(wanted.get("domain_id"), row.domain_id)
    same_domain(wanted.get("parent_id"), row.domain_id)
    values: dict[str, Any] = {name: wanted[name] for name in ("name", "enabled") if name in wanted}
    if "description" in wanted:
        values["description"] = wanted["description"] or ""
    values["extra"] = schemas.own_of_project(wanted)
    changed = projects.update(call.store, lifetime, row.id, values)
    authenticator(call).revocations.forget()
    return {"project": view(call, changed)}


def delete(call: Call) -> None:
    """Delete a project."""
    projects.delete(call.store, call.services.conf.identity.token_lifetime, call.params["id"])
    authenticator(call).revocations.forget()

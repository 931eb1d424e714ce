"""``/v3/roles`` and ``/v3/role_assignments``; and whether the caller has a role on the system."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, links
from nova_lite.api.identity.tokens import authenticator
from nova_lite.db.models import Assignment, Domain, Project, Role, User
from nova_lite.errors import Invalid
from nova_lite.identity import roles
from nova_lite.identity.roles import ALL_SYSTEM, DOMAIN, PROJECT, SYSTEM, RoleFilter


def view(call: Call, role: Role) -> dict[str, Any]:
    """Shape a role."""
    return {
        "id": role.id,
        "name": role.name,
        "domain_id": None,
        "description": role.description,
        "options": {},
        "links": links(call, "roles", role.id),
    }


def index(call: Call) -> dict[str, Any]:
    """List roles, by name if asked for."""
    # All roles are global; those of a domain's own would have its id.
    if call.query.get("domain_id"):
        return collection(call, "roles", [])
    with call.store.read() as session:
        return collection(call, "roles", [view(call, row) for row in roles.list_all(session, call.query.get("name"))])


def show(call: Call) -> dict[str, Any]:
    """Show a role."""
    with call.store.read() as session:
        return {"role": view(call, roles.get(session, call.params["id"]))}


def create(call: Call) -> dict[str, Any]:
    """Make a role."""
    wanted = call.body["role"]
    return {"role": view(call, roles.create(call.store, wanted["name"], wanted.get("description") or ""))}


def update(call: Call) -> dict[str, Any]:
    """Change a role."""
    wanted = call.body["role"]
    description = (wanted["description"] or "") if "description" in wanted else None
    lifetime = call.services.conf.identity.token_lifetime
    changed = roles.update(call.store, lifetime, call.params["id"], wanted.get("name"), description)
    authenticator(call).revocations.forget()
    return {"role": view(call, changed)}


def delete(call: Call) -> None:
    """Delete a role, and take it from whoever has it."""
    roles.delete(call.store, call.services.conf.identity.token_lifetime, call.params["id"])
    authenticator(call).revocations.forget()


def my_system(call: Call) -> dict[str, Any]:
    """Say whether the caller may get a token for the system."""
    with call.store.read() as session:
        held = roles.effective(session, call.principal.user_id, SYSTEM, ALL_SYSTEM)
    return collection(call, "system", [{"all": True}] if held else [])


def assignments(call: Call) -> dict[str, Any]:
    """List who has which role on what; ``effective`` adds implied roles, ``include_names`` the names."""
    with call.store.read() as session:
        rows = roles.assignments(session, _filter(call))
        known = {row.id: row for row in roles.list_all(session)}
        by_name = {row.name: row for row in known.values()}
        shown = []
        for row in rows:
            held = [known[row.role_id]]
            if "effective" in call.query:
                held = [by_name[name] for name in roles.expand([held[0].name]) if name in by_name]
            shown += [_assignment(call, session, row, role) for role in held]
        return collection(call, "role_assignments", shown)


def _filter(call: Call) -> RoleFilter:
    query = call.query
    targets = [
        (kind, query[name])
        for kind, name in ((PROJECT, "scope.project.id"), (DOMAIN, "scope.domain.id"), (SYSTEM, "scope.system"))
        if name in query
    ]
    if len(targets) > 1:
        raise Invalid("Role assignments are listed for one scope at a time.", "role_assignment.scope")
    kind, target = targets[0] if targets else (None, None)
    return RoleFilter(query.get("user.id"), query.get("role.id"), kind, ALL_SYSTEM if kind == SYSTEM else target)


def _assignment(call: Call, session: Session, row: Assignment, role: Role) -> dict[str, Any]:
    with_names = "include_names" in call.query
    user: dict[str, Any] = {"id": row.user_id}
    target: dict[str, Any] = {"id": row.target_id}
    shown_role = {"id": role.id}
    if with_names:
        shown_role["name"] = role.name
        user |= _name(session, session.get(User, row.user_id))
        if row.target_kind == PROJECT:
            target |= _name(session, session.get(Project, row.target_id))
        elif row.target_kind == DOMAIN:
            target |= _name(session, session.get(Domain, row.target_id))
    scope = {"system": {"all": True}} if row.target_kind == SYSTEM else {row.target_kind: target}
    kind = "system" if row.target_kind == SYSTEM else f"{row.target_kind}s"
    path = (kind, "users") if kind == "system" else (kind, row.target_id, "users")
    href = links(call, *path, row.user_id, "roles", row.role_id)["self"]
    return {"role": shown_role, "user": user, "scope": scope, "links": {"assignment": href}}


def _name(session: Session, row: User | Project | Domain | None) -> dict[str, Any]:
    if row is None:
        return {}
    if isinstance(row, Domain):
        return {"name": row.name}
    domain = session.get(Domain, row.domain_id)
    return {"name": row.name, "domain": {"id": row.domain_id, "name": domain.name if domain else ""}}

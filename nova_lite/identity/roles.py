"""Roles, which of them imply which, and who has them on what.

The four roles and their order are Keystone's:
https://docs.openstack.org/keystone/latest/admin/service-api-protection.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, Project, Role, User
from nova_lite.db.store import Store
from nova_lite.errors import Forbidden, NotFound
from nova_lite.identity import revocations
from nova_lite.identity.names import store_named

IMPLIES = {"admin": "manager", "manager": "member", "member": "reader"}
"""Whoever has the first has the second too."""

BUILT_IN = frozenset({*IMPLIES, *IMPLIES.values(), "service"})
"""Policies are written with these, so they neither go nor change their names."""

PROJECT, DOMAIN, SYSTEM = "project", "domain", "system"
ALL_SYSTEM = "all"
"""The target id of assignments on the system."""


@dataclass(frozen=True)
class RoleFilter:
    """What a listing of assignments is narrowed to; None: anything."""

    user_id: str | None = None
    role_id: str | None = None
    target_kind: str | None = None
    target_id: str | None = None


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* with all that they imply, sorted."""
    found: set[str] = set()
    for name in names:
        step: str | None = name
        while step is not None and step not in found:
            found.add(step)
            step = IMPLIES.get(step)
    return tuple(sorted(found))


def effective(session: Session, user_id: str, target_kind: str, target_id: str) -> tuple[str, ...]:
    """Return the names of the roles that a user has on a target, implied ones included."""
    names = session.scalars(
        select(Role.name)
        .join(Assignment, Assignment.role_id == Role.id)
        .where(
            Assignment.user_id == user_id,
            Assignment.target_kind == target_kind,
            Assignment.target_id == target_id,
        )
    )
    return expand(names)


def named(session: Session, names: Sequence[str]) -> list[Role]:
    """Return the rows of the roles called *names*, in that order."""
    rows = {row.name: row for row in session.scalars(select(Role).where(Role.name.in_(names)))}
    return [rows[name] for name in names if name in rows]


def get(session: Session, role_id: str) -> Role:
    """Return a role. :raises NotFound: there is none."""
    row = session.get(Role, role_id)
    if row is None:
        raise NotFound(f"Could not find role: {role_id}.", "role.not_found")
    return row


def list_all(session: Session, name: str | None = None) -> list[Role]:
    """List roles by name."""
    query = select(Role).order_by(Role.name)
    return list(session.scalars(query if name is None else query.where(Role.name == name)))


def assignments(session: Session, wanted: RoleFilter) -> list[Assignment]:
    """List assignments as they were made, without implied ones."""
    query = select(Assignment).order_by(Assignment.user_id, Assignment.target_kind, Assignment.target_id)
    for column, value in (
        (Assignment.user_id, wanted.user_id),
        (Assignment.role_id, wanted.role_id),
        (Assignment.target_kind, wanted.target_kind),
        (Assignment.target_id, wanted.target_id),
    ):
        if value is not None:
            query = query.where(column == value)
    return list(session.scalars(query))


def grant(session: Session, user_id: str, role_id: str, target_kind: str, target_id: str) -> None:
    """Give a user a role on a target; having it already is success. The user's row is locked, so that of two who give it one does.

    :raises NotFound: the user has gone.
    """
    if session.get(User, user_id, with_for_update=True, populate_existing=True) is None:
        raise NotFound(f"Could not find user: {user_id}.", "user.not_found")
    key = (user_id, role_id, target_kind, target_id)
    if session.get(Assignment, key) is None:
        session.add(Assignment(user_id=user_id, role_id=role_id, target_kind=target_kind, target_id=target_id))
        session.flush()


def withdraw(session: Session, lifetime_s: int, user_id: str, role_id: str, target_kind: str, target_id: str) -> bool:
    """Take a role away and end the tokens that carry it; return whether the user had it.

    Tokens on a domain or the system end with all of the user's, as revocations know users and projects only.
    """
    session.get(User, user_id, with_for_update=True)
    row = session.get(Assignment, (user_id, role_id, target_kind, target_id))
    if row is None:
        return False
    session.delete(row)
    session.flush()
    project_id = target_id if target_kind == PROJECT else None
    revocations.revoke_all(session, lifetime_s, user_id=user_id, project_id=project_id)
    return True


def projects_of(session: Session, user_id: str, *, enabled_only: bool = False) -> list[Project]:
    """List the projects that a user has any role on, by name."""
    held = select(Assignment.target_id).where(Assignment.user_id == user_id, Assignment.target_kind == PROJECT)
    query = select(Project).where(Project.id.in_(held)).order_by(Project.name, Project.id)
    return list(session.scalars(query.where(Project.enabled.is_(True)) if enabled_only else query))


def direct(session: Session, user_id: str, target_kind: str, target_id: str) -> list[Role]:
    """List the roles that a user was given on a target, without implied ones."""
    return list(
        session.scalars(
            select(Role)
            .join(Assignment, Assignment.role_id == Role.id)
            .where(
                Assignment.user_id == user_id,
                Assignment.target_kind == target_kind,
                Assignment.target_id == target_id,
            )
            .order_by(Role.name)
        )
    )


def create(store: Store, name: str, description: str) -> Role:
    """Make a role. :raises Conflict: there is one of that name."""

    def work(session: Session) -> Role:
        row = Role(id=uuid.uuid4().hex, name=name, description=description)
        session.add(row)
        session.flush()
        return row

    return store_named(store, "role", name, work)


def update(store: Store, lifetime_s: int, role_id: str, name: str | None, description: str | None) -> Role:
    """Change a role; another name ends the tokens that carry the old one.

    :raises NotFound: there is none.
    :raises Forbidden: it is one of those that policies are written with.
    :raises Conflict: the name is taken.
    """

    def work(session: Session) -> Role:
        row = get(session, role_id)
        if name is not None and name != row.name:
            _refuse_built_in(row, "update")
            _end_tokens(session, lifetime_s, role_id)
            row.name = name
        if description is not None:
            row.description = description
        session.flush()
        return row

    return store_named(store, "role", name, work)


def delete(store: Store, lifetime_s: int, role_id: str) -> None:
    """Delete a role, take it from whoever has it and end the tokens that carry it.

    :raises NotFound: there is none.
    :raises Forbidden: it is one of those that policies are written with.
    """

    def work(session: Session) -> None:
        row = get(session, role_id)
        _refuse_built_in(row, "delete")
        _end_tokens(session, lifetime_s, role_id)
        for assignment in assignments(session, RoleFilter(role_id=role_id)):
            session.delete(assignment)
        session.flush()
        session.delete(row)
        session.flush()

    store.transact(work)


def _refuse_built_in(row: Role, verb: str) -> None:
    if row.name in BUILT_IN:
        raise Forbidden(
            f"Unable to {verb} immutable role resource: `{row.id}`. Policies are written with the role {row.name}.",
            "role.immutable",
        )


def _end_tokens(session: Session, lifetime_s: int, role_id: str) -> None:
    for user_id in sorted({row.user_id for row in assignments(session, RoleFilter(role_id=role_id))}):
        session.get(User, user_id, with_for_update=True)
        revocations.revoke_all(session, lifetime_s, user_id=user_id)

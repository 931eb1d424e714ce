"""Domains: the namespaces of users and projects. One, ``default``, is made by bootstrap."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, Domain, Project, User
from nova_lite.db.store import Store
from nova_lite.errors import Forbidden, NotFound
from nova_lite.identity import revocations
from nova_lite.identity.names import store_named
from nova_lite.identity.roles import DOMAIN

DEFAULT_ID = "default"
DEFAULT_NAME = "Default"


def get(session: Session, domain_id: str) -> Domain:
    """Return a domain. :raises NotFound: there is none."""
    row = session.get(Domain, domain_id)
    if row is None:
        raise NotFound(f"Could not find domain: {domain_id}.", "domain.not_found")
    return row


def find(session: Session, *, domain_id: str | None, name: str | None) -> Domain | None:
    """Return the domain of that id, or of that name where no id is given."""
    if domain_id is not None:
        return session.get(Domain, domain_id)
    if name is not None:
        return session.scalar(select(Domain).where(Domain.name == name))
    return None


def list_all(session: Session, name: str | None = None, enabled: bool | None = None) -> list[Domain]:
    """List domains by name."""
    query = select(Domain).order_by(Domain.name)
    if name is not None:
        query = query.where(Domain.name == name)
    if enabled is not None:
        query = query.where(Domain.enabled.is_(enabled))
    return list(session.scalars(query))


def of_user(session: Session, user_id: str) -> list[Domain]:
    """List the enabled domains that a user has any role on."""
    held = select(Assignment.target_id).where(Assignment.user_id == user_id, Assignment.target_kind == DOMAIN)
    return list(session.scalars(select(Domain).where(Domain.id.in_(held), Domain.enabled.is_(True))))


def create(store: Store, values: Mapping[str, Any]) -> Domain:
    """Make a domain. *values*: ``name``, ``description``, ``enabled``. :raises Conflict: there is one of that name."""

    def work(session: Session) -> Domain:
        row = Domain(id=uuid.uuid4().hex, **values)
        session.add(row)
        session.flush()
        return row

    return store_named(store, "domain", values["name"], work)


def update(store: Store, lifetime_s: int, domain_id: str, values: Mapping[str, Any]) -> Domain:
    """Change a domain; disabling it ends every token of its users and on its projects.

    :raises NotFound: there is none.
    :raises Conflict: the name is taken.
    """

    def work(session: Session) -> Domain:
        row = get(session, domain_id)
        if row.enabled and values.get("enabled") is False:
            end_tokens(session, lifetime_s, domain_id)
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        return row

    return store_named(store, "domain", values.get("name"), work)


def end_tokens(session: Session, lifetime_s: int, domain_id: str) -> None:
    """End every token of a domain's users, of those with roles on it, and on its projects."""
    held = select(Assignment.user_id).where(Assignment.target_kind == DOMAIN, Assignment.target_id == domain_id)
    users = select(User).where((User.domain_id == domain_id) | User.id.in_(held)).order_by(User.id)
    for user in session.scalars(users.with_for_update()):
        revocations.revoke_all(session, lifetime_s, user_id=user.id)
    projects = select(Project).where(Project.domain_id == domain_id).order_by(Project.id)
    for project in session.scalars(projects.with_for_update()):
        revocations.revoke_all(session, lifetime_s, project_id=project.id)


def check_deletable(row: Domain) -> None:
    """Refuse to delete the default domain, and one that is enabled. :raises Forbidden: it is."""
    if row.id == DEFAULT_ID:
        raise Forbidden("The default domain can not be deleted.", "domain.default")
    if row.enabled:
        raise Forbidden("Cannot delete a domain that is enabled, please disable it first.", "domain.enabled")

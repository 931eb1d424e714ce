"""Domains: the namespaces of users and projects. One, ``default``, is made by bootstrap."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, Domain
from nova_lite.errors import NotFound
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

"""What a token is asked to be good for, and whether its user may have that."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.db.models import Domain, Project, User
from nova_lite.identity import domains, projects, roles


class Kind(enum.StrEnum):
    """``DEFAULT``: nothing was said, so the user's default project if there is one that may be used."""

    DEFAULT = "default"
    UNSCOPED = "unscoped"
    PROJECT = "project"
    DOMAIN = "domain"
    SYSTEM = "system"


@dataclass(frozen=True)
class Scope:
    """A scope as it is asked for: ``id``, or ``name`` (a project's with its domain's id or name)."""

    kind: Kind
    id: str | None = None
    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None


DEFAULT = Scope(Kind.DEFAULT)


def grant(session: Session, user: User, scope: Scope) -> dict[str, Any] | None:
    """Return the principal's fields for *scope* (``roles`` among them), or None when *user* may not have it.

    The rows of what is granted are locked until the transaction ends (``revocations`` says why).
    """
    if scope.kind is Kind.UNSCOPED:
        return {}
    if scope.kind is Kind.SYSTEM:
        held = roles.effective(session, user.id, roles.SYSTEM, roles.ALL_SYSTEM)
        return {"system_scope": "all", "roles": held} if held else None
    if scope.kind is Kind.DOMAIN:
        domain = domains.find(session, domain_id=scope.id, name=scope.name)
        return None if domain is None else _on_domain(session, user, domain)
    if scope.kind is Kind.PROJECT:
        project = projects.find(
            session,
            project_id=scope.id,
            name=scope.name,
            domain_id=scope.domain_id,
            domain_name=scope.domain_name,
        )
        return None if project is None else _on_project(session, user, project.id)
    if user.default_project_id is None:
        return {}
    return _on_project(session, user, user.default_project_id) or {}


def _on_domain(session: Session, user: User, domain: Domain) -> dict[str, Any] | None:
    held = roles.effective(session, user.id, roles.DOMAIN, domain.id)
    if not domain.enabled or not held:
        return None
    return {"domain_id": domain.id, "domain_name": domain.name, "roles": held}


def _on_project(session: Session, user: User, project_id: str) -> dict[str, Any] | None:
    project = session.get(Project, project_id, with_for_update={"read": True}, populate_existing=True)
    if project is None or not project.enabled:
        return None
    domain = session.get(Domain, project.domain_id)
    held = roles.effective(session, user.id, roles.PROJECT, project.id)
    if domain is None or not domain.enabled or not held:
        return None
    return {
        "project_id": project.id,
        "project_name": project.name,
        "project_domain_id": domain.id,
        "project_domain_name": domain.name,
        "roles": held,
    }

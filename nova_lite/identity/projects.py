"""Projects: who owns what there is."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Project
from nova_lite.errors import NotFound
from nova_lite.identity import domains, revocations


def get(session: Session, project_id: str) -> Project:
    """Return a project. :raises NotFound: there is none."""
    row = session.get(Project, project_id)
    if row is None:
        raise NotFound(f"Could not find project: {project_id}.", "project.not_found")
    return row


def find(
    session: Session,
    *,
    project_id: str | None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> Project | None:
    """Return the project of that id, or of that name in a domain that is given by id or name."""
    if project_id is not None:
        return session.get(Project, project_id)
    domain = domains.find(session, domain_id=domain_id, name=domain_name)
    if domain is None or name is None:
        return None
    return session.scalar(select(Project).where(Project.domain_id == domain.id, Project.name == name))


def list_all(
    session: Session,
    *,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
) -> list[Project]:
    """List projects by name."""
    query = select(Project).order_by(Project.name, Project.id)
    if name is not None:
        query = query.where(Project.name == name)
    if domain_id is not None:
        query = query.where(Project.domain_id == domain_id)
    if enabled is not None:
        query = query.where(Project.enabled.is_(enabled))
    return list(session.scalars(query))


def set_enabled(session: Session, lifetime_s: int, project_id: str, enabled: bool) -> None:
    """Enable or disable a project; disabling ends every token on it.

    :raises NotFound: there is none.
    """
    row = session.get(Project, project_id, with_for_update=True)
    if row is None:
        raise NotFound(f"Could not find project: {project_id}.", "project.not_found")
    if row.enabled and not enabled:
        revocations.revoke_all(session, lifetime_s, project_id=project_id)
    row.enabled = enabled

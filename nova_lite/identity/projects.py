"""Projects: who owns what there is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, Project, User
from nova_lite.db.store import Store
from nova_lite.errors import NotFound
from nova_lite.identity import domains, revocations
from nova_lite.identity.names import store_named


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


def create(store: Store, domain_id: str, values: Mapping[str, Any]) -> Project:
    """Make a project. *values*: ``name``, ``description``, ``enabled``, ``extra``.

    :raises NotFound: there is no such domain.
    :raises Conflict: the domain has a project of that name.
    """

    def work(session: Session) -> Project:
        domains.get(session, domain_id)
        row = Project(id=uuid.uuid4().hex, domain_id=domain_id, **values)
        session.add(row)
        session.flush()
        return row

    return store_named(store, "project", values["name"], work, f"at domain ID {domain_id}")


def update(store: Store, lifetime_s: int, project_id: str, values: Mapping[str, Any]) -> Project:
    """Change a project; disabling it ends every token on it. ``extra`` is added to what is there, None removes.

    :raises NotFound: there is none.
    :raises Conflict: the name is taken.
    """
    changed = dict(values)

    def work(session: Session) -> Project:
        if "enabled" in changed:
            set_enabled(session, lifetime_s, project_id, changed["enabled"])
        row = get(session, project_id)
        for name in ("name", "description"):
            if name in changed:
                setattr(row, name, changed[name])
        if changed.get("extra"):
            merged = {**row.extra, **changed["extra"]}
            row.extra = {name: value for name, value in merged.items() if value is not None}
        session.flush()
        return row

    return store_named(store, "project", changed.get("name"), work)


def delete(store: Store, lifetime_s: int, project_id: str) -> None:
    """Delete a project with every role on it, and end every token on it. What it owns elsewhere stays, as upstream.

    :raises NotFound: there is none.
    """
    store.transact(lambda session: remove(session, lifetime_s, project_id))


def remove(session: Session, lifetime_s: int, project_id: str) -> None:
    """See :func:`delete`."""
    row = session.get(Project, project_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound(f"Could not find project: {project_id}.", "project.not_found")
    revocations.revoke_all(session, lifetime_s, project_id=project_id)
    session.execute(
        sql_delete(Assignment)
        .where(Assignment.target_kind == "project", Assignment.target_id == project_id)
        .execution_options(synchronize_session=False)
    )
    for user in session.scalars(select(User).where(User.default_project_id == project_id)):
        user.default_project_id = None
    session.delete(row)
    session.flush()

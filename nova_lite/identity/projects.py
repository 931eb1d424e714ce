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
from nova_lite.identity import domain_members, domains, revocations
from nova_lite.identity.names import store_named


def get(session: Session, project_id: str) -> Project:
    """Return a project. :raises NotFound: there is none."""
    return domain_members.get(session, Project, project_id)


def find(
    session: Session,
    *,
    project_id: str | None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> Project | None:
    """Return the project of that id, or of that name in a domain that is given by id or name."""
    return domain_members.find(session, Project, project_id, name, domain_id, domain_name)


def list_all(
    session: Session, *, name: str | None = None, domain_id: str | None = None, enabled: bool | None = None
) -> list[Project]:
    """List projects by name."""
    return domain_members.list_all(session, Project, name=name, domain_id=domain_id, enabled=enabled)


def set_enabled(session: Session, lifetime_s: int, project_id: str, enabled: bool) -> None:
    """Enable or disable a project; disabling ends every token on it. :raises NotFound: there is none."""
    row = _locked(session, project_id)
    if row.enabled and not enabled:
        revocations.revoke_all(session, lifetime_s, project_id=project_id)
    row.enabled = enabled


def _locked(session: Session, project_id: str) -> Project:
    return domain_members.get(session, Project, project_id, locked=True)


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
        row = _locked(session, project_id)
        if "enabled" in changed:
            set_enabled(session, lifetime_s, project_id, changed["enabled"])
        for name in ("name", "description"):
            if name in changed:
                setattr(row, name, changed[name])
        if changed.get("extra"):
            domain_members.keep_extra(row, changed["extra"])
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
    row = _locked(session, project_id)
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

"""Deletion of a domain with all that is in it."""

from __future__ import annotations

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, Project, User
from nova_lite.db.store import Store
from nova_lite.identity import domains, projects, users
from nova_lite.identity.roles import DOMAIN


def delete(store: Store, lifetime_s: int, domain_id: str) -> None:
    """Delete a disabled domain, its users, its projects and the roles on all of them.

    :raises NotFound: there is none.
    :raises Forbidden: it is enabled, or the default one.
    """

    def work(session: Session) -> None:
        row = domains.get(session, domain_id)
        domains.check_deletable(row)
        domains.end_tokens(session, lifetime_s, domain_id)
        for user_id in session.scalars(select(User.id).where(User.domain_id == domain_id)).all():
            users.remove(session, lifetime_s, user_id)
        for project_id in session.scalars(select(Project.id).where(Project.domain_id == domain_id)).all():
            projects.remove(session, lifetime_s, project_id)
        session.execute(
            sql_delete(Assignment)
            .where(Assignment.target_kind == DOMAIN, Assignment.target_id == domain_id)
            .execution_options(synchronize_session=False)
        )
        session.delete(row)
        session.flush()

    store.transact(work)

"""Users. Every change that takes something away ends the tokens that were issued before it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, User
from nova_lite.db.store import Store
from nova_lite.errors import NotFound
from nova_lite.identity import domains, revocations
from nova_lite.identity.names import store_named


def get(session: Session, user_id: str) -> User:
    """Return a user. :raises NotFound: there is none."""
    row = session.get(User, user_id)
    if row is None:
        raise NotFound(f"Could not find user: {user_id}.", "user.not_found")
    return row


def find(
    session: Session,
    *,
    user_id: str | None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> User | None:
    """Return the user of that id, or of that name in a domain that is given by id or name."""
    if user_id is not None:
        return session.get(User, user_id)
    domain = domains.find(session, domain_id=domain_id, name=domain_name)
    if domain is None or name is None:
        return None
    return session.scalar(select(User).where(User.domain_id == domain.id, User.name == name))


def list_all(
    session: Session,
    *,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
) -> list[User]:
    """List users by name."""
    query = select(User).order_by(User.name, User.id)
    if name is not None:
        query = query.where(User.name == name)
    if domain_id is not None:
        query = query.where(User.domain_id == domain_id)
    if enabled is not None:
        query = query.where(User.enabled.is_(enabled))
    return list(session.scalars(query))


def set_password_hash(session: Session, lifetime_s: int, user_id: str, password_hash: str) -> None:
    """Change a user's password and end every token of theirs.

    :param password_hash: from ``passwords.hash_password``, made before the transaction as that is slow.
    :raises NotFound: there is no such user.
    """
    _locked(session, user_id).password_hash = password_hash
    revocations.revoke_all(session, lifetime_s, user_id=user_id)


def set_enabled(session: Session, lifetime_s: int, user_id: str, enabled: bool) -> None:
    """Enable or disable a user; disabling ends every token of theirs. :raises NotFound: there is no such user."""
    row = _locked(session, user_id)
    if row.enabled and not enabled:
        revocations.revoke_all(session, lifetime_s, user_id=user_id)
    row.enabled = enabled


def _locked(session: Session, user_id: str) -> User:
    row = session.get(User, user_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound(f"Could not find user: {user_id}.", "user.not_found")
    return row


_PLAIN = ("name", "description", "email", "default_project_id")


def create(store: Store, domain_id: str, values: Mapping[str, Any]) -> User:
    """Make a user. *values*: ``name``, ``password_hash``, ``description``, ``email``, ``default_project_id``, ``enabled``, ``extra``.

    :raises NotFound: there is no such domain.
    :raises Conflict: the domain has a user of that name.
    """

    def work(session: Session) -> User:
        domains.get(session, domain_id)
        row = User(id=uuid.uuid4().hex, domain_id=domain_id, **values)
        session.add(row)
        session.flush()
        return row

    return store_named(store, "user", values["name"], work, f"at domain ID {domain_id}")


def update(store: Store, lifetime_s: int, user_id: str, values: Mapping[str, Any]) -> User:
    """Change a user; another password, and disabling, end every token of theirs.

    *values*: any of :func:`create`'s. ``extra`` is added to what is there, None removes.

    :raises NotFound: there is none.
    :raises Conflict: the name is taken.
    """
    changed = dict(values)

    def work(session: Session) -> User:
        row = _locked(session, user_id)
        if "enabled" in changed:
            set_enabled(session, lifetime_s, user_id, changed["enabled"])
        if "password_hash" in changed:
            set_password_hash(session, lifetime_s, user_id, changed["password_hash"])
        for name in _PLAIN:
            if name in changed:
                setattr(row, name, changed[name])
        if changed.get("extra"):
            merged = {**row.extra, **changed["extra"]}
            row.extra = {name: value for name, value in merged.items() if value is not None}
        session.flush()
        return row

    return store_named(store, "user", changed.get("name"), work)


def delete(store: Store, lifetime_s: int, user_id: str) -> None:
    """Delete a user with all their roles, and end every token of theirs. :raises NotFound: there is none."""
    store.transact(lambda session: remove(session, lifetime_s, user_id))


def remove(session: Session, lifetime_s: int, user_id: str) -> None:
    """See :func:`delete`."""
    row = _locked(session, user_id)
    revocations.revoke_all(session, lifetime_s, user_id=user_id)
    session.execute(
        sql_delete(Assignment).where(Assignment.user_id == user_id).execution_options(synchronize_session=False)
    )
    session.delete(row)
    session.flush()

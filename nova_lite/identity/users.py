"""Users. Every change that takes something away ends the tokens that were issued before it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.db.models import Assignment, User
from nova_lite.db.store import Store
from nova_lite.identity import domain_members, domains, revocations
from nova_lite.identity.names import store_named


def get(session: Session, user_id: str) -> User:
    """Return a user. :raises NotFound: there is none."""
    return domain_members.get(session, User, user_id)


def find(
    session: Session,
    *,
    user_id: str | None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> User | None:
    """Return the user of that id, or of that name in a domain that is given by id or name."""
    return domain_members.find(session, User, user_id, name, domain_id, domain_name)


def list_all(
    session: Session, *, name: str | None = None, domain_id: str | None = None, enabled: bool | None = None
) -> list[User]:
    """List users by name."""
    return domain_members.list_all(session, User, name=name, domain_id=domain_id, enabled=enabled)


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
    return domain_members.get(session, User, user_id, locked=True)


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
            domain_members.keep_extra(row, changed["extra"])
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

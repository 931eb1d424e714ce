"""What users and projects share: both belong to a domain, in which their names are unique, and keep what else clients give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Project, User
from nova_lite.errors import NotFound
from nova_lite.identity import domains

M = TypeVar("M", User, Project)


def find(
    session: Session,
    model: type[M],
    identifier: str | None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> M | None:
    """Return the row of that id, or of that name in a domain that is given by id or name."""
    if identifier is not None:
        return session.get(model, identifier)
    domain = domains.find(session, domain_id=domain_id, name=domain_name)
    if domain is None or name is None:
        return None
    return session.scalar(select(model).where(model.domain_id == domain.id, model.name == name))


def list_all(
    session: Session,
    model: type[M],
    *,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
) -> list[M]:
    """List rows by name; None: whatever it is."""
    query = select(model).order_by(model.name, model.id)
    if name is not None:
        query = query.where(model.name == name)
    if domain_id is not None:
        query = query.where(model.domain_id == domain_id)
    if enabled is not None:
        query = query.where(model.enabled.is_(enabled))
    return list(session.scalars(query))


def get(session: Session, model: type[M], identifier: str, *, locked: bool = False) -> M:
    """Return a row; *locked*: as it is now, and until the transaction ends. :raises NotFound: there is none."""
    row = session.get(model, identifier, with_for_update=locked or None, populate_existing=locked)
    if row is None:
        kind = model.__name__.lower()
        raise NotFound(f"Could not find {kind}: {identifier}.", f"{kind}.not_found")
    return row


def keep_extra(row: User | Project, given: Mapping[str, Any]) -> None:
    """Add members of a client's own to what a row has of them; None removes one."""
    merged = {**row.extra, **given}
    row.extra = {name: value for name, value in merged.items() if value is not None}

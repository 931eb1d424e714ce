"""Change one row of what the Network API has, so that its revision grows, and only if it is the revision that was meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.types import now
from nova_lite.errors import PreconditionFailed

_QUIET: dict[str, Any] = {"synchronize_session": False}


def revise(
    session: Session,
    model: Any,
    identifier: str,
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
    expected: int | None = None,
) -> bool:
    """Change columns of the row *identifier* and let its revision grow by one; return whether there is such a row.

    :param expected: the revision that it must have; None: any.
    :raises PreconditionFailed: it has another one.
    """
    chosen = [model.id == identifier, *conditions]
    if expected is not None:
        chosen.append(model.revision == expected)
    result: Any = session.execute(
        update(model)
        .where(*chosen)
        .values(revision=model.revision + 1, updated_at=now(), **values)
        .execution_options(**_QUIET)
    )
    if result.rowcount:
        return True
    if expected is not None:
        check_revision(session, model, identifier, expected)
    return False


def check_revision(session: Session, model: Any, identifier: str, expected: int | None) -> None:
    """Refuse a row of another revision than *expected* (None: any). :raises PreconditionFailed: it has one."""
    if expected is None:
        return
    has = session.scalar(select(model.revision).where(model.id == identifier))
    if has is not None and has != expected:
        raise PreconditionFailed(
            f"Constrained to {expected}, but current revision is {has}", "network.revision_number_constraint_failed"
        )

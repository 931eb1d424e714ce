"""Names that are unique in a domain: one sentence for the conflict, wherever it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.store import Store
from nova_lite.errors import Conflict

T = TypeVar("T")


def store_named(store: Store, kind: str, name: str | None, work: Callable[[Session], T], where: str = "") -> T:
    """Run *work* in a transaction. :raises Conflict: the name is taken (*where*: ``at domain ID default``)."""
    try:
        return store.transact(work)
    except IntegrityError as error:
        place = f" {where}" if where else ""
        raise Conflict(
            f"Conflict occurred attempting to store {kind} - Duplicate entry found with name {name}{place}.",
            f"{kind}.exists",
        ) from error

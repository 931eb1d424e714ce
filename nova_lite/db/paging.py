"""Pages of a listing by keyset: the next page begins after the last row of this one, however many rows there are.

Nothing is skipped or shown twice when rows come and go between two pages, and no page costs more than the first.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, DateTime, Integer, Numeric, and_, case, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement, Select

_NO_MOMENT = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True)
class Order:
    """One key of a sort. ``expression`` is never NULL (see :func:`order`)."""

    expression: ColumnElement[Any]
    descending: bool


def order(column: Any, *, descending: bool) -> Order:
    """Make a sort key of *column*; NULLs sort as the empty text, zero or 1970, the same on each database."""
    if isinstance(column.type, Boolean):
        # The databases can order truths, but SQLAlchemy takes no < and > with a truth.
        return Order(case((column, 1), else_=0), descending)
    if not getattr(column, "nullable", False):
        return Order(column, descending)
    if isinstance(column.type, DateTime):
        return Order(func.coalesce(column, _NO_MOMENT), descending)
    return Order(func.coalesce(column, 0 if isinstance(column.type, Integer | Numeric) else ""), descending)


def position(session: Session, keys: Sequence[Order], *condition: ColumnElement[bool]) -> tuple[Any, ...] | None:
    """Return where the row that meets *condition* stands in the sort; None: there is no such row."""
    row = session.execute(select(*(key.expression for key in keys)).where(*condition)).first()
    return None if row is None else tuple(row)


def after(query: Select[Any], keys: Sequence[Order], marker: Sequence[Any] | None) -> Select[Any]:
    """Sort *query* by *keys* (the last one must be unique) and leave out all up to *marker*."""
    if marker is not None:
        alternatives = []
        for index, (key, value) in enumerate(zip(keys, marker, strict=True)):
            same = [earlier.expression == marker[i] for i, earlier in enumerate(keys[:index])]
            beyond = key.expression < value if key.descending else key.expression > value
            alternatives.append(and_(*same, beyond))
        query = query.where(or_(*alternatives))
    return query.order_by(*(key.expression.desc() if key.descending else key.expression for key in keys))

"""What a listing of networks, subnets or ports asks for, and the statement that answers it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement, Select

from nova_lite.db import paging
from nova_lite.errors import Invalid
from nova_lite.network import tags


@dataclass(frozen=True)
class Listing:
    """One listing. ``filters``: column → the values of which one must be there. ``sort``: (column, descending).

    ``tags``: ``tags``, ``tags-any``, ``not-tags``, ``not-tags-any`` → tags. ``project_id`` None: of every project (admins). ``limit`` None: all of them.
    Moments are to the second. ``changed_since`` None: whenever they were changed.
    """

    project_id: str | None
    filters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sort: Sequence[tuple[str, bool]] = ()
    limit: int | None = None
    marker: str | None = None
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changed_since: datetime.datetime | None = None


def _meets(column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """Give the condition that *column* has one of *values*; a moment is any within its second."""
    moments = [value for value in values if isinstance(value, datetime.datetime)]
    if moments:
        return or_(*(column.between(moment, moment.replace(microsecond=999_999)) for moment in moments))
    met: ColumnElement[bool] = column.in_(list(values))
    return met


def apply(session: Session, query: Select[Any], model: Any, listing: Listing) -> Select[Any]:
    """Filter by columns, sort and page. :raises Invalid: the marker is not there, or a column is none."""
    conditions: list[ColumnElement[bool]] = [
        _meets(getattr(model, name), values) for name, values in listing.filters.items()
    ]
    if listing.changed_since is not None:
        conditions.append(model.updated_at >= listing.changed_since)
    conditions.extend(tags.conditions(model.id, listing.tags))
    keys = [paging.order(getattr(model, name), descending=descending) for name, descending in listing.sort]
    if not any(name == "id" for name, _ in listing.sort):
        keys.append(paging.order(model.id, descending=False))
    marker = None
    if listing.marker is not None:
        marker = paging.position(session, keys, model.id == listing.marker)
        if marker is None:
            raise Invalid(f"The marker {listing.marker} could not be found.", "network.bad_marker")
    query = paging.after(query.where(*conditions), keys, marker)
    return query if listing.limit is None else query.limit(listing.limit)

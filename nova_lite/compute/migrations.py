"""What servers went through from size to size, as ``os-migrations`` lists it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, or_, select

from nova_lite.db import paging
from nova_lite.db.models import Migration
from nova_lite.db.store import Store
from nova_lite.errors import Invalid


@dataclass(frozen=True)
class MigrationListing:
    """One listing. ``equal`` is by column; ``host`` is either end; ``marker`` a migration's uuid."""

    equal: dict[str, Any] = field(default_factory=dict)
    host: str | None = None
    changes_since: datetime.datetime | None = None
    changes_before: datetime.datetime | None = None
    limit: int | None = None
    marker: str | None = None


def find(store: Store, listing: MigrationListing) -> list[Migration]:
    """List migrations, the newest first. :raises Invalid: there is none of the marker's uuid."""
    query = select(Migration)
    for name, value in listing.equal.items():
        query = query.where(getattr(Migration, name) == value)
    if listing.host is not None:
        query = query.where(or_(Migration.source == listing.host, Migration.destination == listing.host))
    changed = func.coalesce(Migration.updated_at, Migration.created_at)
    if listing.changes_since is not None:
        query = query.where(changed >= listing.changes_since)
    if listing.changes_before is not None:
        query = query.where(changed <= listing.changes_before)
    keys = [paging.order(Migration.created_at, descending=True), paging.order(Migration.id, descending=True)]
    with store.read() as session:
        position = None
        if listing.marker is not None:
            position = paging.position(session, keys, Migration.uuid == listing.marker)
            if position is None:
                raise Invalid(f"Marker {listing.marker} could not be found.", "migration.bad_marker")
        query = paging.after(query, keys, position)
        return list(session.scalars(query if listing.limit is None else query.limit(listing.limit)))

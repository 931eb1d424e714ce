"""What was done to a server and what became of it: the operations table as instance actions show it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlalchemy import func, select

from nova_lite.db import paging
from nova_lite.db.models import Operation
from nova_lite.db.store import Store
from nova_lite.errors import Invalid, NotFound


def find(
    store: Store,
    server_id: str,
    *,
    since: datetime.datetime | None = None,
    before: datetime.datetime | None = None,
    limit: int | None = None,
    marker: str | None = None,
) -> list[Operation]:
    """List a server's operations, the newest first. *marker* is a request id.

    :raises Invalid: no operation of the server has the marker's request id.
    """
    updated = func.coalesce(Operation.updated_at, Operation.created_at)
    query = select(Operation).where(Operation.target_type == "server", Operation.target_id == server_id)
    if since is not None:
        query = query.where(updated >= since)
    if before is not None:
        query = query.where(updated <= before)
    keys = [paging.order(Operation.id, descending=True)]
    with store.read() as session:
        position: Sequence[int] | None = None
        if marker is not None:
            last = session.scalar(
                select(func.min(Operation.id)).where(
                    Operation.target_type == "server", Operation.target_id == server_id, Operation.request_id == marker
                )
            )
            if last is None:
                raise Invalid(f"marker [{marker}] not found", "operation.bad_marker")
            position = (last,)
        query = paging.after(query, keys, position)
        return list(session.scalars(query if limit is None else query.limit(limit)))


def get(store: Store, server_id: str, request_id: str) -> Operation:
    """Return the operation that a request asked for. :raises NotFound: it asked for none of this server."""
    query = select(Operation).where(
        Operation.target_type == "server", Operation.target_id == server_id, Operation.request_id == request_id
    )
    with store.read() as session:
        row = session.scalar(query.order_by(Operation.id.desc()).limit(1))
    if row is None:
        raise NotFound(f"Action for request_id {request_id} on instance {server_id} not found", "operation.not_found")
    return row

"""What may be left of a server on a host that is its host no more: remembered until the host's agent has removed it.

A guest that the database does not know to be left over is never removed: its disk may be newer than what the database says. So whoever
takes a server off a host without knowing that nothing of it is there writes that down in the same transaction: the end of an
unshelve that could not be undone, and a delete that did not wait for its host.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nova_lite.db.models import LeftOver
from nova_lite.db.types import now
from nova_lite.db.upserts import insert_absent

_ROWS: Any = LeftOver.__table__


def remember(session: Session, server_id: str, host: str) -> None:
    """Have *host*'s agent remove what there is of a server that is not on that host from now on; twice is once."""
    insert_absent(session, _ROWS, [{"host": host, "server_id": server_id, "created_at": now()}])


def is_left(session: Session, server_id: str, host: str) -> bool:
    """Tell whether something of a server may be left on *host*."""
    return session.get(LeftOver, (host, server_id)) is not None


def forget(session: Session, server_id: str, host: str) -> None:
    """Note that *host* has nothing of the server any more, or that what it has is the server's again."""
    session.execute(
        delete(LeftOver)
        .where(LeftOver.host == host, LeftOver.server_id == server_id)
        .execution_options(synchronize_session=False)
    )


def on_host(session: Session, host: str) -> list[str]:
    """List the servers of which something may be left on *host*, oldest first."""
    query = select(LeftOver.server_id).where(LeftOver.host == host).order_by(LeftOver.created_at, LeftOver.server_id)
    return list(session.scalars(query))

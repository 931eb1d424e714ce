"""What a server holds of a host: taken in one statement that can't oversubscribe, given back once.

The host's sums change only in the transaction that adds or removes the server's row in ``allocations``, so a
second claim or a second release of the same server does nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Allocation, Host, Server
from nova_lite.db.types import now


def claim(session: Session, server: Server, host: str) -> bool:
    """Claim *server*'s vCPUs, memory (MiB) and disk (GiB) on *host*; False when they are no longer free there.

    A server that already holds this host's claim keeps it (True): the scheduler may have died after its commit.
    """
    held = session.get(Allocation, server.id)
    if held is not None:
        return held.host == host
    result = session.execute(
        update(Host)
        .where(
            Host.name == host,
            Host.enabled.is_(True),
            Host.used_vcpus + server.vcpus <= Host.vcpus * Host.vcpus_ratio,
            Host.used_memory_mb + server.memory_mb <= (Host.memory_mb - Host.reserved_memory_mb) * Host.memory_ratio,
            Host.used_disk_gb + server.disk_gb <= Host.disk_gb * Host.disk_ratio,
        )
        .values(
            used_vcpus=Host.used_vcpus + server.vcpus,
            used_memory_mb=Host.used_memory_mb + server.memory_mb,
            used_disk_gb=Host.used_disk_gb + server.disk_gb,
            running_servers=Host.running_servers + 1,
            updated_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    if not _count(result):
        return False
    session.add(
        Allocation(
            server_id=server.id,
            host=host,
            vcpus=server.vcpus,
            memory_mb=server.memory_mb,
            disk_gb=server.disk_gb,
        )
    )
    session.flush()
    return True


def release(session: Session, server_id: str) -> bool:
    """Give back what *server_id* holds; False when it holds nothing (any more)."""
    held = session.scalar(select(Allocation).where(Allocation.server_id == server_id).with_for_update())
    if held is None:
        return False
    removed = session.execute(
        delete(Allocation).where(Allocation.server_id == server_id).execution_options(synchronize_session=False)
    )
    if not _count(removed):
        return False
    session.execute(
        update(Host)
        .where(Host.name == held.host)
        .values(
            used_vcpus=Host.used_vcpus - held.vcpus,
            used_memory_mb=Host.used_memory_mb - held.memory_mb,
            used_disk_gb=Host.used_disk_gb - held.disk_gb,
            running_servers=Host.running_servers - 1,
            updated_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    session.expunge(held)
    return True


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount

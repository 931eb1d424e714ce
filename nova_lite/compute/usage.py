"""What a project has in use."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from nova_lite.db.models import Server
from nova_lite.db.store import Store


@dataclass(frozen=True)
class Usage:
    """Sums over a project's servers that are there; memory in MiB."""

    servers: int
    vcpus: int
    memory_mb: int


def of_project(store: Store, project_id: str) -> Usage:
    """Sum up what a project has."""
    query = select(
        func.count(), func.coalesce(func.sum(Server.vcpus), 0), func.coalesce(func.sum(Server.memory_mb), 0)
    ).where(Server.project_id == project_id, Server.deleted.is_(False))
    with store.read() as session:
        servers, vcpus, memory_mb = session.execute(query).one()
    # PostgreSQL and MariaDB sum integers to decimals.
    return Usage(int(servers), int(vcpus), int(memory_mb))

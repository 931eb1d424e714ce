"""What each project's servers have of a host."""

from __future__ import annotations

from sqlalchemy import func, select

from nova_lite.db.models import Server
from nova_lite.db.store import Store


def by_project(store: Store, host: str) -> dict[str, tuple[int, int, int]]:
    """Return vCPUs, MiB and GiB (root and ephemeral disks) of each project's servers on *host*."""
    query = (
        select(
            Server.project_id,
            func.sum(Server.vcpus),
            func.sum(Server.memory_mb),
            func.sum(Server.disk_gb + Server.ephemeral_gb),
        )
        .where(Server.host == host, Server.deleted.is_(False))
        .group_by(Server.project_id)
        .order_by(Server.project_id)
    )
    with store.read() as session:
        return {project: (int(cpu), int(memory), int(disk)) for project, cpu, memory, disk in session.execute(query)}

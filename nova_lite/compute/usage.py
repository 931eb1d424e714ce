"""What projects' servers used in a period: hours, and vCPUs, memory and disk times hours."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from sqlalchemy import or_, select

from nova_lite.db import paging
from nova_lite.db.models import Server
from nova_lite.db.store import Store
from nova_lite.errors import Invalid

Moment = datetime.datetime


@dataclass(frozen=True)
class ServerUsage:
    """One server's use; ``hours`` within the period, ``uptime`` in seconds since its launch, memory in MiB, root and ephemeral disks in GiB."""

    server_id: str
    project_id: str
    name: str
    flavor: str
    vcpus: int
    memory_mb: int
    local_gb: int
    vm_state: str
    started_at: Moment
    ended_at: Moment | None
    hours: float
    uptime: int


@dataclass
class ProjectUsage:
    """The sums of a project."""

    project_id: str
    servers: list[ServerUsage] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Return the servers' hours."""
        return float(sum(each.hours for each in self.servers))

    def times(self, name: str) -> float:
        """Return the sum of a column (``vcpus``, …) times hours."""
        return float(sum(getattr(each, name) * each.hours for each in self.servers))


def find(
    store: Store,
    start: Moment,
    stop: Moment,
    now: Moment,
    *,
    project_id: str | None,
    limit: int | None = None,
    marker: str | None = None,
) -> list[ProjectUsage]:
    """List the use of each project (or of one) between *start* and *stop*, by project.

    Servers count from their launch to their end. With *limit*, only so many servers are looked at, after *marker*.

    :raises Invalid: *marker* names no server.
    """
    conditions = [
        Server.launched_at.is_not(None),
        Server.launched_at < stop,
        or_(Server.terminated_at.is_(None), Server.terminated_at >= start),
    ]
    if project_id is not None:
        conditions.append(Server.project_id == project_id)
    keys = [
        paging.order(Server.project_id, descending=False),
        paging.order(Server.launched_at, descending=False),
        paging.order(Server.id, descending=False),
    ]
    with store.read() as session:
        position = None
        if marker is not None:
            position = paging.position(session, keys, Server.id == marker)
            if position is None:
                raise Invalid(f"marker [{marker[:64]}] not found", "usage.bad_marker")
        query = paging.after(select(Server).where(*conditions), keys, position)
        rows = session.scalars(query if limit is None else query.limit(limit)).all()
    found: dict[str, ProjectUsage] = {}
    for row in rows:
        mine = found.setdefault(row.project_id, ProjectUsage(row.project_id))
        mine.servers.append(_of(row, start, stop, now))
    return list(found.values())


def _of(row: Server, start: Moment, stop: Moment, now: Moment) -> ServerUsage:
    launched = row.launched_at or start
    until = min(stop, row.terminated_at or now)
    seconds = max(0.0, (until - max(start, launched)).total_seconds())
    ended = row.terminated_at
    return ServerUsage(
        server_id=row.id,
        project_id=row.project_id,
        name=row.name,
        flavor=str(row.flavor.get("name", "")),
        vcpus=row.vcpus,
        memory_mb=row.memory_mb,
        local_gb=row.disk_gb + row.ephemeral_gb,
        vm_state=row.vm_state,
        started_at=launched,
        ended_at=ended,
        hours=seconds / 3600,
        uptime=int(((ended or now) - launched).total_seconds()),
    )

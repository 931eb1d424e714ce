"""What servers and hosts are grouped by: server groups, aggregates."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Name, Uuid


class ServerGroup(Base, Timestamps):
    """``policy``: affinity, anti-affinity, soft-affinity or soft-anti-affinity. ``generation`` grows with each placement of a member."""

    __tablename__ = "server_groups"
    __table_args__ = (Index("ix_server_groups_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name)
    policy: Mapped[str] = mapped_column(String(32))
    rules: Mapped[JsonDict] = mapped_column(Json, default=dict)
    generation: Mapped[int] = mapped_column(default=0)


class ServerGroupMember(Base):
    """A server's group; it is in one at most, from its creation on."""

    __tablename__ = "server_group_members"
    __table_args__ = (Index("ix_server_group_members_group", "group_id"),)
    server_id: Mapped[str] = mapped_column(Uuid, ForeignKey("servers.id"), primary_key=True)
    group_id: Mapped[str] = mapped_column(Uuid, ForeignKey("server_groups.id"))


class Aggregate(Base, Timestamps):
    """Hosts with something in common. ``availability_zone``, where set, is that of its hosts."""

    __tablename__ = "aggregates"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    availability_zone: Mapped[str | None] = mapped_column(Name)
    metadata_: Mapped[JsonDict] = mapped_column("metadata", Json, default=dict)


class AggregateHost(Base):
    """A host that is in an aggregate."""

    __tablename__ = "aggregate_hosts"
    __table_args__ = (Index("ix_aggregate_hosts_host", "host"),)
    aggregate_id: Mapped[int] = mapped_column(ForeignKey("aggregates.id"), primary_key=True)
    host: Mapped[str] = mapped_column(Name, ForeignKey("hosts.name"), primary_key=True)

"""Compute: servers, flavors, keypairs, hosts and what servers hold of them."""

from __future__ import annotations

import datetime

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, LongText, Moment, Name, Uuid, now


class Server(Base, Timestamps):
    """A guest of any kind.

    ``flavor`` and ``image_properties`` are copies made at creation, as a flavor may change or go. ``vm_state`` is where
    the server stands, ``task_state`` what is being done to it (None: nothing); the pair changes only by
    compare-and-swap (``nova_lite.compute.lifecycle``). A deleted server's row stays, with ``deleted`` true.
    ``generation`` grows with each change of state. ``locked_by`` is ``owner`` or ``admin``. ``system_metadata`` is what an
    action leaves for the one that will end or undo it (``nova_lite.compute.endings`` says what): the flavor before a resize,
    the snapshot of a shelved server. ``ephemeral_gb``, ``swap_mb`` (MiB) and ``local_disks``: ``nova_lite.compute.local_disks``. ``injected_files``: ``path`` and base64 ``contents`` of each. ``quota_*`` is what of its project's quota it holds (``nova_lite.compute.quotas``). A soft-deleted server has ``deleted_at`` and is not ``deleted``.
    """

    __tablename__ = "servers"
    __table_args__ = (
        Index("ix_servers_project", "project_id", "deleted", "created_at", "id"),
        Index("ix_servers_host", "host", "deleted"),
        Index("ix_servers_listing", "deleted", "created_at", "id"),
        Index("ix_servers_deleted", "deleted_at"),
    )
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name)
    hostname: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Name)
    kind: Mapped[str] = mapped_column(String(16))
    image_id: Mapped[str | None] = mapped_column(Uuid)
    image_properties: Mapped[JsonDict] = mapped_column(Json, default=dict)
    flavor: Mapped[JsonDict] = mapped_column(Json)
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    local_disks: Mapped[JsonDict | None] = mapped_column(Json)
    key_name: Mapped[str | None] = mapped_column(Name)
    public_key: Mapped[str | None] = mapped_column(Text)
    user_data: Mapped[str | None] = mapped_column(LongText)
    injected_files: Mapped[list[JsonDict] | None] = mapped_column(Json)
    config_drive: Mapped[bool] = mapped_column(default=False)
    metadata_: Mapped[JsonDict] = mapped_column("metadata", Json, default=dict)
    tags: Mapped[list[str]] = mapped_column(Json, default=list)
    vm_state: Mapped[str] = mapped_column(String(32))
    task_state: Mapped[str | None] = mapped_column(String(32))
    power_state: Mapped[int] = mapped_column(default=0)
    fault: Mapped[JsonDict | None] = mapped_column(Json)
    generation: Mapped[int] = mapped_column(default=0)
    host: Mapped[str | None] = mapped_column(Name)
    availability_zone: Mapped[str | None] = mapped_column(Name)
    reservation_id: Mapped[str] = mapped_column(String(32))
    launch_index: Mapped[int] = mapped_column(default=0)
    scheduler_hints: Mapped[JsonDict] = mapped_column(Json, default=dict)
    disk_config: Mapped[str] = mapped_column(String(8), default="MANUAL")
    access_ip_v4: Mapped[str] = mapped_column(String(64), default="")
    access_ip_v6: Mapped[str] = mapped_column(String(64), default="")
    quota_instances: Mapped[int] = mapped_column(default=0)
    quota_cores: Mapped[int] = mapped_column(default=0)
    quota_ram: Mapped[int] = mapped_column(default=0)
    locked: Mapped[bool] = mapped_column(default=False)
    locked_by: Mapped[str | None] = mapped_column(String(8))
    locked_reason: Mapped[str | None] = mapped_column(Name)
    system_metadata: Mapped[JsonDict] = mapped_column(Json, default=dict)
    launched_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    terminated_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    deleted: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Flavor(Base, Timestamps):
    """``flavorid`` is what clients call the id; sizes are MiB and GiB as upstream names them MB and GB."""

    __tablename__ = "flavors"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    flavorid: Mapped[str] = mapped_column(Name, unique=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    rxtx_factor: Mapped[float] = mapped_column(Double, default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str | None] = mapped_column(Text)
    extra_specs: Mapped[JsonDict] = mapped_column(Json, default=dict)


class FlavorAccess(Base):
    """A project that may use a flavor which is not public."""

    __tablename__ = "flavor_access"
    flavor_id: Mapped[int] = mapped_column(ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class Keypair(Base, Timestamps):
    __tablename__ = "keypairs"
    __table_args__ = (UniqueConstraint("user_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name)
    type: Mapped[str] = mapped_column(String(16), default="ssh")
    fingerprint: Mapped[str] = mapped_column(String(255))
    public_key: Mapped[str] = mapped_column(Text)


class Host(Base, Timestamps):
    """A compute host: what it has, what of it is claimed, and when its agent was last heard.

    ``vcpus``, ``memory_mb`` and ``disk_gb`` are physical; ``*_ratio`` are the overcommit; ``used_*`` are sums over
    ``allocations`` and change only together with a row there. ``last_seen`` is epoch seconds. ``capabilities`` is what the
    driver said of itself (``nova_lite.virt.driver.Capabilities`` as a dict). ``traits`` are those of
    ``nova_lite.compute.traits`` that it has. ``availability_zone`` is that of an aggregate that the host is in, else ``own_zone``,
    which its agent's configuration names.
    """

    __tablename__ = "hosts"
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    availability_zone: Mapped[str] = mapped_column(Name, default="nova")
    own_zone: Mapped[str] = mapped_column(Name, default="nova")
    vcpus: Mapped[int] = mapped_column(default=0)
    memory_mb: Mapped[int] = mapped_column(default=0)
    disk_gb: Mapped[int] = mapped_column(default=0)
    reserved_memory_mb: Mapped[int] = mapped_column(default=0)
    vcpus_ratio: Mapped[float] = mapped_column(Double, default=16.0)
    memory_ratio: Mapped[float] = mapped_column(Double, default=1.0)
    disk_ratio: Mapped[float] = mapped_column(Double, default=1.0)
    used_vcpus: Mapped[int] = mapped_column(default=0)
    used_memory_mb: Mapped[int] = mapped_column(default=0)
    used_disk_gb: Mapped[int] = mapped_column(default=0)
    running_servers: Mapped[int] = mapped_column(default=0)
    kinds: Mapped[list[str]] = mapped_column(Json, default=list)
    traits: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")
    capabilities: Mapped[JsonDict] = mapped_column(Json, default=dict)
    address: Mapped[str | None] = mapped_column(String(64))
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None] = mapped_column(Name)
    forced_down: Mapped[bool] = mapped_column(default=False)
    last_seen: Mapped[float] = mapped_column(Double, default=0.0)
    version: Mapped[str] = mapped_column(String(32), default="")


class Allocation(Base):
    """What one server holds of one host; its row and the host's ``used_*`` change in one transaction."""

    __tablename__ = "allocations"
    __table_args__ = (
        CheckConstraint("vcpus >= 0 AND memory_mb >= 0 AND disk_gb >= 0", name="amounts_not_negative"),
        Index("ix_allocations_host", "host"),
    )
    server_id: Mapped[str] = mapped_column(Uuid, ForeignKey("servers.id"), primary_key=True)
    host: Mapped[str] = mapped_column(Name, ForeignKey("hosts.name"))
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]


class LeftOver(Base):
    """What may still be of a server on a host that is not its host any more (``nova_lite.compute.left_overs``)."""

    __tablename__ = "left_overs"
    host: Mapped[str] = mapped_column(Name, primary_key=True)
    server_id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class Migration(Base, Timestamps):
    """A server's change of size (``migration_type`` resize), or later of host, from its beginning to its end.

    ``status``: migrating → finished → confirmed | reverted, or error. Flavors are the ids that clients use.
    """

    __tablename__ = "migrations"
    __table_args__ = (
        Index("ix_migrations_server", "server_id", "id"),
        Index("ix_migrations_listing", "created_at", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    server_id: Mapped[str] = mapped_column(Uuid)
    migration_type: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(Name)
    destination: Mapped[str] = mapped_column(Name)
    old_flavor: Mapped[str] = mapped_column(Name)
    new_flavor: Mapped[str] = mapped_column(Name)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))


class Service(Base, Timestamps):
    """A running service other than a compute agent (API worker, scheduler), seen alive at ``last_seen`` (epoch s)."""

    __tablename__ = "services"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    binary: Mapped[str] = mapped_column(String(64))
    host: Mapped[str] = mapped_column(Name)
    last_seen: Mapped[float] = mapped_column(Double, default=0.0)
    version: Mapped[str] = mapped_column(String(32), default="")

"""The hosts as the scheduler sees them, in one query, and what a server's row asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.compute import aggregates, claims, extra_specs, firmware
from nova_lite.compute.server_groups import Neighbours
from nova_lite.db.models import Host, Server
from nova_lite.db.types import epoch
from nova_lite.scheduler.place import HostView, Request


class Snapshot:
    """What one round of placements decides on; it learns of its own claims, not of others'."""

    def __init__(self, hosts: Iterable[HostView]) -> None:
        self._hosts = {host.name: host for host in hosts}

    def hosts(self) -> list[HostView]:
        """List the hosts."""
        return list(self._hosts.values())

    def note_claim(self, request: Request, name: str) -> None:
        """Remember that *request* was claimed on the host *name*."""
        host = self._hosts[name]
        self._hosts[name] = dataclasses.replace(
            host,
            used_vcpus=host.used_vcpus + request.vcpus,
            used_memory_mb=host.used_memory_mb + request.memory_mb,
            used_disk_gb=host.used_disk_gb + request.disk_gb,
        )

    def note_full(self, request: Request, name: str) -> None:
        """Remember that the host *name* had no room for *request*: others claimed it meanwhile.

        Only as much is taken as full as makes *request* not fit; what exactly was claimed, the next snapshot tells.
        """
        host = self._hosts[name]
        self._hosts[name] = dataclasses.replace(
            host, used_memory_mb=max(host.used_memory_mb, int(host.memory_mb) - request.memory_mb + 1)
        )


_ROWS: Any = Host.__table__
# Made once; its rows are unpacked, as to ask a row for a column by name a thousand times takes longer than the query.
_HOSTS = select(
    _ROWS.c.name,
    _ROWS.c.availability_zone,
    _ROWS.c.kinds,
    _ROWS.c.traits,
    _ROWS.c.enabled,
    _ROWS.c.forced_down,
    _ROWS.c.last_seen,
    _ROWS.c.vcpus,
    _ROWS.c.vcpus_ratio,
    _ROWS.c.memory_mb,
    _ROWS.c.reserved_memory_mb,
    _ROWS.c.memory_ratio,
    _ROWS.c.disk_gb,
    _ROWS.c.disk_ratio,
    _ROWS.c.used_vcpus,
    _ROWS.c.used_memory_mb,
    _ROWS.c.used_disk_gb,
)


def read_hosts(session: Session, down_after: float) -> Snapshot:
    """Read every host. *down_after*: seconds of silence after which one counts as down."""
    moment = epoch()
    metadata = aggregates.metadata_of_hosts(session)
    return Snapshot(
        HostView(
            name=name,
            availability_zone=zone,
            kinds=frozenset(kinds),
            traits=frozenset(traits),
            enabled=enabled,
            up=not forced_down and moment - last_seen <= down_after,
            vcpus=vcpus * vcpus_ratio,
            memory_mb=(memory_mb - reserved_mb) * memory_ratio,
            disk_gb=disk_gb * disk_ratio,
            used_vcpus=used_vcpus,
            used_memory_mb=used_memory_mb,
            used_disk_gb=used_disk_gb,
            metadata=metadata.get(name, {}),
        )
        for (
            name,
            zone,
            kinds,
            traits,
            enabled,
            forced_down,
            last_seen,
            vcpus,
            vcpus_ratio,
            memory_mb,
            reserved_mb,
            memory_ratio,
            disk_gb,
            disk_ratio,
            used_vcpus,
            used_memory_mb,
            used_disk_gb,
        ) in session.execute(_HOSTS)
    )


_SCOPE = "aggregate_instance_extra_specs:"


def request_of(server: Server, host: str | None = None, neighbours: Neighbours | None = None) -> Request:
    """Say what *server* needs; *host*: the one that it must go to; *neighbours*: what others mean for it.

    An availability zone may name its host, ``zone:host`` as Nova's administrators write it.
    """
    specs = server.flavor.get("extra_specs") or {}
    vcpus, memory_mb, disk_gb = claims.held_by(server)
    zone, _, named = (server.availability_zone or "").partition(":")
    return Request(
        server_id=server.id,
        kind=server.kind,
        vcpus=vcpus,
        memory_mb=memory_mb,
        disk_gb=disk_gb,
        availability_zone=zone or None,
        host=host or named.partition(":")[0] or None,
        neighbours=neighbours or Neighbours(),
        wanted_metadata={
            key.removeprefix(_SCOPE): str(value) for key, value in specs.items() if key.startswith(_SCOPE)
        },
        unmet=extra_specs.unmet(specs, server.image_properties or {}),
        wanted_traits=firmware.wanted(server.kind, server.image_properties or {}, specs),
    )

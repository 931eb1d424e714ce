"""Compute hosts and services, as hypervisors, services and availability zones show them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nova_lite.compute.traits import Wanted
from nova_lite.db.models import Host, Server, Service
from nova_lite.db.store import Store
from nova_lite.db.types import epoch
from nova_lite.errors import NotFound

INTERNAL_ZONE = "internal"
"""The zone that everything but compute agents is shown in."""

API_BINARIES = ("nova-osapi_compute", "nova-metadata")
"""Upstream's listings leave these out."""


@dataclass(frozen=True)
class ServiceRecord:
    """A service: an agent (from ``hosts``) or another one (from ``services``). ``last_seen`` is epoch seconds."""

    uuid: str
    number: int
    binary: str
    host: str
    zone: str
    enabled: bool
    disabled_reason: str | None
    forced_down: bool
    last_seen: float
    up: bool


def number_of(identifier: str) -> int:
    """Make the number that old microversions know a host by out of its UUID, the same each time."""
    return zlib.crc32(identifier.encode()) & 0x7FFFFFFF


def lacking(session: Session, host: str | None, wanted: Wanted) -> str:
    """Say which of the *wanted* traits keep *host* from having a server, as words after "The host is"; empty: none do."""
    if host is None or wanted == Wanted():
        return ""
    return wanted.lacking(session.scalar(select(Host.traits).where(Host.name == host)) or ())


def is_up(last_seen: float | None, forced_down: bool | None, down_after: float) -> bool:
    """Tell whether an agent counts as up: heard within *down_after* seconds and not forced down."""
    return not forced_down and last_seen is not None and epoch() - last_seen <= down_after


def host_status(enabled: bool | None, last_seen: float | None, forced_down: bool | None, down_after: float) -> str:
    """Return Nova's word for a server's host: UP, DOWN (forced), MAINTENANCE (disabled), UNKNOWN (silent), or none."""
    if enabled is None:
        return ""
    if forced_down:
        return "DOWN"
    if not is_up(last_seen, forced_down, down_after):
        return "UNKNOWN"
    return "UP" if enabled else "MAINTENANCE"


def find(store: Store, pattern: str | None = None) -> list[Host]:
    """List hosts by name, those whose name holds *pattern* if one is given."""
    query = select(Host).order_by(Host.name)
    if pattern is not None:
        query = query.where(Host.name.contains(pattern, autoescape=True))
    with store.read() as session:
        return list(session.scalars(query))


def get(store: Store, identifier: str) -> Host:
    """Return a host by UUID or by old number. :raises NotFound: there is none."""
    for host in find(store):
        if identifier in (host.uuid, str(number_of(host.uuid))):
            return host
    raise NotFound(f"Compute host {identifier} could not be found.", "host.not_found")


def servers_on(store: Store, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return (id, name) of the servers on each host."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    query = (
        select(Server.host, Server.id, Server.name)
        .where(Server.host.in_(list(names)), Server.deleted.is_(False))
        .order_by(Server.created_at, Server.id)
    )
    with store.read() as session:
        for host, identifier, name in session.execute(query):
            found[str(host)].append((identifier, name))
    return found


def busy_counts(store: Store) -> dict[str, int]:
    """Return how many servers of each host have something under way."""
    query = (
        select(Server.host, func.count())
        .where(Server.host.is_not(None), Server.deleted.is_(False), Server.task_state.is_not(None))
        .group_by(Server.host)
    )
    with store.read() as session:
        return {str(host): count for host, count in session.execute(query)}


def services(store: Store, down_after: float) -> list[ServiceRecord]:
    """List every service but the API's own: the agents first."""
    with store.read() as session:
        agents = session.scalars(select(Host).order_by(Host.name)).all()
        others = session.scalars(
            select(Service)
            .where(Service.binary.not_in(API_BINARIES))
            .order_by(Service.binary, Service.host, Service.id)
        ).all()
    found = [
        ServiceRecord(
            uuid=host.uuid,
            number=number_of(host.uuid),
            binary="nova-compute",
            host=host.name,
            zone=host.availability_zone,
            enabled=host.enabled,
            disabled_reason=host.disabled_reason,
            forced_down=host.forced_down,
            last_seen=host.last_seen,
            up=is_up(host.last_seen, host.forced_down, down_after),
        )
        for host in agents
    ]
    found.extend(
        ServiceRecord(
            uuid=service.uuid,
            number=number_of(service.uuid),
            binary=service.binary,
            host=service.host,
            zone=INTERNAL_ZONE,
            enabled=True,
            disabled_reason=None,
            forced_down=False,
            last_seen=service.last_seen,
            up=is_up(service.last_seen, False, down_after),
        )
        for service in others
    )
    return found


def zones(session: Session) -> dict[str, list[str]]:
    """Return the availability zones with their hosts."""
    found: dict[str, list[str]] = {}
    for zone, name in session.execute(select(Host.availability_zone, Host.name).order_by(Host.name)):
        found.setdefault(zone, []).append(name)
    return found

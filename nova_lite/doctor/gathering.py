"""Read what the database says, in one snapshot: what changes together is read together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from nova_lite.compute import local_disks, quota_recount
from nova_lite.db.models import (
    Allocation,
    FixedIp,
    Host,
    Image,
    LeftOver,
    Network,
    Operation,
    Port,
    RemovedImage,
    Router,
    Server,
)
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, now
from nova_lite.doctor import facts
from nova_lite.doctor.facts import Facts, HostSight

_AT_ONCE = 500


def gather(store: Store, sight: HostSight | None) -> Facts:
    """Read the database after the host was looked at: what is made for a row is made after it, so its row is found."""
    with store.read() as session:
        if store.backend != "sqlite":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        found = Facts(
            moment=epoch(),
            servers={row.server_id: row for row in _servers(session)},
            hosts=tuple(
                facts.HostFact(row.name, (row.used_vcpus, row.used_memory_mb, row.used_disk_gb), row.running_servers)
                for row in session.scalars(select(Host).order_by(Host.name))
            ),
            claims={
                row.server_id: facts.ClaimFact(row.host, (row.vcpus, row.memory_mb, row.disk_gb))
                for row in session.scalars(select(Allocation).order_by(Allocation.server_id))
            },
            operations=tuple(_operations(session)),
            ports=tuple(_ports(session)),
            networks=frozenset(session.scalars(select(Network.segmentation_id))),
            routers=frozenset(session.scalars(select(Router.id))),
            images=tuple(_images(session)),
            sums=tuple(
                facts.SumFact(row.scope, row.resource, row.recorded, row.counted)
                for row in quota_recount.compare(session)
            ),
            removed_images=frozenset(session.scalars(select(RemovedImage.id))),
            left_overs=frozenset((row.host, row.server_id) for row in session.scalars(select(LeftOver))),
            sight=sight,
        )
        return replace(found, deleted=_deleted(session, _named(found) - found.servers.keys()))


def _servers(session: Session) -> Iterable[facts.ServerFact]:
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == Server.id, Operation.state.in_(UNFINISHED)
    )
    query = (
        select(
            Server.id,
            Server.vm_state,
            Server.task_state,
            Server.host,
            Server.vcpus,
            Server.memory_mb,
            Server.disk_gb,
            Server.ephemeral_gb,
            Server.swap_mb,
            Server.generation,
            Server.system_metadata,
            busy.label("busy"),
        )
        .where(Server.deleted.is_(False))
        .order_by(Server.created_at, Server.id)
    )
    for row in session.execute(query):
        yield facts.ServerFact(
            server_id=row.id,
            vm_state=row.vm_state,
            task_state=row.task_state,
            host=row.host,
            sizes=(row.vcpus, row.memory_mb, local_disks.held_gb(row.disk_gb, row.ephemeral_gb, row.swap_mb)),
            generation=row.generation,
            busy=bool(row.busy),
            resizing="old_flavor" in (row.system_metadata or {}),
        )


def _operations(session: Session) -> Iterable[facts.OperationFact]:
    for row in session.scalars(select(Operation).where(Operation.state.in_(UNFINISHED)).order_by(Operation.id)):
        yield facts.OperationFact(
            row.id,
            row.action,
            row.target_type,
            row.target_id,
            row.state,
            row.queue,
            row.host,
            row.deadline,
            row.lease_until,
        )


def _ports(session: Session) -> Iterable[facts.PortFact]:
    addresses: dict[str, list[str]] = defaultdict(list)
    for port_id, address in session.execute(select(FixedIp.port_id, FixedIp.address)):
        addresses[port_id].append(address)
    query = (
        select(
            Port.id,
            Port.device_id,
            Port.device_owner,
            Port.host,
            Port.mac_address,
            Network.segmentation_id.label("net"),
        )
        .join(Network, Network.id == Port.network_id)
        .where(or_(Port.device_id != "", Port.host.is_not(None)))
        .order_by(Port.id)
    )
    for row in session.execute(query):
        yield facts.PortFact(
            row.id, row.device_id, row.device_owner, row.host, row.net, row.mac_address, tuple(addresses[row.id])
        )


def _images(session: Session) -> Iterable[facts.ImageFact]:
    arguments = session.scalars(select(Operation.arguments).where(Operation.state.in_(UNFINISHED)))
    awaited = {(given or {}).get("image_id") for given in arguments}
    moment = now()
    query = select(Image.id, Image.status, Image.updated_at, Image.created_at).order_by(Image.id)
    for row in session.execute(query):
        idle_s = (moment - (row.updated_at or row.created_at)).total_seconds()
        yield facts.ImageFact(row.id, row.status, idle_s, row.id in awaited)


def _named(found: Facts) -> set[str]:
    """Return the ids of servers that anything but a server's own row names."""
    named = {port.device_id for port in found.ports} | set(found.claims)
    named |= {row.target_id for row in found.operations if row.target_type == "server"}
    if found.sight is not None:
        named |= {guest.server_id for guest in found.sight.guests or () if guest.server_id} | found.sight.directories
    return named


def _deleted(session: Session, identifiers: Iterable[str]) -> frozenset[str]:
    wanted = sorted(identifiers)
    found: set[Any] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(Server.id).where(Server.id.in_(wanted[start : start + _AT_ONCE]), Server.deleted.is_(True))
        found.update(session.scalars(query))
    return frozenset(found)

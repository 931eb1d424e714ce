"""Adoption: a guest that somebody else runs on a host becomes a server, under its own UUID, without being stopped.

The row, its quota, its claim and the operation are written first, together; then the host's agent marks the guest. Until the adoption is
complete (``launched_at``) the guest is the stranger's still: whatever ends the adoption before leaves it as it was, and a delete
of the server only takes the mark off.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.compute import claims, creation, flavors, quotas
from nova_lite.compute.transitions import TRANSITIONS, PowerState, VmState
from nova_lite.db import operations
from nova_lite.db.models import Flavor, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, now
from nova_lite.errors import Conflict, Invalid, NotFound

ACTION = "adopt"
_SERVERS: Any = Server.__table__
_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class Adoption:
    """What was asked for. ``guest``: its name on *host*. The server is *project_id*'s and *user_id*'s."""

    host: str
    guest: str
    flavor_id: str
    project_id: str
    user_id: str
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stranger:
    """A guest as its host describes it. ``nics``: mac, device and bridge of each interface. ``disks``: device, path, format."""

    name: str
    uuid: str
    kind: str
    vcpus: int
    memory_mb: int
    power: PowerState
    persistent: bool
    server_id: str | None
    disks: tuple[Mapping[str, str], ...]
    nics: tuple[Mapping[str, str], ...]

    @classmethod
    def read(cls, seen: Mapping[str, Any]) -> Stranger:
        """Take an agent's answer apart."""
        return cls(
            name=str(seen["name"]),
            uuid=str(seen["uuid"]),
            kind=str(seen["kind"]),
            vcpus=int(seen["vcpus"]),
            memory_mb=int(seen["memory_mb"]),
            power=PowerState(int(seen["power"])),
            persistent=bool(seen.get("persistent", True)),
            server_id=seen.get("server_id"),
            disks=tuple(seen.get("disks") or ()),
            nics=tuple(seen.get("nics") or ()),
        )


def adopt(store: Store, conf: cfg.ConfigOpts, caller: Caller, wanted: Adoption, seen: Stranger) -> str:
    """Write the server that *seen* is to become, and its operation; return the server's id, which is the guest's UUID.

    :raises Invalid: the flavor is not there, or is too small for what the guest has.
    :raises Conflict: the guest is a server already, does not run or would be gone once stopped; or its host has no room.
    :raises nova_lite.errors.OverLimit: it would be more than the project's quota.
    """
    server_id = str(uuid.UUID(seen.uuid))
    _check(seen)

    def work(session: Session) -> None:
        try:
            flavor = flavors.read(session, wanted.flavor_id, None)
        except NotFound as error:
            raise Invalid(error.message, error.code) from None
        _check_size(flavor, seen)
        quotas.check_metadata(conf, session, wanted.project_id, len(wanted.metadata))
        amounts = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.memory_mb}
        quotas.take_for_servers(session, conf, wanted.project_id, wanted.user_id, amounts)
        _write(session, server_id, _row(wanted, seen, flavor, server_id))
        server = session.get_one(Server, server_id, populate_existing=True)
        if not claims.claim(session, server, wanted.host):
            raise Conflict(
                f"Host {wanted.host} is disabled, or has no room for flavor {flavor.name}: {flavor.vcpus} vCPUs, "
                f"{flavor.memory_mb} MiB, {flavor.disk_gb} GiB.",
                "adoption.no_room",
            )
        operations.submit(
            session,
            caller,
            action=ACTION,
            target_type="server",
            target_id=server_id,
            queue="agent",
            host=wanted.host,
            arguments={"guest": seen.name},
            deadline_s=TRANSITIONS[ACTION].deadline_s,
        )

    try:
        quotas.transact(store, work)
    except IntegrityError as error:
        raise _taken(server_id) from error
    return server_id


def _check(seen: Stranger) -> None:
    if seen.server_id is not None:
        raise Conflict(f"Guest {seen.name} is server {seen.server_id} already.", "adoption.is_server")
    if seen.power is not PowerState.RUNNING:
        raise Conflict(
            f"Guest {seen.name} does not run (its power state is {seen.power.name}); start it, then it can be adopted.",
            "adoption.not_running",
        )
    if not seen.persistent:
        raise Conflict(
            f"Guest {seen.name} is transient: it would be gone once stopped; define it, then adopt it.",
            "adoption.transient",
        )


def _check_size(flavor: Flavor, seen: Stranger) -> None:
    if flavor.ephemeral_gb or flavor.swap_mb:
        raise Invalid(
            f"Flavor {flavor.name} has an ephemeral disk or swap, and an adopted guest keeps the disks that it has; name a "
            "flavor without.",
            "adoption.local_disks",
        )
    if flavor.vcpus < seen.vcpus or flavor.memory_mb < seen.memory_mb:
        raise Invalid(
            f"Flavor {flavor.name} ({flavor.vcpus} vCPUs, {flavor.memory_mb} MiB) is smaller than what guest {seen.name} has "
            f"({seen.vcpus} vCPUs, {seen.memory_mb} MiB); name one that is at least as large.",
            "adoption.flavor_too_small",
        )


def _write(session: Session, server_id: str, row: dict[str, Any]) -> None:
    """Add the server's row, or take up again that of an adoption which was never completed.

    :raises Conflict: there is such a server, or there was.
    """
    before = session.execute(select(Server.deleted, Server.launched_at).where(Server.id == server_id)).first()
    if before is None:
        session.execute(insert(_SERVERS), row)
        return
    changed: Any = session.execute(
        update(_SERVERS)
        .where(_SERVERS.c.id == server_id, _SERVERS.c.deleted.is_(True), _SERVERS.c.launched_at.is_(None))
        .values({**row, "generation": _SERVERS.c.generation + 1})
    )
    if not changed.rowcount:
        raise (
            _taken(server_id)
            if not before.deleted
            else Conflict(
                f"The guest's UUID {server_id} was that of a server which was deleted; it needs another one to be adopted again.",
                "adoption.was_server",
            )
        )


def _taken(server_id: str) -> Conflict:
    return Conflict(f"There is a server with the guest's UUID, {server_id}, already.", "adoption.is_server")


def _row(wanted: Adoption, seen: Stranger, flavor: Flavor, server_id: str) -> dict[str, Any]:
    name = wanted.name or seen.name[:255]
    moment = now()
    kept: JsonDict = {
        "guest": seen.name,
        "disks": [dict(disk) for disk in seen.disks],
        "nics": [dict(nic) for nic in seen.nics],
    }
    return {
        "id": server_id,
        "project_id": wanted.project_id,
        "user_id": wanted.user_id,
        "name": name,
        "hostname": creation.host_label(name) or f"server-{server_id}",
        "description": None,
        "kind": seen.kind,
        "image_id": None,
        "image_properties": {},
        "flavor": flavors.as_kept(flavor),
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb,
        "ephemeral_gb": 0,
        "swap_mb": 0,
        "local_disks": None,
        "key_name": None,
        "public_key": None,
        "user_data": None,
        "config_drive": False,
        "metadata": dict(wanted.metadata),
        "tags": [],
        "vm_state": VmState.BUILDING.value,
        "task_state": TRANSITIONS[ACTION].during,
        "power_state": int(PowerState.RUNNING),
        "fault": None,
        "generation": 0,
        "host": wanted.host,
        "availability_zone": None,
        "reservation_id": "r-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8)),
        "launch_index": 0,
        "scheduler_hints": {},
        "disk_config": "MANUAL",
        "access_ip_v4": "",
        "access_ip_v6": "",
        "quota_instances": 1,
        "quota_cores": flavor.vcpus,
        "quota_ram": flavor.memory_mb,
        "locked": False,
        "locked_by": None,
        "locked_reason": None,
        "system_metadata": {"adopted": kept},
        "launched_at": None,
        "terminated_at": None,
        "deleted": False,
        "deleted_at": None,
        "created_at": moment,
        "updated_at": moment,
    }

"""Creation of servers: everything is checked first, then one transaction writes servers, ports and operations."""

from __future__ import annotations

import datetime
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.compute import (
    config_drives,
    flavors,
    hosts,
    images,
    interfaces,
    keypairs,
    local_disks,
    personality,
    quotas,
    server_groups,
    server_security_groups,
)
from nova_lite.compute.interfaces import PlannedNic, WantedNic
from nova_lite.compute.transitions import TRANSITIONS, PowerState, VmState
from nova_lite.db import operations
from nova_lite.db.models import Flavor, Port, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound, OverLimit
from nova_lite.network import auto_topology, networks, ports, security_groups

_LONGEST_LABEL = 63
# Made once: to make a statement anew takes longer than to run it.
_INSERT = insert(Server.__table__)  # type: ignore[arg-type]


@dataclass(frozen=True)
class NewServer:
    """What was asked for. Nothing in it decides where the server runs but ``host``, which only admins may name.

    ``nics``: as :func:`nova_lite.compute.interfaces.plan` takes them. ``security_groups``, by name or id, are for the ports that are made for
    it; none: the project's default one. ``user_data`` is base64. ``injected_files``: as :func:`nova_lite.compute.personality.read` gives them. ``local_disks``: as
    :mod:`nova_lite.compute.local_disks` has them; empty: what the flavor gives.
    """

    project_id: str
    user_id: str
    is_admin: bool
    name: str
    flavor_id: str
    image_id: str
    hostname: str | None = None
    description: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    injected_files: Sequence[JsonDict] = ()
    config_drive: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    nics: Sequence[WantedNic] | str | None = None
    security_groups: Sequence[str] = ()
    availability_zone: str | None = None
    host: str | None = None
    min_count: int = 1
    max_count: int = 1
    scheduler_hints: JsonDict = field(default_factory=dict)
    disk_config: str = "MANUAL"
    access_ip_v4: str = ""
    access_ip_v6: str = ""
    local_disks: JsonDict = field(default_factory=dict)


@dataclass(frozen=True)
class Created:
    """What was made: the servers' ids in their order, and the request's reservation."""

    server_ids: tuple[str, ...]
    reservation_id: str


@dataclass(frozen=True)
class _Plan:
    flavor: Flavor
    image: images.BootImage
    public_key: str | None
    nics: tuple[PlannedNic, ...]
    config_drive: bool


def create(store: Store, conf: cfg.ConfigOpts, caller: Caller, new: NewServer) -> Created:
    """Write the servers that *new* asks for, ready to be scheduled: ``max_count``, or as many as the quota allows but ``min_count``.

    :raises Invalid: flavor, image, key, network, zone or host is not to be had, or does not fit.
    :raises Conflict: no network was named and there are several; a port or an address is taken.
    :raises OverLimit: more servers at once than ``[compute] max_count``, or ``min_count`` are more than the project may have.
    """
    max_count = conf.compute.max_count
    if new.max_count > max_count:
        raise OverLimit(
            f"Quota exceeded for instances: Requested {new.max_count}, but at most {max_count} are made by one request",
            "server.max_count",
        )
    if new.nics == interfaces.AUTO:
        _ensure_network(store, conf, new.project_id)
    with store.read() as session:
        plan = _prepare(session, conf, new)
    candidates = [new_id() for _ in range(new.max_count)]
    reservation_id = "r-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))

    def work(session: Session) -> list[str]:
        server_ids = candidates[: _take_quota(session, conf, new, plan.flavor)]
        session.execute(_INSERT, _rows(new, plan, server_ids, reservation_id))
        if _group(new):
            server_groups.add_members(session, conf, new.project_id, _group(new), server_ids)
        _give_ports(session, conf, new, plan, server_ids)
        operations.submit_many(
            session,
            caller,
            action="create",
            target_type="server",
            target_ids=server_ids,
            queue="scheduler",
            arguments={"host": new.host} if new.host else {},
            deadline_s=TRANSITIONS["create"].deadline_s,
        )
        return server_ids

    try:
        server_ids: list[str] = quotas.transact(store, work)
    except IntegrityError as error:
        raise Conflict(
            "A network that the server was to be on has gone meanwhile; please try again.", "server.network_gone"
        ) from error
    return Created(tuple(server_ids), reservation_id)


def _ensure_network(store: Store, conf: cfg.ConfigOpts, project_id: str) -> None:
    """Have a network made for a project that has none, as ``networks: auto`` promises. :raises Invalid: none can be made."""
    with store.read() as session:
        if networks.usable(session, project_id):
            return
    try:
        auto_topology.ensure(store, conf, project_id)
    except Conflict as error:
        raise Invalid(
            f"Unable to automatically allocate a network for project {project_id}: {error.message} "
            "Make a network, or ask for 'none'.",
            "server.no_network",
        ) from error


def _group(new: NewServer) -> str:
    """Return the id of the group that the hints name; clients send it alone or in a list."""
    named = new.scheduler_hints.get("group") or ""
    return str(named[0] if isinstance(named, list) else named)


def _take_quota(session: Session, conf: cfg.ConfigOpts, new: NewServer, flavor: Flavor) -> int:
    """Take what the servers need of the quota; return how many may be made."""
    count = new.max_count
    if new.min_count < count:
        each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.memory_mb}
        room = quotas.room_for_servers(session, conf, new.project_id, new.user_id, each)
        count = max(new.min_count, min(count, room))
    wanted = {"instances": count, "cores": count * flavor.vcpus, "ram": count * flavor.memory_mb}
    quotas.take_for_servers(session, conf, new.project_id, new.user_id, wanted)
    return count


def _prepare(session: Session, conf: cfg.ConfigOpts, new: NewServer) -> _Plan:
    if _group(new):
        server_groups.check_hint(session, _group(new), None if new.is_admin else new.project_id)
    quotas.check_metadata(conf, session, new.project_id, len(new.metadata))
    personality.check(conf, session, new.project_id, new.injected_files)
    scope = None if new.is_admin else new.project_id
    try:
        flavor = flavors.read(session, new.flavor_id, scope)
    except NotFound as error:
        raise Invalid(error.message, error.code) from None
    image = images.choose(session, new.image_id, scope, flavor)
    local_disks.check(conf, flavor, image.kind, image.properties, new.local_disks)
    public_key = None
    if new.key_name is not None:
        try:
            public_key = keypairs.read(session, new.user_id, new.key_name).public_key.strip()
        except NotFound:
            raise Invalid("Invalid key_name provided.", "server.key_not_found") from None
    if new.availability_zone is not None or new.host is not None:
        _check_place(session, new.availability_zone, new.host)
    nics = interfaces.plan(session, new.project_id, new.nics, count=new.max_count, is_admin=new.is_admin)
    drive = config_drives.is_given(session, conf, image.kind, image.properties, nics, asked=new.config_drive)
    return _Plan(flavor, image, public_key, tuple(nics), drive)


def _check_place(session: Session, zone: str | None, host: str | None) -> None:
    zones = hosts.zones(session)
    if zone is not None and zone not in zones:
        raise Invalid("The requested availability zone is not available", "server.zone_not_found")
    named = [name for names in zones.values() for name in names] if zone is None else zones[zone]
    if host is not None and host not in named:
        raise Invalid(f"Compute host {host} could not be found.", "server.host_not_found")


def _rows(new: NewServer, plan: _Plan, server_ids: Sequence[str], reservation_id: str) -> list[dict[str, Any]]:
    flavor = plan.flavor
    moment = now()
    common = {
        "project_id": new.project_id,
        "user_id": new.user_id,
        "description": new.description,
        "kind": plan.image.kind,
        "image_id": plan.image.image_id,
        "image_properties": plan.image.properties,
        "flavor": flavors.as_kept(flavor),
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb,
        "ephemeral_gb": flavor.ephemeral_gb,
        "swap_mb": flavor.swap_mb,
        "local_disks": dict(new.local_disks) if new.local_disks else None,
        "quota_instances": 1,
        "quota_cores": flavor.vcpus,
        "quota_ram": flavor.memory_mb,
        "key_name": new.key_name,
        "public_key": plan.public_key,
        "user_data": new.user_data,
        "injected_files": list(new.injected_files) or None,
        "config_drive": plan.config_drive,
        "metadata": dict(new.metadata),
        "tags": list(dict.fromkeys(new.tags)),
        "vm_state": VmState.BUILDING.value,
        "task_state": TRANSITIONS["create"].during,
        "power_state": int(PowerState.NOSTATE),
        "availability_zone": new.availability_zone,
        "reservation_id": reservation_id,
        "scheduler_hints": new.scheduler_hints,
        "disk_config": new.disk_config,
        "access_ip_v4": new.access_ip_v4,
        "access_ip_v6": new.access_ip_v6,
        "updated_at": moment,
    }
    many = len(server_ids) > 1
    return [
        {
            **common,
            "id": server_id,
            "name": _numbered(new.name, index, 255) if many else new.name,
            "hostname": _hostname(new, server_id, index if many else None),
            "launch_index": index,
            # A microsecond apart, so that they are listed in their order.
            "created_at": moment + datetime.timedelta(microseconds=index),
        }
        for index, server_id in enumerate(server_ids)
    ]


def _numbered(name: str, index: int, longest: int) -> str:
    suffix = f"-{index + 1}"
    return name[: longest - len(suffix)] + suffix


def _hostname(new: NewServer, server_id: str, index: int | None) -> str:
    base = new.hostname or host_label(new.name) or f"server-{server_id}"
    return base if index is None else _numbered(base, index, _LONGEST_LABEL if "." not in base else 255)


def host_label(name: str) -> str:
    """Make a host name out of a server's name: letters, digits and hyphens, at most 63; may be empty."""
    label = re.sub(r"[^a-z0-9-]", "", re.sub(r"[ _.]", "-", name.lower()))
    return label.strip("-")[:_LONGEST_LABEL].strip("-")


def _give_ports(session: Session, conf: cfg.ConfigOpts, new: NewServer, plan: _Plan, server_ids: Sequence[str]) -> None:
    groups = _security_groups(session, new)
    wanted = [
        ports.ServerPort(server_id, new.project_id, nic.network_id, position, nic.fixed_ip, groups)
        for server_id in server_ids
        for position, nic in enumerate(plan.nics)
        if nic.port_id is None
    ]
    try:
        ports.create_for_servers(session, wanted, conf.network.mac_prefix, conf)
    except Conflict as error:
        if error.code == "network.ip_address_in_use":
            # Nova has it so: the request names what it can't have.
            raise Invalid(error.message, error.code) from error
        if error.code == "network.over_quota":
            raise OverLimit("Maximum number of ports exceeded", "quota.exceeded") from error
        raise
    for position, nic in enumerate(plan.nics):
        if nic.port_id is not None:
            scope = None if new.is_admin else new.project_id
            ports.bind_to_server(session, nic.port_id, server_ids[0], scope, position)
        if nic.tag is not None:
            _tag(session, server_ids, position, nic.tag)


def _security_groups(session: Session, new: NewServer) -> tuple[str, ...] | None:
    if set(new.security_groups) <= {security_groups.DEFAULT}:
        return None
    try:
        return tuple(server_security_groups.resolve(session, new.project_id, new.security_groups))
    except NotFound as error:
        raise Invalid(error.message, error.code) from error


def _tag(session: Session, server_ids: Sequence[str], position: int, tag: str) -> None:
    session.execute(
        update(Port)
        .where(Port.device_id.in_(server_ids), Port.position == position)
        .values(nic_tag=tag)
        .execution_options(synchronize_session=False)
    )

"""Servers: read one with what is shown of it, change what its user may change, start an action on it."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql import Select

from nova_lite.compute import lifecycle, server_groups
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import (
    FixedIp,
    FloatingIp,
    Host,
    Network,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    Server,
)
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, now
from nova_lite.errors import Conflict, NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server's row and four columns of its host's; the names are the columns'. Moments are naive UTC."""

    id: str
    project_id: str
    user_id: str
    name: str
    hostname: str
    description: str | None
    kind: str
    image_id: str | None
    image_properties: JsonDict
    flavor: JsonDict
    key_name: str | None
    user_data: str | None
    config_drive: bool
    metadata: JsonDict
    tags: list[str]
    vm_state: str
    task_state: str | None
    power_state: int
    fault: JsonDict | None
    host: str | None
    availability_zone: str | None
    reservation_id: str
    launch_index: int
    disk_config: str
    access_ip_v4: str
    access_ip_v6: str
    locked: bool
    locked_by: str | None
    locked_reason: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime | None
    launched_at: datetime.datetime | None
    terminated_at: datetime.datetime | None
    deleted: bool
    host_zone: str | None
    host_enabled: bool | None
    host_forced_down: bool | None
    host_last_seen: float | None


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface of a server: its port, and the addresses that the port holds."""

    port_id: str
    network_id: str
    network_name: str
    mac_address: str
    status: str
    addresses: tuple[tuple[str, str], ...]
    """(subnet id, address)"""
    tag: str | None = None
    """The device tag."""
    floating: tuple[str, ...] = ()
    """The floating IPs that lead to it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """A server with its interfaces, and the names of the security groups that its ports are in.

    ``groups``: the ids of the server groups that it is in; of servers that are read one by one.
    """

    server: ServerRecord
    nics: tuple[Nic, ...]
    security_groups: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


# Tables rather than entities: a statement over entities takes longer to run, and rows are all that is wanted of it.
_SERVERS: Any = Server.__table__
_HOSTS: Any = Host.__table__
_PORTS: Any = Port.__table__
_NETWORKS: Any = Network.__table__
_FIXED: Any = FixedIp.__table__
_FLOATING: Any = FloatingIp.__table__
_SECURITY: Any = SecurityGroup.__table__
_MEMBERS: Any = PortSecurityGroup.__table__

_HOST = tuple(_HOSTS.c[name] for name in ("availability_zone", "enabled", "forced_down", "last_seen"))
_SERVER = tuple(_SERVERS.c[each.name] for each in fields(ServerRecord)[: -len(_HOST)])


def records() -> Select[Any]:
    """Make the statement that :func:`to_records` reads; the caller adds its conditions."""
    query: Any = select(*_SERVER, *_HOST)
    joined: Select[Any] = query.outerjoin(_HOSTS, _HOSTS.c.name == _SERVERS.c.host)
    return joined


def to_records(session: Session, query: Select[Any]) -> list[ServerRecord]:
    """Run a statement that was made of :func:`records`."""
    return [ServerRecord(*row) for row in session.execute(query)]


def not_found(server_id: str) -> NotFound:
    """Make the error that says that there is no such server."""
    return NotFound(f"Instance {server_id} could not be found.", "server.not_found")


def _one(*, of_project: bool, deleted: bool) -> Select[Any]:
    query = records().where(_SERVERS.c.id == bindparam("server_id"))
    if of_project:
        query = query.where(_SERVERS.c.project_id == bindparam("of_project"))
    return query if deleted else query.where(_SERVERS.c.deleted.is_(False))


# Made once: to make one of these statements anew takes longer than to run it.
_ONE = {key: _one(of_project=key[0], deleted=key[1]) for key in itertools.product((False, True), repeat=2)}


def read(session: Session, server_id: str, project_id: str | None, *, deleted: bool = False) -> ServerRecord:
    """Return a server of *project_id* (None: any), a deleted one only if *deleted*.

    :raises NotFound: there is none.
    """
    values = {"server_id": server_id, "of_project": project_id}
    row = session.execute(_ONE[project_id is not None, deleted], values).first()
    if row is None:
        raise not_found(server_id)
    return ServerRecord(*row)


def get(store: Store, server_id: str, project_id: str | None, *, deleted: bool = False) -> ServerRecord:
    """See :func:`read`."""
    with store.read() as session:
        return read(session, server_id, project_id, deleted=deleted)


def get_detail(store: Store, server_id: str, project_id: str | None) -> Detail:
    """Return a server with its interfaces and groups, in four queries. :raises NotFound: there is none."""
    with store.read() as session:
        record = read(session, server_id, project_id)
        return replace(to_details(session, [record])[0], groups=tuple(server_groups.of_server(session, server_id)))


def to_details(session: Session, found: Sequence[ServerRecord]) -> list[Detail]:
    """Return servers with their interfaces and groups, in two queries whatever their number."""
    identifiers = [record.id for record in found]
    interfaces, groups = nics(session, identifiers), group_names(session, identifiers)
    return [Detail(record, tuple(interfaces.get(record.id, ())), tuple(groups.get(record.id, ()))) for record in found]


_GROUPS = (
    select(_PORTS.c.device_id, _SECURITY.c.name)
    .join(_MEMBERS, _MEMBERS.c.port_id == _PORTS.c.id)
    .join(_SECURITY, _SECURITY.c.id == _MEMBERS.c.group_id)
    .where(_PORTS.c.device_id.in_(bindparam("server_ids", expanding=True)))
    .order_by(_PORTS.c.device_id, _SECURITY.c.name)
)


def group_names(session: Session, server_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the groups that each server's ports are in, each once, in one query."""
    found: dict[str, list[str]] = {}
    if server_ids:
        for server_id, name in session.execute(_GROUPS, {"server_ids": list(server_ids)}):
            names = found.setdefault(server_id, [])
            if name not in names:
                names.append(name)
    return found


_NICS = (
    select(
        _PORTS.c.device_id,
        _PORTS.c.id,
        _PORTS.c.network_id,
        _NETWORKS.c.name,
        _PORTS.c.mac_address,
        _PORTS.c.status,
        _FIXED.c.subnet_id,
        _FIXED.c.address,
        _PORTS.c.nic_tag,
        _FLOATING.c.address,
    )
    .join(_NETWORKS, _NETWORKS.c.id == _PORTS.c.network_id)
    .outerjoin(_FIXED, _FIXED.c.port_id == _PORTS.c.id)
    .outerjoin(_FLOATING, and_(_FLOATING.c.port_id == _PORTS.c.id, _FLOATING.c.fixed_address == _FIXED.c.address))
    .where(_PORTS.c.device_id.in_(bindparam("server_ids", expanding=True)))
    .order_by(_PORTS.c.device_id, _PORTS.c.position, _PORTS.c.created_at, _PORTS.c.id, _FIXED.c.address)
)


def nics(session: Session, server_ids: Sequence[str]) -> dict[str, list[Nic]]:
    """Return the interfaces of servers in their order, in one query."""
    if not server_ids:
        return {}
    rows: dict[str, dict[str, tuple[Any, list[tuple[str, str]], list[str]]]] = {}
    for row in session.execute(_NICS, {"server_ids": list(server_ids)}):
        _, held, floating = rows.setdefault(row[0], {}).setdefault(row[1], (row, [], []))
        if row[7] is not None:
            held.append((row[6], row[7]))
        if row[9] is not None:
            floating.append(row[9])
    return {
        server_id: [
            Nic(row[1], row[2], row[3], row[4], row[5], tuple(held), row[8], tuple(floating))
            for row, held, floating in ports.values()
        ]
        for server_id, ports in rows.items()
    }


def change(store: Store, server_id: str, values: dict[str, Any]) -> None:
    """Change columns that its user owns (name, description, …). :raises NotFound: the server is gone."""

    def work(session: Session) -> None:
        result: Any = session.execute(
            update(Server)
            .where(Server.id == server_id, Server.deleted.is_(False))
            .values(updated_at=now(), **values)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise not_found(server_id)

    store.transact(work)


_EDITABLE = (VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED, VmState.SUSPENDED)
_IDLE = (None, "powering-on")
"""Where metadata may be changed: a guest that waits for its restart is powering on, and what it says there calls that off."""


def edit(
    store: Store,
    server_id: str,
    column: str,
    make: Callable[[Any], Any],
    *,
    verb: str,
    idle: bool = False,
    override_lock: bool = True,
) -> Any:
    """Replace a JSON column (``metadata_``, ``tags``) by what *make* makes of it; return the new value.

    *verb* is what this is called in a refusal; *idle*: only while nothing is done to the server.

    :raises NotFound: the server is gone. *make* may raise whatever fits.
    :raises Conflict: the server's state does not allow it, or it is locked and *override_lock* is false.
    """

    def work(session: Session) -> Any:
        attribute = getattr(Server, column)
        query = (
            select(attribute, Server.locked, Server.vm_state, Server.task_state)
            .where(Server.id == server_id, Server.deleted.is_(False))
            .with_for_update()
        )
        row = session.execute(query).first()
        if row is None:
            raise not_found(server_id)
        if row[1] and not override_lock:
            raise locked(server_id)
        if row[2] not in _EDITABLE:
            states = ", ".join(_EDITABLE)
            raise Conflict(
                f"Cannot '{verb}' instance {server_id} while it is in vm_state {row[2]}; it works in {states}.",
                "server.wrong_state",
            )
        if idle and row[3] not in _IDLE:
            raise Conflict(
                f"Cannot '{verb}' instance {server_id} while it is in task_state {row[3]}; try again when that is done.",
                "server.wrong_state",
            )
        value = make(row[0])
        session.execute(
            update(Server)
            .where(Server.id == server_id)
            .values({attribute: value, Server.updated_at: now()})
            .execution_options(synchronize_session=False)
        )
        return value

    return store.transact(work)


_TO_ACT_ON = select(Server).where(Server.id == bindparam("server_id"), Server.deleted.is_(False)).with_for_update()


def to_act_on(session: Session, server_id: str, *, override_lock: bool) -> Server:
    """Return the row of a server that an action is going to begin on.

    :raises NotFound: the server is gone. :raises Conflict: it is locked.
    """
    server: Server | None = session.scalar(_TO_ACT_ON, {"server_id": server_id})
    if server is None:
        raise not_found(server_id)
    if server.locked and not override_lock:
        raise locked(server_id)
    return server


def act(
    store: Store,
    caller: Caller,
    server_id: str,
    action: str,
    arguments: JsonDict | None = None,
    *,
    override_lock: bool = False,
) -> str | None:
    """Start *action* of the table of transitions; return the host whose agent has the work (None: nobody need do it).

    A delete of a server that is being deleted does nothing more: its operation is there and will end.

    :raises NotFound: the server is gone.
    :raises Conflict: its state does not allow it, or it is locked.
    """

    def work(session: Session) -> str | None:
        server = to_act_on(session, server_id, override_lock=override_lock)
        if action == "delete" and server.task_state == TRANSITIONS["delete"].during:
            return server.host
        operation = lifecycle.begin(session, caller, server, action, arguments)
        return None if operation is None else server.host

    return store.transact(work)


def locked(server_id: str) -> Conflict:
    """Make the error that says that a server is locked."""
    return Conflict(f"Instance {server_id} is locked", "server.locked")

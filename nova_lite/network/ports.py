"""Ports: find, change, give to servers, delete. How they are made is in :mod:`nova_lite.network.port_creation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, Network, Port, PortSecurityGroup, Router, Server
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import networks, port_addresses, port_removal, port_rules, rows, tags, touch
from nova_lite.network.port_addresses import WantedAddress
from nova_lite.network.port_creation import (
    DEVICE_OWNER,
    NewPort,
    ServerPort,
    create_for_server,
    create_for_servers,
    create_in,
)
from nova_lite.network.queries import Listing, apply

__all__ = [
    "DEVICE_OWNER",
    "NewPort",
    "ServerPort",
    "WantedAddress",
    "create_for_server",
    "create_for_servers",
    "create_in",
]


@dataclass(frozen=True)
class Address:
    """An address that a port holds."""

    subnet_id: str
    address: str


@dataclass(frozen=True)
class Shown:
    """A port with its addresses, groups and tags.

    ``hostname``: what its guest is called where it has no DNS name of its own; ``domain``: its network's, if that has one.
    """

    port: Port
    addresses: tuple[Address, ...] = ()
    group_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    hostname: str = ""
    domain: str = ""


def create(
    store: Store, new: NewPort, visible_to: str | None, mac_prefix: str, conf: cfg.ConfigOpts | None = None
) -> Shown:
    """Make one port; see :func:`create_many`."""
    return create_many(store, [new], visible_to, mac_prefix, conf)[0]


def create_many(
    store: Store, news: Sequence[NewPort], visible_to: str | None, mac_prefix: str, conf: cfg.ConfigOpts | None = None
) -> list[Shown]:
    """Make ports on networks that *visible_to* may use (None: any); all or none.

    :raises NotFound: there is no such network or subnet. :raises Invalid: what is asked for can't be.
    :raises Conflict: the MAC or an address is held already, none is free, or the quota is used up.
    """

    def work(session: Session) -> list[Shown]:
        for new in news:
            port_rules.check_device(session, new.device_id)
        usable = None if visible_to is None else networks.shared_with(visible_to)
        identifiers = create_in(session, news, mac_prefix, conf, scope=visible_to, usable=usable)
        found = {row.id: row for row in session.scalars(select(Port).where(Port.id.in_(identifiers)))}
        return _shown(session, [found[identifier] for identifier in identifiers])

    try:
        return store.transact(work)
    except IntegrityError as error:
        # Not MAC or address, whose keys are tried first: what the port refers to.
        raise Conflict(
            "The network, a subnet or a group that the port was to have is being deleted.",
            "network.port_bindings_error",
        ) from error


def bind_to_server(session: Session, port_id: str, server_id: str, project_id: str | None, position: int) -> None:
    """Give a port that its user made to a server; compare-and-swap, so that two servers can't have it.

    :raises Conflict: it belongs to some device already.
    """
    condition = [Port.id == port_id, Port.device_id == ""]
    if project_id is not None:
        condition.append(Port.project_id == project_id)
    result: Any = session.execute(
        update(Port)
        .where(*condition)
        .values(device_id=server_id, device_owner=DEVICE_OWNER, position=position, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if not result.rowcount:
        raise Conflict(f"Port {port_id} is still in use.", "network.port_in_use")


def _owned_by(project_id: str | None) -> list[ColumnElement[bool]]:
    """A port is seen by its project and by the owner of its network."""
    if project_id is None:
        return []
    own = select(Network.id).where(Network.project_id == project_id)
    return [or_(Port.project_id == project_id, Port.network_id.in_(own))]


def get(store: Store, port_id: str, project_id: str | None) -> Shown:
    """Return a port that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Port).where(Port.id == port_id, *_owned_by(project_id)))
        if row is None:
            raise not_found(port_id)
        return _shown(session, [row])[0]


def not_found(port_id: str) -> NotFound:
    """Make the error that says that there is no such port."""
    return NotFound(f"Port {port_id} could not be found.", "network.port_not_found")


@dataclass(frozen=True)
class Held:
    """Filters of ports by what lies beside their rows; an empty one asks for nothing. ``parts``: what an address has in it."""

    addresses: Sequence[str] = ()
    subnet_ids: Sequence[str] = ()
    parts: Sequence[str] = ()
    group_ids: Sequence[str] = ()


def find(store: Store, listing: Listing, held: Held | None = None) -> list[Shown]:
    """List the ports that *listing* asks for and that hold what *held* says, in a few queries whatever their number."""
    with store.read() as session:
        query = select(Port).where(*_owned_by(listing.project_id), *_holding(held or Held()))
        return _shown(session, list(session.scalars(apply(session, query, Port, listing))))


def _holding(held: Held) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if held.addresses or held.subnet_ids or held.parts:
        holding = select(FixedIp.port_id)
        if held.addresses:
            holding = holding.where(FixedIp.address.in_(list(held.addresses)))
        if held.subnet_ids:
            holding = holding.where(FixedIp.subnet_id.in_(list(held.subnet_ids)))
        if held.parts:
            holding = holding.where(or_(*(FixedIp.address.contains(part, autoescape=True) for part in held.parts)))
        conditions.append(Port.id.in_(holding))
    if held.group_ids:
        members = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(list(held.group_ids)))
        conditions.append(Port.id.in_(members))
    return conditions


def _shown(session: Session, found: Sequence[Port], tagged: Mapping[str, tuple[str, ...]] | None = None) -> list[Shown]:
    """Put together what is beside the rows. *tagged*: their tags, where these are known."""
    identifiers = [row.id for row in found]
    addresses = port_addresses.read(session, identifiers)
    groups: dict[str, list[str]] = {}
    if identifiers:
        query = select(PortSecurityGroup.port_id, PortSecurityGroup.group_id)
        query = query.where(PortSecurityGroup.port_id.in_(identifiers)).order_by(PortSecurityGroup.group_id)
        for port_id, group_id in session.execute(query):
            groups.setdefault(port_id, []).append(group_id)
    if tagged is None:
        tagged = tags.of(session, identifiers)
    hostnames, domains = _names(session, found)
    return [
        Shown(
            row,
            tuple(Address(held.subnet_id, held.address) for held in addresses.get(row.id, ())),
            tuple(groups.get(row.id, ())),
            tagged.get(row.id, ()),
            hostnames.get(row.device_id, ""),
            domains.get(row.network_id, ""),
        )
        for row in found
    ]


def _names(session: Session, found: Sequence[Port]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the host names of the servers of ports, and the domains of their networks: what hosts' DNS answers with."""
    networks_of = {row.network_id for row in found}
    domains: dict[str, str] = {}
    if networks_of:
        with_domain = select(Network.id, Network.dns_domain).where(
            Network.id.in_(networks_of), Network.dns_domain != ""
        )
        domains = {row.id: row.dns_domain for row in session.execute(with_domain)}
    guests = {row.device_id for row in found if row.device_id and row.device_owner == DEVICE_OWNER}
    if not guests:
        return {}, domains
    query = select(Server.id, Server.hostname).where(Server.id.in_(guests), Server.deleted.is_(False))
    return {row.id: row.hostname for row in session.execute(query)}, domains


def delete(store: Store, port_id: str, expected: int | None = None) -> list[str]:
    """Delete a port that neither a server nor a router has; return the hosts that are to be woken.

    :raises NotFound: there is no such port.
    :raises Conflict: a server, a router or a floating IP has it, and it goes only with that.
    """

    def work(session: Session) -> list[str]:
        row = session.scalar(select(Port).where(Port.id == port_id).with_for_update())
        if row is None:
            raise not_found(port_id)
        rows.check_revision(session, Port, port_id, expected)
        if is_in_use(session, row):
            raise Conflict(
                f"Port {port_id} cannot be deleted directly via the port API: it has device owner {row.device_owner} "
                f"and belongs to device {row.device_id}.",
                "network.service_port_in_use",
            )
        hosts = touch.touch_ports(session, port_id)
        port_removal.drop(session, [port_id])
        return hosts

    return store.transact(work)


def is_in_use(session: Session, row: Port) -> bool:
    """Tell whether a port belongs to a server, router or floating IP that there is."""
    if row.device_owner == "network:floatingip":
        return True
    if not row.device_id:
        return False
    server = select(Server.id).where(Server.id == row.device_id, Server.deleted.is_(False))
    router = select(Router.id).where(Router.id == row.device_id)
    return session.scalar(server) is not None or session.scalar(router) is not None


def remove(session: Session, port_ids: Sequence[str]) -> None:
    """Delete ports with all that hangs on them, in the caller's transaction; whether that may be is the caller's to know."""
    port_removal.drop(session, port_ids)


def give_back(session: Session, port_ids: Sequence[str]) -> None:
    """Take ports from their server, in the caller's transaction; they stay with their user, bound to nothing."""
    session.execute(
        update(Port)
        .where(Port.id.in_(port_ids))
        .values(device_id="", device_owner="", host=None, status="DOWN", nic_tag=None, updated_at=now())
        .execution_options(synchronize_session=False)
    )

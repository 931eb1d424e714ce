"""Ports: made with MAC and addresses, for a user or for a server that is being created."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, Network, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import networks, port_removal, subnets
from nova_lite.network.addresses import assign, hold, insert_absent, let_go
from nova_lite.network.queries import Listing, apply

DEVICE_OWNER = "compute:nova"
ATTEMPTS = 5

_QUIET: dict[str, Any] = {"synchronize_session": False}
_PORTS: Table = Port.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Address:
    """An address that a port holds."""

    subnet_id: str
    address: str


@dataclass(frozen=True)
class Shown:
    """A port with its addresses."""

    port: Port
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class WantedAddress:
    """An address that a user asks for: of a subnet, or just this one, or both."""

    subnet_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class NewPort:
    """What a port is made of. ``addresses`` None: one of each IP version that the network has."""

    network_id: str
    project_id: str
    name: str = ""
    description: str = ""
    mac_address: str | None = None
    admin_state_up: bool = True
    device_id: str = ""
    device_owner: str = ""
    addresses: tuple[WantedAddress, ...] | None = None
    made_by_compute: bool = False
    position: int = 0


@dataclass(frozen=True)
class ServerPort:
    """A port that a server gets when it is created. ``fixed_ip`` None: any free address."""

    server_id: str
    project_id: str
    network_id: str
    position: int = 0
    fixed_ip: str | None = None


def create(store: Store, new: NewPort, visible_to: str | None, mac_prefix: str) -> Shown:
    """Make a port on a network that *visible_to* may see (None: any).

    :raises NotFound: there is no such network or subnet.
    :raises Conflict: the MAC or an address is held already, or none is free.
    """

    def work(session: Session) -> Shown:
        conditions = networks.visible_to(visible_to)
        if session.scalar(select(Network.id).where(Network.id == new.network_id, *conditions)) is None:
            raise NotFound(f"Network {new.network_id} could not be found.", "network.network_not_found")
        (identifier,) = _insert(session, [new], mac_prefix)
        return _with_addresses(session, [session.get_one(Port, identifier)])[0]

    return store.transact(work)


def create_for_servers(session: Session, wanted: Sequence[ServerPort], mac_prefix: str) -> None:
    """Make the ports of new servers in the caller's transaction; the number of statements does not grow with theirs.

    :raises Conflict: a network has no address left, or the wanted one is held.
    :raises Invalid: a network has no subnet, or the wanted address lies in none of its subnets.
    """
    if not wanted:
        return
    news = [
        NewPort(
            network_id=port.network_id,
            project_id=port.project_id,
            device_id=port.server_id,
            device_owner=DEVICE_OWNER,
            addresses=None if port.fixed_ip is None else (WantedAddress(address=port.fixed_ip),),
            made_by_compute=True,
            position=port.position,
        )
        for port in wanted
    ]
    _insert(session, news, mac_prefix, needs_address=True)


def create_for_server(
    session: Session, server_id: str, project_id: str, network_ids: Sequence[str], mac_prefix: str
) -> None:
    """Make one port on each of *network_ids* for one server; see :func:`create_for_servers`."""
    wanted = [ServerPort(server_id, project_id, network_id, index) for index, network_id in enumerate(network_ids)]
    create_for_servers(session, wanted, mac_prefix)


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


def _insert(session: Session, news: Sequence[NewPort], mac_prefix: str, *, needs_address: bool = False) -> list[str]:
    moment = now()
    rows = {
        identifier: {
            "id": identifier,
            "network_id": new.network_id,
            "project_id": new.project_id,
            "name": new.name,
            "description": new.description,
            "mac_address": new.mac_address or _random_mac(mac_prefix),
            "admin_state_up": new.admin_state_up,
            "status": "DOWN",
            "device_id": new.device_id,
            "device_owner": new.device_owner,
            "made_by_compute": new.made_by_compute,
            "position": new.position,
            "revision": 0,
            "created_at": moment,
            "updated_at": moment,
        }
        for identifier, new in ((new_id(), new) for new in news)
    }
    by_id = dict(zip(rows, news, strict=True))
    _insert_rows(session, rows, by_id, mac_prefix)
    _address(session, by_id, needs_address=needs_address)
    return list(rows)


def _insert_rows(
    session: Session, rows: dict[str, dict[str, Any]], by_id: Mapping[str, NewPort], mac_prefix: str
) -> None:
    missing = list(rows)
    for _ in range(ATTEMPTS):
        insert_absent(session, _PORTS, [rows[identifier] for identifier in missing])
        present = set(session.scalars(select(Port.id).where(Port.id.in_(missing))))
        missing = [identifier for identifier in missing if identifier not in present]
        if not missing:
            return
        for identifier in missing:
            asked = by_id[identifier].mac_address
            if asked:
                raise Conflict(
                    f"Unable to complete operation for network {by_id[identifier].network_id}. "
                    f"The mac address {asked} is in use.",
                    "network.mac_address_in_use",
                )
            rows[identifier]["mac_address"] = _random_mac(mac_prefix)
    raise Conflict("Unable to generate unique mac.", "network.mac_address_generation_failure")


def _random_mac(prefix: str) -> str:
    return prefix + "".join(f":{random.randrange(256):02x}" for _ in range(3))  # noqa: S311 (no secret)


def _address(session: Session, ports: Mapping[str, NewPort], *, needs_address: bool) -> None:
    by_network = subnets.of_networks(session, sorted({new.network_id for new in ports.values()}))
    automatic: dict[str, list[str]] = {}
    for identifier, new in ports.items():
        available = by_network[new.network_id]
        if needs_address and not available:
            raise Invalid(
                f"Network {new.network_id} requires a subnet in order to boot instances on.", "network.requires_subnet"
            )
        if new.addresses is None:
            automatic.setdefault(new.network_id, []).append(identifier)
        else:
            for wanted in new.addresses:
                _give(session, identifier, new.network_id, wanted, available)
    for network_id, identifiers in automatic.items():
        for version in (4, 6):
            candidates = [subnet for subnet in by_network[network_id] if subnet.ip_version == version]
            if candidates:
                _assign_from(session, candidates, identifiers)


def _assign_from(session: Session, candidates: Sequence[Subnet], port_ids: Sequence[str]) -> None:
    """Take the addresses of the first subnet that has enough of them."""
    for index, subnet in enumerate(candidates):
        try:
            assign(session, subnet, port_ids)
        except Conflict:
            if index == len(candidates) - 1:
                raise
            # No savepoint: MariaDB ends a deadlock by rolling everything back, savepoints too.
            let_go(session, subnet, port_ids)
        else:
            return


def _give(session: Session, port_id: str, network_id: str, wanted: WantedAddress, available: Sequence[Subnet]) -> None:
    fitting = [subnet for subnet in available if wanted.subnet_id in (None, subnet.id)]
    if wanted.subnet_id is not None and not fitting:
        raise Invalid(
            f"Invalid input for operation: Failed to create port on network {network_id}, because fixed_ips included "
            f"invalid subnet {wanted.subnet_id}.",
            "network.invalid_input",
        )
    if wanted.address is None:
        _assign_from(session, fitting, [port_id])
        return
    address = ipaddress.ip_address(wanted.address)
    for subnet in fitting:
        if address in ipaddress.ip_network(subnet.cidr):
            hold(session, subnet, wanted.address, port_id)
            return
    raise Invalid(
        f"IP address {wanted.address} is not a valid IP for any of the subnets on the specified network.",
        "network.invalid_ip_for_network",
    )


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
            raise NotFound(f"Port {port_id} could not be found.", "network.port_not_found")
        return _with_addresses(session, [row])[0]


def find(
    store: Store, listing: Listing, *, addresses: Sequence[str] = (), subnet_ids: Sequence[str] = ()
) -> list[Shown]:
    """List the ports that *listing* asks for and that hold one of *addresses* or one of *subnet_ids*, if any are given."""
    with store.read() as session:
        query = select(Port).where(*_owned_by(listing.project_id))
        if addresses or subnet_ids:
            holding = select(FixedIp.port_id)
            if addresses:
                holding = holding.where(FixedIp.address.in_(list(addresses)))
            if subnet_ids:
                holding = holding.where(FixedIp.subnet_id.in_(list(subnet_ids)))
            query = query.where(Port.id.in_(holding))
        return _with_addresses(session, list(session.scalars(apply(session, query, Port, listing))))


def _with_addresses(session: Session, rows: Sequence[Port]) -> list[Shown]:
    found: dict[str, list[Address]] = {}
    if rows:
        held = session.execute(
            select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.address)
            .where(FixedIp.port_id.in_([row.id for row in rows]))
            .order_by(FixedIp.address)
        )
        for port_id, subnet_id, address in held:
            found.setdefault(port_id, []).append(Address(subnet_id, address))
    return [Shown(row, tuple(found.get(row.id, ()))) for row in rows]


def change(store: Store, port_id: str, project_id: str | None, values: dict[str, Any]) -> None:
    """Change name, description or admin state. :raises NotFound: *project_id* may not see such a port."""

    def work(session: Session) -> None:
        result: Any = session.execute(
            update(Port)
            .where(Port.id == port_id, *_owned_by(project_id))
            .values(revision=Port.revision + 1, updated_at=now(), **values)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise NotFound(f"Port {port_id} could not be found.", "network.port_not_found")

    store.transact(work)


def delete(store: Store, port_id: str, project_id: str | None) -> None:
    """Delete a port that no server has.

    :raises NotFound: *project_id* may not see such a port.
    :raises Conflict: a server has it; the host's device goes only with the server.
    """

    def work(session: Session) -> None:
        row = session.scalar(select(Port).where(Port.id == port_id, *_owned_by(project_id)).with_for_update())
        if row is None:
            raise NotFound(f"Port {port_id} could not be found.", "network.port_not_found")
        if row.device_id:
            raise Conflict(
                f"Port {port_id} cannot be deleted directly via the port API: it belongs to device {row.device_id}.",
                "network.service_port_in_use",
            )
        options = {"synchronize_session": False}
        session.execute(sql_delete(FixedIp).where(FixedIp.port_id == port_id).execution_options(**options))
        session.execute(sql_delete(Port).where(Port.id == port_id).execution_options(**options))

    store.transact(work)


def remove(session: Session, port_ids: Sequence[str]) -> None:
    """Delete ports with all that hangs on them, in the caller's transaction; whether that may be is the caller's to know."""
    port_removal.drop(session, port_ids)


def give_back(session: Session, port_ids: Sequence[str]) -> None:
    """Take ports from their server, in the caller's transaction; they stay with their user, bound to nothing."""
    session.execute(
        update(Port)
        .where(Port.id.in_(port_ids))
        .values(device_id="", device_owner="", host=None, status="DOWN", nic_tag=None, updated_at=now())
        .execution_options(**_QUIET)
    )

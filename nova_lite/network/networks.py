"""Networks: make, find, change, delete; and which of them a project's servers may use."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import Network, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, NotFound, Unavailable
from nova_lite.network.addresses import insert_absent
from nova_lite.network.queries import Listing, apply

HIGHEST_SEGMENT = (1 << 24) - 1
"""VXLAN's network identifiers are 24 bits wide."""

ATTEMPTS = 16

_NETWORKS: Table = Network.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class NewNetwork:
    """What a network is made of; ``project_id`` owns it."""

    project_id: str
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    shared: bool = False
    external: bool = False
    mtu: int = 1500


@dataclass(frozen=True)
class Shown:
    """A network with the ids of its subnets."""

    network: Network
    subnet_ids: tuple[str, ...]


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see a network; None: an admin sees all."""
    if project_id is None:
        return []
    return [or_(Network.project_id == project_id, Network.shared.is_(True), Network.external.is_(True))]


def create(store: Store, new: NewNetwork) -> Shown:
    """Make a network with a segment number of its own.

    :raises Unavailable: no number was won, as others took each one that was tried.
    """
    row = store.transact(lambda session: add(session, new))
    return Shown(row, ())


def add(session: Session, new: NewNetwork) -> Network:
    """Add a network in the caller's transaction; see :func:`create`."""
    highest = session.scalar(select(func.max(Network.segmentation_id))) or 0
    segment = highest + 1 if highest < HIGHEST_SEGMENT else _random_segment()
    identifier = new_id()
    values = {
        "id": identifier,
        "project_id": new.project_id,
        "name": new.name,
        "description": new.description,
        "admin_state_up": new.admin_state_up,
        "shared": new.shared,
        "external": new.external,
        "network_type": "vxlan",
        "mtu": new.mtu,
        "revision": 0,
        "created_at": now(),
        "updated_at": now(),
    }
    for _ in range(ATTEMPTS):
        insert_absent(session, _NETWORKS, [{**values, "segmentation_id": segment}])
        row = session.get(Network, identifier)
        if row is not None:
            return row
        segment = _random_segment()
    raise Unavailable("No segment number is to be had now; please try again.", "network.no_segment")


def _random_segment() -> int:
    return random.randint(1, HIGHEST_SEGMENT)  # noqa: S311


def get(store: Store, network_id: str, project_id: str | None) -> Shown:
    """Return a network that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Network).where(Network.id == network_id, *visible_to(project_id)))
        if row is None:
            raise NotFound(f"Network {network_id} could not be found.", "network.network_not_found")
        return _with_subnets(session, [row])[0]


def find(store: Store, listing: Listing) -> list[Shown]:
    """List the networks that *listing* asks for, in two queries whatever their number."""
    with store.read() as session:
        query = select(Network).where(*visible_to(listing.project_id))
        return _with_subnets(session, list(session.scalars(apply(session, query, Network, listing))))


def _with_subnets(session: Session, rows: Sequence[Network]) -> list[Shown]:
    subnets: dict[str, list[str]] = {}
    if rows:
        pairs = session.execute(
            select(Subnet.network_id, Subnet.id)
            .where(Subnet.network_id.in_([row.id for row in rows]))
            .order_by(Subnet.created_at, Subnet.id)
        )
        for network_id, subnet_id in pairs:
            subnets.setdefault(network_id, []).append(subnet_id)
    return [Shown(row, tuple(subnets.get(row.id, ()))) for row in rows]


def change(store: Store, network_id: str, project_id: str | None, values: dict[str, Any]) -> None:
    """Change columns of a network that *project_id* owns (None: any). :raises NotFound: it has none such."""

    def work(session: Session) -> None:
        result: Any = session.execute(
            update(Network)
            .where(Network.id == network_id, *_owned_by(project_id))
            .values(revision=Network.revision + 1, updated_at=now(), **values)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise NotFound(f"Network {network_id} could not be found.", "network.network_not_found")

    store.transact(work)


def delete(store: Store, network_id: str, project_id: str | None) -> None:
    """Delete a network and its subnets.

    :raises NotFound: *project_id* owns none such.
    :raises Conflict: ports are on it.
    """
    in_use = Conflict(
        f"Unable to complete operation on network {network_id}. There are one or more ports still in use on the network.",
        "network.network_in_use",
    )

    def work(session: Session) -> None:
        # The row is locked first, so that no port can come between the look and the delete.
        row = session.scalar(select(Network).where(Network.id == network_id, *_owned_by(project_id)).with_for_update())
        if row is None:
            raise NotFound(f"Network {network_id} could not be found.", "network.network_not_found")
        if session.scalar(select(Port.id).where(Port.network_id == network_id).limit(1)):
            raise in_use
        options = {"synchronize_session": False}
        session.execute(sql_delete(Subnet).where(Subnet.network_id == network_id).execution_options(**options))
        session.execute(sql_delete(Network).where(Network.id == network_id).execution_options(**options))

    try:
        store.transact(work)
    except IntegrityError as error:
        raise in_use from error


def _owned_by(project_id: str | None) -> list[ColumnElement[bool]]:
    return [] if project_id is None else [Network.project_id == project_id]


def usable(session: Session, project_id: str) -> list[Network]:
    """List the networks that a server of *project_id* gets a port on when it names none: its own and shared ones."""
    return list(
        session.scalars(
            select(Network)
            .where(or_(Network.project_id == project_id, Network.shared.is_(True)), Network.external.is_(False))
            .order_by(Network.created_at, Network.id)
        )
    )

"""Routers: make, find, change, delete. Every change holds the router's row, so that what it checks stays as it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, Port, Router
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import quotas, router_gateways, router_legs, router_routes, rows, tags, touch, zones
from nova_lite.network.queries import Listing, apply
from nova_lite.network.router_gateways import WantedGateway

_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class NewRouter:
    """What a router is made of. ``gateway`` None: it has no way out."""

    project_id: str
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    gateway: WantedGateway | None = None
    zone_hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A router with the (subnet id, address) pairs of its gateway port, its tags, and the zones of the hosts that have it."""

    router: Router
    gateway: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What is to change. ``gateway`` is looked at only with ``sets_gateway``: None there takes the gateway away."""

    values: Mapping[str, Any]
    sets_gateway: bool = False
    gateway: WantedGateway | None = None
    routes: Sequence[JsonDict] | None = None


def not_found(router_id: str) -> NotFound:
    """Word that there is no such router."""
    return NotFound(f"Router {router_id} could not be found", "network.router_not_found")


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see a router; None: an admin sees all."""
    return [] if project_id is None else [Router.project_id == project_id]


def hold(session: Session, router_id: str) -> Router:
    """Lock a router's row until the transaction ends and return it. :raises NotFound: it has gone."""
    query = select(Router).where(Router.id == router_id).with_for_update().execution_options(populate_existing=True)
    row = session.scalar(query)
    if row is None:
        raise not_found(router_id)
    return row


def create(store: Store, conf: cfg.ConfigOpts, news: Sequence[NewRouter], visible_networks: str | None) -> list[Shown]:
    """Make routers, all or none. *visible_networks*: whose external networks may be named; None: an admin's, all.

    :raises NotFound: an external network or an availability zone is not there.
    :raises Invalid: a network is none that leads outside, or an address can't be.
    :raises Conflict: a quota is used up, or an address is held.
    """

    def work(session: Session) -> list[Shown]:
        made = []
        for new in news:
            quotas.take(session, conf, new.project_id, "router")
            zones.require(session, new.zone_hints)
            row = Router(
                id=new_id(),
                project_id=new.project_id,
                name=new.name,
                description=new.description,
                admin_state_up=new.admin_state_up,
                zone_hints=list(new.zone_hints),
                created_at=now(),
                updated_at=now(),
            )
            session.add(row)
            session.flush()
            if new.gateway is not None:
                router_gateways.put(session, row, new.gateway, visible_networks)
            made.append(row)
        session.flush()
        return _shown(session, made)

    return store.transact(work)


def get(store: Store, router_id: str, project_id: str | None) -> Shown:
    """Return a router that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Router).where(Router.id == router_id, *visible_to(project_id)))
        if row is None:
            raise not_found(router_id)
        return _shown(session, [row])[0]


def find(store: Store, listing: Listing) -> list[Shown]:
    """List the routers that *listing* asks for, in three queries whatever their number."""
    with store.read() as session:
        query = select(Router).where(*visible_to(listing.project_id))
        return _shown(session, list(session.scalars(apply(session, query, Router, listing))))


def _shown(session: Session, found: Sequence[Router]) -> list[Shown]:
    ports = [row.gateway_port_id for row in found if row.gateway_port_id]
    held: dict[str, list[tuple[str, str]]] = {}
    if ports:
        query = select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id.in_(ports))
        for port_id, subnet_id, address in session.execute(query.order_by(FixedIp.address)):
            held.setdefault(port_id, []).append((subnet_id, address))
    identifiers = [row.id for row in found]
    tagged, places = tags.of(session, identifiers), zones.of_routers(session, identifiers)
    return [
        Shown(row, tuple(held.get(row.gateway_port_id or "", ())), tagged.get(row.id, ()), places.get(row.id, ()))
        for row in found
    ]


def change(
    store: Store, router_id: str, wanted: Change, visible_networks: str | None, expected: int | None = None
) -> list[str]:
    """Change a router; return the hosts touched.

    :raises NotFound: it has gone, or an external network is not there.
    :raises Invalid: a route's next hop is out of reach, or the gateway can't be.
    :raises Conflict: floating IPs need the gateway, or an address is held.
    """

    def work(session: Session) -> list[str]:
        row = hold(session, router_id)
        rows.check_revision(session, Router, router_id, expected)
        hosts: list[str] = []
        values = dict(wanted.values)
        if wanted.sets_gateway:
            # Hosts that had a part of the router before are to hear of it, too.
            hosts = touch.touch_router(session, router_id)
            router_gateways.put(session, row, wanted.gateway, visible_networks)
            session.flush()
        if wanted.routes is not None:
            values["routes"] = router_routes.normal(wanted.routes)
            router_routes.check_against_legs(router_id, values["routes"], router_legs.of(session, router_id))
        rows.revise(session, Router, router_id, values)
        return sorted({*hosts, *touch.touch_router(session, router_id)})

    return _transacted(store, work)


def edit_routes(
    store: Store, router_id: str, routes: Sequence[JsonDict], *, add: bool, expected: int | None = None
) -> list[str]:
    """Add routes to those that a router has, or remove some; return the hosts touched.

    :raises Invalid: a next hop is out of reach.
    """
    asked = router_routes.normal(routes)

    def work(session: Session) -> list[str]:
        row = hold(session, router_id)
        rows.check_revision(session, Router, router_id, expected)
        whole = router_routes.added(row.routes, asked) if add else router_routes.removed(row.routes, asked)
        router_routes.check_against_legs(router_id, whole, router_legs.of(session, router_id))
        rows.revise(session, Router, router_id, {"routes": whole})
        return touch.touch_router(session, router_id)

    return store.transact(work)


def delete(store: Store, router_id: str, expected: int | None = None) -> list[str]:
    """Delete a router that joins no network; its gateway port goes with it. Return the hosts touched.

    :raises NotFound: it has gone.
    :raises Conflict: it still has interfaces.
    """

    def work(session: Session) -> list[str]:
        row = hold(session, router_id)
        rows.check_revision(session, Router, router_id, expected)
        query = select(Port.id).where(Port.device_id == router_id, Port.device_owner == touch.INTERFACE)
        attached = list(session.scalars(query.order_by(Port.id)))
        if attached:
            raise Conflict(
                f"Router {router_id} has ports still attached: {', '.join(attached)}", "network.router_in_use"
            )
        hosts = touch.touch_router(session, router_id)
        router_gateways.put(session, row, None, None)
        tags.forget(session, [router_id])
        session.flush()
        session.execute(sql_delete(Router).where(Router.id == router_id).execution_options(**_QUIET))
        return hosts

    return _transacted(store, work)


def _transacted(store: Store, work: Callable[[Session], list[str]]) -> list[str]:
    try:
        return store.transact(work)
    except IntegrityError as error:
        raise Conflict(
            "What the router is to use, or has, is being changed by somebody else; please look and try again.",
            "network.router_in_use",
        ) from error

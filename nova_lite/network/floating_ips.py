"""Floating IPs: addresses of external networks that lead to ports behind routers."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oslo_config import cfg
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FixedIp, FloatingIp, Network, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import (
    addresses,
    floating_routes,
    networks,
    port_removal,
    qos_policies,
    quotas,
    rows,
    service_ports,
    tags,
    touch,
)
from nova_lite.network.floating_routes import Target, WantedTarget
from nova_lite.network.queries import Listing, apply
from nova_lite.network.subnet_rules import for_owner

OWNER = "network:floatingip"
T = TypeVar("T")


@dataclass(frozen=True)
class NewFloatingIp:
    """What a floating IP is made of. ``subnet_id`` and ``address`` None: any that is free. ``target`` None: it leads nowhere yet."""

    project_id: str
    network_id: str
    subnet_id: str | None = None
    address: str | None = None
    target: WantedTarget | None = None
    description: str = ""
    dns_name: str = ""
    dns_domain: str = ""
    qos_policy_id: str | None = None


@dataclass(frozen=True)
class Shown:
    """A floating IP with the port that it leads to, and its tags."""

    floating: FloatingIp
    port: Port | None = None
    tags: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Return ACTIVE where it leads somewhere, else DOWN."""
        return "ACTIVE" if self.floating.port_id and self.floating.router_id else "DOWN"


def not_found(identifier: str) -> NotFound:
    """Word that there is no such floating IP."""
    return NotFound(f"Floating IP {identifier} could not be found", "network.floating_ip_not_found")


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see a floating IP; None: an admin sees all."""
    return [] if project_id is None else [FloatingIp.project_id == project_id]


def create(
    store: Store, conf: cfg.ConfigOpts, news: Sequence[NewFloatingIp], visible: str | None
) -> tuple[list[Shown], list[str]]:
    """Make floating IPs, all or none; return them and the hosts touched. *visible*: whose networks and ports; None: an admin's, all.

    :raises NotFound: a network, port or policy is not there for *visible*, or no router joins the two.
    :raises Invalid: the network is none that leads outside, or the port can't have one.
    :raises Conflict: a quota is used up, the address is held or none is free, or the port's address has one already.
    """

    def work(session: Session) -> tuple[list[Shown], list[str]]:
        made = [_add(session, conf, new, visible) for new in news]
        hosts = touch.touch_own(session, *[row.port_id for row in made if row.port_id])
        return _shown(session, made), hosts

    return _transacted(store, work)


def _add(session: Session, conf: cfg.ConfigOpts, new: NewFloatingIp, visible: str | None) -> FloatingIp:
    quotas.take(session, conf, new.project_id, "floatingip")
    subnets = _external_subnets(session, new.network_id, visible)
    if new.qos_policy_id is not None:
        qos_policies.require(session, new.qos_policy_id, visible)
    identifier = new_id()
    port_id = service_ports.make(session, new.network_id, OWNER, identifier, status="N/A")
    address = _address(session, port_id, new, subnets)
    row = FloatingIp(
        id=identifier,
        project_id=new.project_id,
        description=new.description,
        floating_network_id=new.network_id,
        floating_port_id=port_id,
        address=address,
        dns_name=new.dns_name,
        dns_domain=new.dns_domain,
        qos_policy_id=new.qos_policy_id,
        created_at=now(),
        updated_at=now(),
    )
    if new.target is not None:
        _lead(session, row, floating_routes.find(session, row, new.target, visible))
    session.add(row)
    session.flush()
    return row


def _external_subnets(session: Session, network_id: str, visible: str | None) -> list[Subnet]:
    query = select(Network.external).where(Network.id == network_id, *networks.visible_to(visible))
    external = session.scalar(query)
    if external is None:
        raise NotFound(f"Network {network_id} could not be found.", "network.network_not_found")
    if not external:
        raise floating_routes.bad(f"Network {network_id} is not a valid external network")
    found = select(Subnet).where(Subnet.network_id == network_id, Subnet.ip_version == 4)
    subnets = list(session.scalars(found.order_by(Subnet.created_at, Subnet.id)))
    if not subnets:
        raise floating_routes.bad(f"Network {network_id} does not contain any IPv4 subnet")
    return subnets


def _address(session: Session, port_id: str, new: NewFloatingIp, subnets: Sequence[Subnet]) -> str:
    fitting = [subnet for subnet in for_owner(subnets, OWNER) if new.subnet_id in (None, subnet.id)]
    if not fitting:
        raise Invalid(
            f"Invalid input for operation: Failed to create port on network {new.network_id}, because fixed_ips "
            f"included invalid subnet {new.subnet_id}.",
            "network.invalid_input",
        )
    if new.address is None:
        service_ports.give_one_of(session, port_id, fitting)
    else:
        wanted = ipaddress.ip_address(new.address)
        for subnet in fitting:
            if wanted in ipaddress.ip_network(subnet.cidr):
                addresses.hold(session, subnet, new.address, port_id)
                break
        else:
            raise Invalid(
                f"IP address {new.address} is not a valid IP for any of the subnets on the specified network.",
                "network.invalid_ip_for_network",
            )
    return session.scalars(select(FixedIp.address).where(FixedIp.port_id == port_id)).one()


def _lead(session: Session, row: FloatingIp, target: Target | None) -> None:
    """Let a floating IP lead to *target*, or nowhere. :raises Conflict: another one leads there."""
    if target is not None:
        query = select(FloatingIp.id).where(
            FloatingIp.port_id == target.port_id,
            FloatingIp.fixed_address == target.address,
            FloatingIp.id != row.id,
        )
        if session.scalar(query) is not None:
            raise Conflict(
                f"Cannot associate floating IP {row.address} ({row.id}) with port {target.port_id} using fixed IP "
                f"{target.address}, as that fixed IP already has a floating IP on external network "
                f"{row.floating_network_id}.",
                "network.floating_ip_port_already_associated",
            )
    row.port_id = None if target is None else target.port_id
    row.fixed_address = None if target is None else target.address
    row.router_id = None if target is None else target.router_id


def get(store: Store, identifier: str, project_id: str | None) -> Shown:
    """Return a floating IP that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(FloatingIp).where(FloatingIp.id == identifier, *visible_to(project_id)))
        if row is None:
            raise not_found(identifier)
        return _shown(session, [row])[0]


def find(store: Store, listing: Listing, *conditions: ColumnElement[bool]) -> list[Shown]:
    """List the floating IPs that *listing* asks for, in three queries whatever their number."""
    with store.read() as session:
        query = select(FloatingIp).where(*visible_to(listing.project_id), *conditions)
        return _shown(session, list(session.scalars(apply(session, query, FloatingIp, listing))))


def leads_somewhere(*, yes: bool) -> ColumnElement[bool]:
    """Give the condition of status ACTIVE, or of DOWN."""
    return FloatingIp.port_id.is_not(None) if yes else FloatingIp.port_id.is_(None)


def _shown(session: Session, found: Sequence[FloatingIp]) -> list[Shown]:
    targets = {row.port_id for row in found if row.port_id}
    ports = {port.id: port for port in session.scalars(select(Port).where(Port.id.in_(targets)))} if targets else {}
    tagged = tags.of(session, [row.id for row in found])
    return [Shown(row, ports.get(row.port_id or ""), tagged.get(row.id, ())) for row in found]


def change(
    store: Store,
    identifier: str,
    values: Mapping[str, Any],
    visible: str | None,
    *,
    sets_target: bool = False,
    target: WantedTarget | None = None,
    expected: int | None = None,
) -> list[str]:
    """Change columns of a floating IP and, with *sets_target*, where it leads (None: nowhere); return the hosts touched.

    :raises NotFound: it, the port or the policy is not there, or no router joins the two.
    :raises Invalid: the port can't have it.
    :raises Conflict: the port's address has one already.
    """

    def work(session: Session) -> list[str]:
        row = _held(session, identifier)
        rows.check_revision(session, FloatingIp, identifier, expected)
        if values.get("qos_policy_id") is not None:
            qos_policies.require(session, values["qos_policy_id"], visible)
        concerned = [row.port_id]
        if sets_target:
            _lead(session, row, None if target is None else floating_routes.find(session, row, target, visible))
            concerned.append(row.port_id)
            session.flush()
        rows.revise(session, FloatingIp, identifier, values)
        return touch.touch_own(session, *[port_id for port_id in concerned if port_id])

    return _transacted(store, work)


def _held(session: Session, identifier: str) -> FloatingIp:
    query = select(FloatingIp).where(FloatingIp.id == identifier).with_for_update()
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise not_found(identifier)
    return row


def delete(store: Store, identifier: str, expected: int | None = None) -> list[str]:
    """Give a floating IP back; return the hosts touched. :raises NotFound: it has gone."""

    def work(session: Session) -> list[str]:
        row = _held(session, identifier)
        rows.check_revision(session, FloatingIp, identifier, expected)
        hosts = touch.touch_own(session, row.port_id) if row.port_id else []
        tags.forget(session, [identifier])
        gone = sql_delete(FloatingIp).where(FloatingIp.id == identifier)
        session.execute(gone.execution_options(synchronize_session=False))
        port_removal.drop(session, [row.floating_port_id])
        return hosts

    return store.transact(work)


def _transacted(store: Store, work: Callable[[Session], T]) -> T:
    try:
        return store.transact(work)
    except IntegrityError as error:
        # The key of (port, address) decided between two that came at once; or a port went meanwhile.
        raise Conflict(
            "Cannot associate the floating IP: the port's fixed IP has just got another one, or the port is being deleted.",
            "network.floating_ip_port_already_associated",
        ) from error

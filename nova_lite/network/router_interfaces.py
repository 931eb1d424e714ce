"""A router's interfaces: joining a network to it by a subnet or by a port, and letting it go again."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, FloatingIp, Network, Port, RbacPolicy, Router, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import (
    networks,
    port_removal,
    rbac,
    router_legs,
    router_routes,
    routers,
    rows,
    service_ports,
    touch,
)
from nova_lite.network.router_legs import bad
from nova_lite.network.touch import INTERFACE

_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class Interface:
    """What was joined or let go: the port, its network, and the subnets that it was about."""

    port_id: str
    network_id: str
    subnet_ids: tuple[str, ...]


Work = Callable[[Session, Router], Interface]


def _changed(store: Store, router_id: str, work: Work, expected: int | None) -> tuple[Interface, list[str]]:
    def whole(session: Session) -> tuple[Interface, list[str]]:
        row = routers.hold(session, router_id)
        rows.check_revision(session, Router, router_id, expected)
        before = touch.touch_router(session, router_id)
        done = work(session, row)
        rows.revise(session, Router, router_id, {})
        session.flush()
        return done, sorted({*before, *touch.touch_network(session, done.network_id)})

    try:
        return store.transact(whole)
    except IntegrityError as error:
        raise Conflict(
            "The subnet or port is being changed by somebody else; please look and try again.",
            "network.router_interface_attachment_conflict",
        ) from error


def add_subnet(
    store: Store, router_id: str, subnet_id: str, project_id: str | None, expected: int | None = None
) -> tuple[Interface, list[str]]:
    """Join a subnet by its gateway's address; return the interface and the hosts touched. *project_id* None: an admin.

    :raises NotFound: there is no such subnet for *project_id*.
    :raises Invalid: it has no gateway, overlaps what the router has, or is not the project's to join.
    :raises Conflict: another port holds the gateway's address.
    """

    def work(session: Session, router: Router) -> Interface:
        subnet = _subnet(session, subnet_id, project_id)
        if subnet.gateway_ip is None:
            raise bad("Subnet for router interface must have a gateway IP")
        _check_lent(session, subnet, project_id)
        _check_announced(subnet)
        legs = router_legs.of(session, router_id)
        router_legs.check_new_subnets(session, legs, [subnet])
        port_id = _ipv6_leg(legs, subnet)
        if port_id is None:
            port_id = service_ports.make(session, subnet.network_id, INTERFACE, router_id, project_id=router.project_id)
        service_ports.hold(session, port_id, subnet, subnet.gateway_ip)
        return Interface(port_id, subnet.network_id, (subnet.id,))

    return _changed(store, router_id, work, expected)


def _subnet(session: Session, subnet_id: str, project_id: str | None) -> Subnet:
    query = select(Subnet).where(Subnet.id == subnet_id)
    if project_id is not None:
        query = query.where(Subnet.network_id.in_(select(Network.id).where(*networks.visible_to(project_id))))
    found = session.scalar(query)
    if found is None:
        raise NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")
    return found


def _check_lent(session: Session, subnet: Subnet, project_id: str | None) -> None:
    """A network that everybody shares may not be joined by anybody; one that was lent to the project by name may."""
    if project_id is None or subnet.project_id == project_id:
        return
    lent = rbac.lent("network", project_id, rbac.SHARED).where(RbacPolicy.target_project == project_id)
    if subnet.network_id not in set(session.scalars(lent)):
        raise bad(
            f"Cannot add interface to router because subnet {subnet.id} is not owned by project making the request"
        )


def _check_announced(subnet: Subnet) -> None:
    if subnet.ip_version == 6 and subnet.ipv6_address_mode is not None and subnet.ipv6_ra_mode is None:
        raise bad(
            f"IPv6 subnet {subnet.id} configured to receive RAs from an external router cannot be added to Neutron Router"
        )


def _ipv6_leg(legs: Sequence[router_legs.Leg], subnet: Subnet) -> str | None:
    """Return the port by which the router joins the subnet's network with other IPv6 prefixes already."""
    if subnet.ip_version == 4:
        return None
    for leg in legs:
        if leg.owner == INTERFACE and leg.network_id == subnet.network_id and leg.version == 6:
            return leg.port_id
    return None


def add_port(
    store: Store, router_id: str, port_id: str, project_id: str | None, expected: int | None = None
) -> tuple[Interface, list[str]]:
    """Join a network by a port that a user made; return the interface and the hosts touched. *project_id* None: an admin.

    :raises NotFound: there is no such port for *project_id*.
    :raises Invalid: the port has no address, several IPv4 ones, or one that the router can't have.
    :raises Conflict: some device has the port.
    """

    def work(session: Session, router: Router) -> Interface:
        port = _port(session, port_id, project_id)
        if port.device_id:
            raise Conflict(
                f"Unable to complete operation on port {port_id} for network {port.network_id}. Port already has an "
                f"attached device {port.device_id}.",
                "network.port_in_use",
            )
        held = _held(session, port_id)
        _check_addresses(held, port, project_id)
        legs = router_legs.of(session, router_id)
        if any(subnet.ip_version == 6 for subnet, _ in held):
            for leg in legs:
                if leg.owner == INTERFACE and leg.version == 6 and leg.network_id == port.network_id:
                    raise bad(
                        f"Router already contains IPv6 port {leg.port_id} belonging to network id {port.network_id}. "
                        "Only one IPv6 port from the same network subnet can be connected to a router."
                    )
        router_legs.check_new_subnets(session, legs, [subnet for subnet, _ in held])
        _bind(session, port, router_id)
        return Interface(port_id, port.network_id, tuple(subnet.id for subnet, _ in held))

    return _changed(store, router_id, work, expected)


def _port(session: Session, port_id: str, project_id: str | None) -> Port:
    query = select(Port).where(Port.id == port_id)
    if project_id is not None:
        own = select(Network.id).where(Network.project_id == project_id)
        query = query.where((Port.project_id == project_id) | Port.network_id.in_(own))
    found = session.scalar(query.with_for_update())
    if found is None:
        raise NotFound(f"Port {port_id} could not be found.", "network.port_not_found")
    return found


def _held(session: Session, port_id: str) -> list[tuple[Subnet, str]]:
    query = select(Subnet, FixedIp.address).join(FixedIp, FixedIp.subnet_id == Subnet.id)
    found = session.execute(query.where(FixedIp.port_id == port_id).order_by(FixedIp.address))
    return [(subnet, address) for subnet, address in found]


def _check_addresses(held: Sequence[tuple[Subnet, str]], port: Port, project_id: str | None) -> None:
    if not held:
        raise bad("Router port must have at least one fixed IP")
    if sum(subnet.ip_version == 4 for subnet, _ in held) > 1:
        raise bad("Cannot have multiple IPv4 subnets on router port")
    for subnet, address in held:
        _check_announced(subnet)
        number = int(ipaddress.ip_address(address))
        inside = any(
            int(ipaddress.ip_address(pool["start"])) <= number <= int(ipaddress.ip_address(pool["end"]))
            for pool in subnet.pools
        )
        if project_id is not None and subnet.project_id != project_id and not inside:
            raise bad(
                f"Cannot add interface to router because specified port {port.id} has an IP address out of the "
                f"allocation pool of subnet {subnet.id}, which is not owned by the project making the request"
            )


def _bind(session: Session, port: Port, router_id: str) -> None:
    values = {"device_id": router_id, "device_owner": INTERFACE, "status": "ACTIVE", "updated_at": now()}
    session.execute(
        update(Port).where(Port.id == port.id).values(revision=Port.revision + 1, **values).execution_options(**_QUIET)
    )


def remove(
    store: Store, router_id: str, port_id: str | None, subnet_id: str | None, expected: int | None = None
) -> tuple[Interface, list[str]]:
    """Let an interface go, named by its port, a subnet, or both; return it and the hosts touched.

    :raises NotFound: the router has none such.
    :raises Conflict: a floating IP or a route needs it.
    """

    def work(session: Session, router: Router) -> Interface:
        legs = router_legs.of(session, router_id, INTERFACE)
        if port_id is not None:
            return _remove_port(session, router, [leg for leg in legs if leg.port_id == port_id], port_id, subnet_id)
        assert subnet_id is not None
        return _remove_subnet(session, router, legs, subnet_id)

    return _changed(store, router_id, work, expected)


def _remove_port(
    session: Session, router: Router, legs: Sequence[router_legs.Leg], port_id: str, subnet_id: str | None
) -> Interface:
    if not legs:
        raise NotFound(
            f"Router {router.id} does not have an interface with id {port_id}", "network.router_interface_not_found"
        )
    subnet_ids = tuple(leg.subnet_id for leg in legs)
    if subnet_id is not None and subnet_id not in subnet_ids:
        raise Invalid(
            f"Subnet on port {port_id} does not match the requested subnet {subnet_id}.",
            "network.subnet_mismatch_for_port",
        )
    for leg in legs:
        _require_unused(session, router, leg)
    port_removal.drop(session, [port_id])
    return Interface(port_id, legs[0].network_id, subnet_ids)


def _remove_subnet(session: Session, router: Router, legs: Sequence[router_legs.Leg], subnet_id: str) -> Interface:
    chosen = next((leg for leg in legs if leg.subnet_id == subnet_id), None)
    if chosen is None:
        if session.scalar(select(Subnet.id).where(Subnet.id == subnet_id)) is None:
            raise NotFound(f"Subnet {subnet_id} could not be found.", "network.subnet_not_found")
        raise NotFound(
            f"Router {router.id} has no interface on subnet {subnet_id}",
            "network.router_interface_not_found_for_subnet",
        )
    _require_unused(session, router, chosen)
    if sum(leg.port_id == chosen.port_id for leg in legs) > 1:
        # Other prefixes stay on the leg.
        service_ports.let_subnet_go(session, chosen.port_id, subnet_id)
    else:
        port_removal.drop(session, [chosen.port_id])
    return Interface(chosen.port_id, chosen.network_id, (subnet_id,))


def _require_unused(session: Session, router: Router, leg: router_legs.Leg) -> None:
    """Refuse to let a leg go that floating IPs or routes need. :raises Conflict: some do."""
    query = (
        select(FloatingIp.id)
        .join(FixedIp, (FixedIp.port_id == FloatingIp.port_id) & (FixedIp.address == FloatingIp.fixed_address))
        .where(FloatingIp.router_id == router.id, FixedIp.subnet_id == leg.subnet_id)
    )
    if session.scalar(query.limit(1)) is not None:
        raise Conflict(
            f"Router interface for subnet {leg.subnet_id} on router {router.id} cannot be deleted, as it is required by "
            "one or more floating IPs.",
            "network.router_interface_in_use_by_floating_ip",
        )
    router_routes.require_unused(router.id, leg.subnet_id, leg.cidr, router.routes)

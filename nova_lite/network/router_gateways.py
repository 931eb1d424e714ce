"""A router's way out: its port in an external network."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, FloatingIp, Network, Router, Subnet
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import networks, port_removal, router_hosts, router_legs, router_routes, service_ports
from nova_lite.network.addresses import hold
from nova_lite.network.router_legs import GATEWAY, bad
from nova_lite.network.subnet_rules import for_owner
from nova_lite.network.touch import INTERFACE


@dataclass(frozen=True)
class WantedAddress:
    """An address of the gateway port: of a subnet, or just this one, or both."""

    subnet_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class WantedGateway:
    """The gateway that is asked for. ``addresses`` empty: as they are, or chosen. ``enable_snat`` None: true."""

    network_id: str
    enable_snat: bool | None = None
    addresses: tuple[WantedAddress, ...] = ()


def put(session: Session, router: Router, wanted: WantedGateway | None, visible_networks: str | None) -> None:
    """Give a router, whose row the caller holds, this gateway and no other; None: none.

    :raises NotFound: there is no such network for *visible_networks* (None: an admin).
    :raises Invalid: it is none that leads outside, an address can't be, or it overlaps what the router joins.
    :raises Conflict: floating IPs need the present gateway, or an address is held.
    """
    subnets: Sequence[Subnet] = ()
    if wanted is not None:
        subnets = _external(session, wanted, visible_networks)
        _check_routes(session, router, subnets)
    if router.gateway_port_id is not None and (wanted is None or wanted.network_id != router.external_network_id):
        _clear(session, router)
    if wanted is None:
        router.enable_snat = True
        return
    router.enable_snat = wanted.enable_snat is not False
    if router.gateway_port_id is None:
        router_legs.check_new_subnets(session, router_legs.of(session, router.id, INTERFACE), subnets)
        router.gateway_port_id = service_ports.make(session, wanted.network_id, GATEWAY, router.id)
        router.external_network_id = wanted.network_id
        _address(session, router.gateway_port_id, wanted.addresses, subnets)
    elif wanted.addresses and not _are(session, router.gateway_port_id, wanted.addresses):
        gone = sql_delete(FixedIp).where(FixedIp.port_id == router.gateway_port_id)
        session.execute(gone.execution_options(synchronize_session=False))
        _address(session, router.gateway_port_id, wanted.addresses, subnets)


def _external(session: Session, wanted: WantedGateway, visible_networks: str | None) -> list[Subnet]:
    network_id = wanted.network_id
    query = select(Network.external).where(Network.id == network_id, *networks.visible_to(visible_networks))
    external = session.scalar(query)
    if external is None:
        raise NotFound(f"Network {network_id} could not be found.", "network.network_not_found")
    if not external:
        raise bad(f"Network {network_id} is not an external network")
    found = select(Subnet).where(Subnet.network_id == network_id).order_by(Subnet.created_at, Subnet.id)
    subnets = list(session.scalars(found))
    gateways = {subnet.gateway_ip for subnet in subnets}
    for asked in wanted.addresses:
        if asked.address is not None and str(ipaddress.ip_address(asked.address)) in gateways:
            raise bad(f"External IP {asked.address} is the same as the gateway IP")
    return subnets


def _check_routes(session: Session, router: Router, subnets: Sequence[Subnet]) -> None:
    """The routes that the router has must be reachable with the new gateway, too."""
    if not router.routes:
        return
    legs = router_legs.of(session, router.id, INTERFACE)
    cidrs = [leg.cidr for leg in legs] + [subnet.cidr for subnet in subnets]
    router_routes.check(router.id, router.routes, cidrs, [leg.address for leg in legs])


def _clear(session: Session, router: Router) -> None:
    if session.scalar(select(FloatingIp.id).where(FloatingIp.router_id == router.id).limit(1)) is not None:
        raise Conflict(
            f"Gateway cannot be updated for router {router.id}, since a gateway to external network "
            f"{router.external_network_id} is required by one or more floating IPs.",
            "network.router_external_gateway_in_use_by_floating_ip",
        )
    router_hosts.release_all(session, router.id)
    port_id = router.gateway_port_id
    router.gateway_port_id = router.external_network_id = None
    session.flush()
    if port_id is not None:
        port_removal.drop(session, [port_id])


def _are(session: Session, port_id: str, wanted: Sequence[WantedAddress]) -> bool:
    """Tell whether the port's addresses are those asked for already."""
    held = list(session.execute(select(FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id == port_id)))
    if len(held) != len(wanted):
        return False
    return all(
        any(
            asked.subnet_id in (None, row.subnet_id)
            and (asked.address is None or str(ipaddress.ip_address(asked.address)) == row.address)
            for row in held
        )
        for asked in wanted
    )


def _address(session: Session, port_id: str, wanted: Sequence[WantedAddress], subnets: Sequence[Subnet]) -> None:
    fitting = for_owner(subnets, GATEWAY)
    if not wanted:
        for version in (4, 6):
            service_ports.give_one_of(session, port_id, [each for each in fitting if each.ip_version == version])
        return
    for asked in wanted:
        _give(session, port_id, asked, fitting)


def _give(session: Session, port_id: str, asked: WantedAddress, subnets: Sequence[Subnet]) -> None:
    fitting = [subnet for subnet in subnets if asked.subnet_id in (None, subnet.id)]
    if asked.address is None:
        if not fitting:
            raise Invalid(
                f"Invalid input for operation: Invalid external subnet {asked.subnet_id}.", "network.invalid_input"
            )
        service_ports.give_one_of(session, port_id, fitting)
        return
    address = ipaddress.ip_address(asked.address)
    for subnet in fitting:
        if address in ipaddress.ip_network(subnet.cidr):
            hold(session, subnet, asked.address, port_id)
            return
    if asked.subnet_id is not None and fitting:
        raise Invalid(
            f"IP address {asked.address} is not a valid IP for the specified subnet.", "network.invalid_ip_for_subnet"
        )
    raise Invalid(
        f"IP address {asked.address} is not a valid IP for any of the subnets on the specified network.",
        "network.invalid_ip_for_network",
    )

"""Which router leads from a floating IP to a port, and whether the port may have one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, FloatingIp, Network, Port, Router, Subnet
from nova_lite.errors import Invalid, NotFound
from nova_lite.network.touch import INTERFACE


@dataclass(frozen=True)
class WantedTarget:
    """Where a floating IP is to lead: an address of a port (None: its only IPv4 one)."""

    port_id: str
    fixed_address: str | None = None


@dataclass(frozen=True)
class Target:
    """Where a floating IP leads."""

    port_id: str
    address: str
    router_id: str


def bad(reason: str) -> Invalid:
    """Word a request about a floating IP that can't be meant."""
    return Invalid(f"Bad floatingip request: {reason}.", "network.bad_request")


def find(session: Session, floating: FloatingIp, wanted: WantedTarget, visible: str | None) -> Target:
    """Return the target that is meant. The router's row is held until the transaction ends, so that it can't lose the leg.

    :param visible: whose ports may be named; None: an admin.
    :raises NotFound: there is no such port, or no router joins its subnet and the external network.
    :raises Invalid: the port can't have a floating IP, or does not have the address.
    """
    port = _port(session, wanted.port_id, visible)
    if port.project_id != floating.project_id and visible is not None:
        raise bad(
            f"Cannot process floating IP association with Port {port.id}, since that port is owned by a different project"
        )
    if port.device_owner.startswith("network:"):
        raise bad(f"Port {port.id} is unable to be assigned a floating IP")
    subnet_id, address = _fixed(session, port, wanted.fixed_address)
    return Target(port.id, address, _router(session, port, subnet_id, floating.floating_network_id))


def _port(session: Session, port_id: str, visible: str | None) -> Port:
    query = select(Port).where(Port.id == port_id)
    if visible is not None:
        own = select(Network.id).where(Network.project_id == visible)
        query = query.where((Port.project_id == visible) | Port.network_id.in_(own))
    found = session.scalar(query)
    if found is None:
        raise NotFound(f"Port {port_id} could not be found.", "network.port_not_found")
    return found


def _fixed(session: Session, port: Port, wanted: str | None) -> tuple[str, str]:
    """Return the subnet and the address that is meant."""
    query = select(FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id == port.id).order_by(FixedIp.address)
    held = [(subnet_id, address) for subnet_id, address in session.execute(query)]
    if wanted is not None:
        text = str(ipaddress.ip_address(wanted))
        if ":" in text:
            raise bad(f"Cannot process floating IP association with {wanted}, since that is not an IPv4 address")
        for subnet_id, address in held:
            if address == text:
                return subnet_id, address
        raise bad(f"Port {port.id} does not have fixed ip {wanted}")
    fitting = [(subnet_id, address) for subnet_id, address in held if ":" not in address]
    if not fitting:
        raise bad(f"Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses")
    if len(fitting) > 1:
        raise bad(
            f"Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a "
            "floating IP"
        )
    return fitting[0]


def _router(session: Session, port: Port, subnet_id: str, network_id: str) -> str:
    """Find a router with a leg in the subnet and a gateway to the network; that which is the subnet's gateway rather than others."""
    while True:
        found = _candidate(session, subnet_id, network_id)
        if found is None:
            raise NotFound(
                f"External network {network_id} is not reachable from subnet {subnet_id}.  Therefore, cannot associate "
                f"Port {port.id} with a Floating IP.",
                "network.external_gateway_for_floating_ip_not_found",
            )
        session.execute(select(Router.id).where(Router.id == found).with_for_update())
        # Looked at again under the lock: its leg or gateway may have gone before it was held.
        if _candidate(session, subnet_id, network_id) == found:
            return found


def _candidate(session: Session, subnet_id: str, network_id: str) -> str | None:
    query = (
        select(Router.id, FixedIp.address, Subnet.gateway_ip)
        .join(Port, Port.device_id == Router.id)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(
            Port.device_owner == INTERFACE,
            FixedIp.subnet_id == subnet_id,
            Router.external_network_id == network_id,
        )
        .order_by(Router.id)
    )
    found = session.execute(query).all()
    for row in found:
        if row.address == row.gateway_ip:
            return str(row.id)
    return str(found[0].id) if found else None

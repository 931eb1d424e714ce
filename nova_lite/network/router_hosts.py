"""The way out of a router's part on one host: an address of that host's own on the external network.

The first host that needs one takes the router's gateway port, whose address the API shows; each further host gets a port of its own.
"""

from __future__ import annotations

import uuid

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from nova_lite.db.models import Network, Port, Router, RouterHost
from nova_lite.db.types import now
from nova_lite.network import ports, service_ports
from nova_lite.network.addresses import assign
from nova_lite.network.subnet_rules import for_owner

OWNER = "network:floatingip_agent_gateway"

_QUIET = {"synchronize_session": False}


def ensure(session: Session, router_id: str, host: str) -> str | None:
    """Have a port for *host*'s part of the router; None: the router has no way out, or is gone.

    :raises Conflict: the external network has no address left.
    """
    router = session.scalar(select(Router).where(Router.id == router_id).with_for_update())
    if router is None or router.external_network_id is None:
        return None
    held = _held(session, router_id, host)
    if held is not None:
        if held.network_id == router.external_network_id:
            return str(held.id)
        release(session, router_id, host)
    port_id = _gateway_port(session, router) or _own_port(session, router, host)
    session.add(RouterHost(router_id=router_id, host=host, port_id=port_id))
    session.execute(
        update(Port)
        .where(Port.id == port_id)
        .values(host=host, status="ACTIVE", updated_at=now())
        .execution_options(**_QUIET)
    )
    session.flush()
    return port_id


def release(session: Session, router_id: str, host: str) -> None:
    """Give the way out of *host*'s part of the router back; none there is success."""
    held = _held(session, router_id, host)
    if held is None:
        return
    session.execute(
        delete(RouterHost).where(RouterHost.router_id == router_id, RouterHost.host == host).execution_options(**_QUIET)
    )
    if held.device_owner == OWNER:
        ports.remove(session, [held.id])
        return
    session.execute(
        update(Port)
        .where(Port.id == held.id)
        .values(host=None, status="DOWN", updated_at=now())
        .execution_options(**_QUIET)
    )


def _held(session: Session, router_id: str, host: str) -> Port | None:
    return session.scalar(
        select(Port)
        .join(RouterHost, RouterHost.port_id == Port.id)
        .where(RouterHost.router_id == router_id, RouterHost.host == host)
    )


def _gateway_port(session: Session, router: Router) -> str | None:
    """Return the router's own gateway port, unless another host has it."""
    taken = exists().where(RouterHost.port_id == Port.id)
    query = select(Port.id).where(
        Port.id == router.gateway_port_id, Port.network_id == router.external_network_id, ~taken
    )
    return session.scalar(query)


def _own_port(session: Session, router: Router, host: str) -> str:
    network = session.get_one(Network, router.external_network_id)
    port_id = str(uuid.uuid5(uuid.UUID(router.id), f"{OWNER}/{network.id}/{host}"))
    service_ports.ensure(session, port_id, network, OWNER, router.id, f"{router.name} on {host}"[:255])
    has = service_ports.held(session, port_id)
    every = service_ports.subnets_of(session, network.id)
    for version in (4, 6):
        subnets = [row for row in for_owner(every, OWNER) if row.ip_version == version]
        if subnets and not any(row.id in has for row in subnets):
            assign(session, subnets[0], [port_id])
    return port_id


def release_all(session: Session, router_id: str) -> None:
    """Give every host's way out of the router back, as it loses its gateway; the caller has locked the router's row."""
    own = select(Port.id).join(RouterHost, RouterHost.port_id == Port.id)
    extra = list(session.scalars(own.where(RouterHost.router_id == router_id, Port.device_owner == OWNER)))
    session.execute(delete(RouterHost).where(RouterHost.router_id == router_id).execution_options(**_QUIET))
    ports.remove(session, extra)

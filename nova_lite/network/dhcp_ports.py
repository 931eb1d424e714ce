"""The port that a network's DHCP, DNS and metadata answer from: one a network, the same on every host that has guests of it."""

from __future__ import annotations

import uuid

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Network
from nova_lite.network import service_ports
from nova_lite.network.addresses import assign

OWNER = "network:dhcp"


def dhcp_port_id(network_id: str) -> str:
    """Return the id that the DHCP port of a network has."""
    return str(uuid.uuid5(uuid.UUID(network_id), OWNER))


def ensure_dhcp_port(session: Session, network_id: str) -> str | None:
    """Have the network's DHCP port with an address on each subnet that has DHCP, and on no other; None: no subnet has.

    :raises Conflict: a subnet has no address left.
    """
    network = session.scalar(select(Network).where(Network.id == network_id).with_for_update())
    if network is None:
        return None
    port_id = dhcp_port_id(network_id)
    served = {subnet.id: subnet for subnet in service_ports.subnets_of(session, network_id) if subnet.enable_dhcp}
    has = service_ports.held(session, port_id)
    stale = sorted(set(has) - set(served))
    if stale:
        session.execute(
            delete(FixedIp)
            .where(FixedIp.port_id == port_id, FixedIp.subnet_id.in_(stale))
            .execution_options(synchronize_session=False)
        )
    if not served:
        return None
    service_ports.ensure(session, port_id, network, OWNER, f"dhcp-{network_id}", "")
    for subnet_id in sorted(set(served) - set(has)):
        assign(session, served[subnet_id], [port_id])
    return port_id

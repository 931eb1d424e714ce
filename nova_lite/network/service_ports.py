"""Ports that are ours rather than a user's: what a network's DHCP answers from, what a router leaves a host by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Network, Port, Subnet
from nova_lite.db.types import now
from nova_lite.errors import Conflict
from nova_lite.network.addresses import insert_absent

PREFIX = "fa:16:3f"
"""How their MACs begin: of no range that users' ports come from, so that one can be derived from the port's id."""

ATTEMPTS = 16

_PORTS: Table = Port.__table__  # type: ignore[assignment]


def ensure(session: Session, port_id: str, network: Network, device_owner: str, device_id: str, name: str) -> None:
    """Have the port *port_id* on *network*; its id is derived from what it is for, so two who make it at once make one.

    :raises Conflict: no MAC is free.
    """
    moment = now()
    for attempt in range(ATTEMPTS):
        if session.scalar(select(Port.id).where(Port.id == port_id)) is not None:
            return
        row = {
            "id": port_id,
            "network_id": network.id,
            "project_id": network.project_id,
            "name": name,
            "mac_address": _mac(f"{port_id}/{attempt}"),
            "status": "ACTIVE",
            "device_id": device_id,
            "device_owner": device_owner,
            "port_security_enabled": False,
            "created_at": moment,
            "updated_at": moment,
        }
        insert_absent(session, _PORTS, [row])
    raise Conflict("Unable to generate unique mac.", "network.mac_address_generation_failure")


def _mac(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    return PREFIX + "".join(f":{byte:02x}" for byte in digest[:3])


def held(session: Session, port_id: str) -> dict[str, str]:
    """Return the addresses of a port, by subnet."""
    rows = session.execute(select(FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id == port_id))
    return {row.subnet_id: row.address for row in rows}


def subnets_of(session: Session, network_id: str) -> Sequence[Subnet]:
    """Return a network's subnets, oldest first."""
    return session.scalars(
        select(Subnet).where(Subnet.network_id == network_id).order_by(Subnet.created_at, Subnet.id)
    ).all()

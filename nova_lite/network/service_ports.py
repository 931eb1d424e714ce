"""Ports that are ours rather than a user's: what a network's DHCP answers from, routers' legs, floating IPs' places.

They are in no security group, count in no quota, and may hold a subnet's gateway address.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence

from sqlalchemy import Table, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Network, Port, Subnet
from nova_lite.db.types import new_id, now
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict
from nova_lite.network.addresses import assign, let_go

PREFIX = "fa:16:3f"
"""How their MACs begin: of no range that users' ports come from, so that one can be derived from the port's id."""

ATTEMPTS = 16

_PORTS: Table = Port.__table__  # type: ignore[assignment]
_FIXED_IPS: Table = FixedIp.__table__  # type: ignore[assignment]


def ensure(session: Session, port_id: str, network: Network, device_owner: str, device_id: str, name: str) -> None:
    """Have the port *port_id* on *network*; its id is derived from what it is for, so two who make it at once make one.

    :raises Conflict: no MAC is free.
    """
    _insert(session, port_id, network.id, device_owner, device_id, project_id=network.project_id, name=name)


def make(
    session: Session,
    network_id: str,
    device_owner: str,
    device_id: str,
    *,
    project_id: str = "",
    status: str = "ACTIVE",
) -> str:
    """Make a port without addresses; return its id. *project_id* empty: its users are not to see it.

    :raises Conflict: no MAC is free.
    """
    port_id = new_id()
    _insert(session, port_id, network_id, device_owner, device_id, project_id=project_id, status=status)
    return port_id


def _insert(session: Session, port_id: str, network_id: str, device_owner: str, device_id: str, **values: str) -> None:
    moment = now()
    for attempt in range(ATTEMPTS):
        if session.scalar(select(Port.id).where(Port.id == port_id)) is not None:
            return
        row = {
            "id": port_id,
            "network_id": network_id,
            "mac_address": _mac(f"{port_id}/{attempt}"),
            "status": "ACTIVE",
            "device_id": device_id,
            "device_owner": device_owner,
            "port_security_enabled": False,
            "created_at": moment,
            "updated_at": moment,
            **values,
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


def hold(session: Session, port_id: str, subnet: Subnet, address: str) -> None:
    """Give the port just this address of *subnet*, which may be its gateway's. :raises Conflict: another port holds it."""
    text = str(ipaddress.ip_address(address))
    insert_absent(session, _FIXED_IPS, [{"subnet_id": subnet.id, "address": text, "port_id": port_id}])
    query = select(FixedIp.port_id).where(FixedIp.subnet_id == subnet.id, FixedIp.address == text)
    if session.scalar(query) != port_id:
        raise Conflict(f"IP address {text} already allocated in subnet {subnet.id}.", "network.ip_address_in_use")


def give_one_of(session: Session, port_id: str, subnets: Sequence[Subnet]) -> None:
    """Give the port an address of the first of *subnets* that has a free one. :raises Conflict: none has."""
    for index, subnet in enumerate(subnets):
        try:
            assign(session, subnet, [port_id])
        except Conflict:
            # No savepoint: MariaDB ends a deadlock by rolling everything back, savepoints too.
            let_go(session, subnet, [port_id])
            if index == len(subnets) - 1:
                raise
        else:
            return


def let_subnet_go(session: Session, port_id: str, subnet_id: str) -> None:
    """Take the port's addresses of one subnet off it."""
    session.execute(
        sql_delete(FixedIp)
        .where(FixedIp.port_id == port_id, FixedIp.subnet_id == subnet_id)
        .execution_options(synchronize_session=False)
    )

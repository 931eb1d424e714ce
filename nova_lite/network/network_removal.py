"""Remove networks, with what the system made on them for itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import AutoTopology, FloatingIp, Network, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.errors import Conflict
from nova_lite.network import port_removal, rbac, rows, tags, touch
from nova_lite.network.network_rules import not_found

_QUIET: dict[str, Any] = {"synchronize_session": False}


def delete(store: Store, network_id: str, expected: int | None = None) -> list[str]:
    """Delete a network with its subnets and the ports that the system made for itself; return the hosts to be woken.

    :raises NotFound: there is none such.
    :raises Conflict: ports are on it.
    """

    def work(session: Session) -> list[str]:
        # The row is locked first, so that no port can come between the look and the delete.
        if session.scalar(select(Network).where(Network.id == network_id).with_for_update()) is None:
            raise not_found(network_id)
        rows.check_revision(session, Network, network_id, expected)
        return drop(session, network_id)

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise _in_use(network_id) from error


def drop(session: Session, network_id: str) -> list[str]:
    """Delete a network in the caller's transaction, which has locked it; see :func:`delete`."""
    _drop_idle_floating_ips(session, network_id)
    ports = session.execute(select(Port.id, Port.device_owner).where(Port.network_id == network_id)).all()
    if any(port.device_owner not in port_removal.SILENT for port in ports):
        raise _in_use(network_id)
    hosts = touch.touch_network(session, network_id)
    port_removal.drop(session, [port.id for port in ports])
    subnet_ids = list(session.scalars(select(Subnet.id).where(Subnet.network_id == network_id)))
    tags.forget(session, [network_id, *subnet_ids])
    rbac.forget(session, network_id)
    for statement in (
        sql_delete(AutoTopology).where(AutoTopology.network_id == network_id),
        sql_delete(Subnet).where(Subnet.network_id == network_id),
        sql_delete(Network).where(Network.id == network_id),
    ):
        session.execute(statement.execution_options(**_QUIET))
    return hosts


def _drop_idle_floating_ips(session: Session, network_id: str) -> None:
    """Give back the floating IPs of an external network that lead nowhere; others keep it from being deleted."""
    idle = select(FloatingIp.id, FloatingIp.floating_port_id).where(
        FloatingIp.floating_network_id == network_id, FloatingIp.port_id.is_(None)
    )
    found = session.execute(idle.with_for_update()).all()
    if not found:
        return
    identifiers = [row.id for row in found]
    tags.forget(session, identifiers)
    session.execute(sql_delete(FloatingIp).where(FloatingIp.id.in_(identifiers)).execution_options(**_QUIET))
    port_removal.drop(session, [row.floating_port_id for row in found])


def _in_use(network_id: str) -> Conflict:
    return Conflict(
        f"Unable to complete operation on network {network_id}. There are one or more ports still in use on the network.",
        "network.network_in_use",
    )

"""Floating IPs of servers, named by address as the Compute API's old actions name them."""

from __future__ import annotations

from sqlalchemy import select

from nova_lite.compute import servers
from nova_lite.compute.servers import Nic
from nova_lite.db.models import FloatingIp
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import floating_ips
from nova_lite.network.floating_routes import WantedTarget


def _named(store: Store, address: str, project_id: str | None) -> FloatingIp:
    with store.read() as session:
        query = select(FloatingIp).where(FloatingIp.address == address, *floating_ips.visible_to(project_id))
        found = session.scalars(query.order_by(FloatingIp.id)).first()
    if found is None:
        raise NotFound(f"floating IP not found: {address}", "server.floating_ip_not_found")
    return found


def _nics(store: Store, server_id: str) -> list[Nic]:
    with store.read() as session:
        return servers.nics(session, [server_id]).get(server_id, [])


def associate(store: Store, server_id: str, address: str, fixed: str | None, project_id: str | None) -> list[str]:
    """Let the floating IP *address* lead to a server, by its address *fixed* or (None) its first IPv4 one; return the hosts touched.

    It is taken from whatever it led to. *project_id*: whose floating IPs may be named; None: an admin.

    :raises NotFound: there is no such floating IP.
    :raises Invalid: the server has no such address, no router leads there, or the address has one already.
    """
    floating = _named(store, address, project_id)
    target = _target(_nics(store, server_id), server_id, fixed)
    try:
        return floating_ips.change(store, floating.id, {}, project_id, sets_target=True, target=target)
    except (Conflict, NotFound) as error:
        if error.code == "network.floating_ip_not_found":
            raise NotFound(f"floating IP not found: {address}", "server.floating_ip_not_found") from error
        raise Invalid(error.message, "server.floating_ip_associate_failed") from error


def _target(nics: list[Nic], server_id: str, fixed: str | None) -> WantedTarget:
    held = [(nic.port_id, address) for nic in nics for _, address in nic.addresses if ":" not in address]
    if fixed is not None:
        held = [(port_id, address) for port_id, address in held if address == fixed]
        if not held:
            raise Invalid(
                f"Specified fixed address not assigned to instance {server_id}", "server.fixed_address_not_assigned"
            )
    if not held:
        raise Invalid(
            f"Unable to associate floating IP: instance {server_id} has no fixed IPv4 address", "server.no_fixed_ip"
        )
    return WantedTarget(*held[0])


def disassociate(store: Store, server_id: str, address: str, project_id: str | None) -> list[str]:
    """Let the floating IP *address*, which leads to the server, lead nowhere; return the hosts touched.

    :raises NotFound: there is no such floating IP.
    :raises Conflict: it does not lead to the server.
    """
    floating = _named(store, address, project_id)
    if floating.port_id is None or floating.port_id not in {nic.port_id for nic in _nics(store, server_id)}:
        raise Conflict(
            f"Floating IP {address} is not associated with instance {server_id}.", "server.floating_ip_not_associated"
        )
    return floating_ips.change(store, floating.id, {}, project_id, sets_target=True, target=None)

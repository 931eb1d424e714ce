"""One more address for a server's port, and one less: what compute's old actions did before ports could be changed by themselves.

The guest learns a new address by DHCP at its next renewal or from its metadata; its host lets it use the address at once.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.compute.servers import to_act_on
from nova_lite.db.models import FixedIp, Port, Subnet
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound, PreconditionFailed
from nova_lite.network import port_changes
from nova_lite.network.port_addresses import WantedAddress

LOOKS = 16
"""How often one looks again whose port somebody else has changed between the look and the change."""


def add(store: Store, server_id: str, network_id: str, scope: str | None, *, override_lock: bool) -> list[str]:
    """Give a server's first port on a network one more IPv4 address; return the hosts touched.

    :raises NotFound: the server has no port on such a network.
    :raises Conflict: it is locked, no address is free, or others change the port all the time.
    :raises Invalid: the network has no IPv4 subnet.
    """
    return _again(server_id, lambda: _add(store, server_id, network_id, scope, override_lock))


def _add(store: Store, server_id: str, network_id: str, scope: str | None, override_lock: bool) -> list[str]:
    with store.read() as session:
        to_act_on(session, server_id, override_lock=override_lock)
        port = session.scalar(
            select(Port).where(Port.device_id == server_id, Port.network_id == network_id).order_by(Port.position)
        )
        if port is None:
            raise NotFound(
                f"Network {network_id[:64]} could not be found for instance {server_id}.", "server.network_not_found"
            )
        subnet_id = session.scalar(
            select(Subnet.id)
            .where(Subnet.network_id == network_id, Subnet.ip_version == 4)
            .order_by(Subnet.created_at, Subnet.id)
        )
        held = _held(session, port.id)
    if subnet_id is None:
        raise Invalid(f"Network {network_id} has no IPv4 subnet to take an address from.", "server.no_subnet")
    wanted = (*held, WantedAddress(subnet_id=subnet_id))
    return port_changes.change(store, port.id, {"addresses": wanted}, scope=scope, expected=port.revision)


def remove(store: Store, server_id: str, address: str, scope: str | None, *, override_lock: bool) -> list[str]:
    """Take an address from a server's port; return the hosts touched.

    :raises Invalid: no port of the server has it.
    :raises Conflict: the server is locked, or others change the port all the time.
    """
    return _again(server_id, lambda: _remove(store, server_id, address, scope, override_lock))


def _remove(store: Store, server_id: str, address: str, scope: str | None, override_lock: bool) -> list[str]:
    with store.read() as session:
        to_act_on(session, server_id, override_lock=override_lock)
        port = session.scalar(
            select(Port)
            .join(FixedIp, FixedIp.port_id == Port.id)
            .where(Port.device_id == server_id, FixedIp.address == address)
        )
        if port is None:
            raise Invalid(f"Instance {server_id} doesn't have fixed IP '{address}'.", "server.fixed_ip_not_found")
        held = _held(session, port.id)
    wanted = tuple(each for each in held if each.address != address)
    return port_changes.change(store, port.id, {"addresses": wanted}, scope=scope, expected=port.revision)


def _again(server_id: str, look_and_change: Callable[[], list[str]]) -> list[str]:
    """Look and change, and look again where the port was changed in between: who asked has named no revision of it."""
    for _ in range(LOOKS):
        try:
            return look_and_change()
        except PreconditionFailed:
            continue
    raise Conflict(
        f"The port of instance {server_id} is being changed by other requests all the time; try again.",
        "server.port_is_changing",
    )


def _held(session: Session, port_id: str) -> tuple[WantedAddress, ...]:
    query = select(FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id == port_id).order_by(FixedIp.address)
    return tuple(WantedAddress(row.subnet_id, row.address) for row in session.execute(query))

"""Where floating IPs lead, seen from the ports that they lead to: what becomes of them when such a port changes or goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from nova_lite.db.models import FloatingIp
from nova_lite.db.types import now
from nova_lite.errors import Invalid


def let_go(session: Session, port_ids: Sequence[str]) -> None:
    """Let the floating IPs of ports that go lead nowhere; in the caller's transaction, before the ports' rows go."""
    session.execute(
        update(FloatingIp)
        .where(FloatingIp.port_id.in_(list(port_ids)))
        .values(port_id=None, fixed_address=None, router_id=None, revision=FloatingIp.revision + 1, updated_at=now())
        .execution_options(synchronize_session=False)
    )


def require_kept(session: Session, port_id: str, addresses: Collection[str]) -> None:
    """Refuse to leave a port with *addresses* alone if a floating IP leads to another one that it has.

    :raises Invalid: one does.
    """
    query = select(FloatingIp.address, FloatingIp.fixed_address).where(FloatingIp.port_id == port_id)
    for floating, fixed in session.execute(query):
        if fixed not in addresses:
            raise Invalid(
                f"Bad port request: Cannot update the fixed_ips of the port {port_id}, because its fixed_ip {fixed} is "
                f"used by the floating IP {floating}.",
                "network.bad_request",
            )

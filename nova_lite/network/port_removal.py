"""Remove ports with all that hangs on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from nova_lite.db.models import FixedIp, Port, PortSecurityGroup
from nova_lite.network import floating_targets, tags

DHCP_OWNER = "network:dhcp"
SILENT = frozenset({DHCP_OWNER})
"""Device owners of ports that the system makes for itself: they go silently with their network."""

_QUIET: dict[str, Any] = {"synchronize_session": False}


def drop(session: Session, port_ids: Sequence[str]) -> None:
    """Delete ports, their addresses, memberships and tags in the caller's transaction; whoever is to be told was told before.

    Floating IPs that lead to them lead nowhere then.
    """
    if not port_ids:
        return
    identifiers = list(port_ids)
    floating_targets.let_go(session, identifiers)
    tags.forget(session, identifiers)
    for statement in (
        delete(FixedIp).where(FixedIp.port_id.in_(identifiers)),
        delete(PortSecurityGroup).where(PortSecurityGroup.port_id.in_(identifiers)),
        delete(Port).where(Port.id.in_(identifiers)),
    ):
        session.execute(statement.execution_options(**_QUIET))

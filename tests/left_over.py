"""What must not be left in the database once no server is there: claims, and the ports and addresses of guests."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Allocation, FixedIp, Port


def left_over(session: Session) -> dict[str, int]:
    """Count it by table; empty: nothing is left. A network's DHCP port stays with the network."""
    guests = ~Port.device_owner.startswith("network:")
    counts = {
        "allocations": select(func.count()).select_from(Allocation),
        "ports": select(func.count()).select_from(Port).where(guests),
        "fixed_ips": select(func.count()).select_from(FixedIp).join(Port, Port.id == FixedIp.port_id).where(guests),
    }
    return {name: count for name, query in counts.items() if (count := session.scalar(query) or 0)}

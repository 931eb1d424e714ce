"""Hosts as agents of the Network API: read-only, the truth of the ``hosts`` rows and of what each host has applied.

One agent a host does everything: bridges, routers, DHCP, metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from nova_lite.db.models import Host, HostNetworkState
from nova_lite.db.store import Store
from nova_lite.db.types import epoch
from nova_lite.errors import NotFound


@dataclass(frozen=True)
class Agent:
    """A host. ``alive``: heard within the limit and not forced down; ``applied`` of ``wanted``: how far its networks are."""

    host: Host
    alive: bool
    wanted: int = 0
    applied: int = 0


def find(store: Store, down_after: float, identifier: str | None = None) -> list[Agent]:
    """List the hosts in the order of their names, or only the one with that UUID."""
    query = select(Host, HostNetworkState.wanted, HostNetworkState.applied).outerjoin(
        HostNetworkState, HostNetworkState.host == Host.name
    )
    if identifier is not None:
        query = query.where(Host.uuid == identifier)
    with store.read() as session:
        return [
            Agent(host, not host.forced_down and epoch() - host.last_seen <= down_after, wanted or 0, applied or 0)
            for host, wanted, applied in session.execute(query.order_by(Host.name))
        ]


def get(store: Store, identifier: str, down_after: float) -> Agent:
    """Return one host. :raises NotFound: there is none such."""
    found = find(store, down_after, identifier)
    if not found:
        raise NotFound(f"Agent {identifier} could not be found.", "network.agent_not_found")
    return found[0]


def zones(store: Store, down_after: float) -> dict[str, bool]:
    """Return the availability zones, and whether a host of each is alive and enabled."""
    found: dict[str, bool] = {}
    for agent in find(store, down_after):
        zone = agent.host.availability_zone
        found[zone] = found.get(zone, False) or (agent.alive and agent.host.enabled)
    return found

"""Availability zones of networks and routers: what was asked for, and where they are.

There is no network node to place: a network and its routers are on each host that has a guest there. So a hint is checked and kept, for
clients that send it with everything they make, and decides nothing; the zones are those of the hosts that have the thing now.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from nova_lite.db.models import Host, Port
from nova_lite.errors import Invalid, NotFound
from nova_lite.network.touch import INTERFACE

Zones = dict[str, tuple[str, ...]]
LONGEST = 255
"""Characters that Neutron keeps of all hints together, as JSON."""


def require(session: Session, hints: Iterable[str]) -> None:
    """Refuse hints of zones that no host is in. :raises NotFound: there is none such. :raises Invalid: they are too many."""
    wanted = list(hints)
    if not wanted:
        return
    if len(json.dumps(wanted)) > LONGEST:
        raise Invalid(
            "Invalid input for availability_zone_hints. Reason: Too many availability_zone_hints specified.",
            "network.invalid_input",
        )
    known = set(session.scalars(select(Host.availability_zone).distinct()))
    for zone in wanted:
        if zone not in known:
            raise NotFound(f"AvailabilityZone {zone} could not be found.", "network.availability_zone_not_found")


def of_networks(session: Session, network_ids: Collection[str]) -> Zones:
    """Return the zones of the hosts with a port of each network."""
    if not network_ids:
        return {}
    query = select(Port.network_id, Host.availability_zone).join(Host, Host.name == Port.host)
    return _grouped(session, query.where(Port.network_id.in_(sorted(network_ids))))


def of_routers(session: Session, router_ids: Collection[str]) -> Zones:
    """Return the zones of the hosts with a port on a network that each router joins."""
    if not router_ids:
        return {}
    leg, port = aliased(Port), aliased(Port)
    query = (
        select(leg.device_id, Host.availability_zone)
        .join(port, port.network_id == leg.network_id)
        .join(Host, Host.name == port.host)
    )
    return _grouped(session, query.where(leg.device_owner == INTERFACE, leg.device_id.in_(sorted(router_ids))))


def _grouped(session: Session, query: Any) -> Zones:
    found: dict[str, set[str]] = defaultdict(set)
    for key, zone in session.execute(query.distinct()):
        found[key].add(zone)
    return {key: tuple(sorted(zones)) for key, zones in found.items()}

"""Availability zones: which there are, and for admins which hosts and services are in them."""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.compute import parameters
from nova_lite.api.context import Call
from nova_lite.compute import hosts
from nova_lite.compute.hosts import INTERNAL_ZONE, ServiceRecord


def index(call: Call) -> dict[str, Any]:
    """List the zones that servers can be asked for."""
    shown = [
        {"zoneName": zone, "zoneState": {"available": _available(members)}, "hosts": None}
        for zone, members in sorted(_zones(call).items())
        if zone != INTERNAL_ZONE
    ]
    return {"availabilityZoneInfo": shown}


def detail(call: Call) -> dict[str, Any]:
    """List all zones with their hosts and services."""
    shown = []
    for zone, members in sorted(_zones(call).items()):
        named: dict[str, dict[str, Any]] = {}
        for service in members:
            named.setdefault(service.host, {})[service.binary] = {
                "available": service.up,
                "active": service.enabled,
                "updated_at": _seen(service),
            }
        available = _available(members)
        shown.append({"zoneName": zone, "zoneState": {"available": available}, "hosts": named if available else None})
    return {"availabilityZoneInfo": shown}


def _zones(call: Call) -> dict[str, list[ServiceRecord]]:
    found: dict[str, list[ServiceRecord]] = {}
    for service in hosts.services(call.store, call.services.conf.compute.down_after):
        found.setdefault(service.zone, []).append(service)
    return found


def _available(members: list[ServiceRecord]) -> bool:
    return any(service.enabled for service in members)


def _seen(service: ServiceRecord) -> str | None:
    if not service.last_seen:
        return None
    return parameters.exact_moment(datetime.datetime.fromtimestamp(service.last_seen, datetime.UTC))

"""The services that run: agents, schedulers, API workers."""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.compute import parameters
from nova_lite.api.compute.parameters import TEXTS, by_minor, query
from nova_lite.api.context import Call
from nova_lite.compute import hosts
from nova_lite.compute.hosts import ServiceRecord

QUERY = by_minor(lambda minor: query({"host": TEXTS, "binary": TEXTS}, is_open=minor < 75), 1, 75)


def index(call: Call) -> dict[str, Any]:
    """List services, of one host or of one kind if asked."""
    found = hosts.services(call.store, call.services.conf.compute.down_after)
    for name in ("host", "binary"):
        wanted = call.query.get(name)
        if wanted:
            found = [service for service in found if getattr(service, name) == wanted]
    return {"services": [view(service, call.version.minor) for service in found]}


def view(service: ServiceRecord, minor: int) -> dict[str, Any]:
    """Shape a service."""
    seen = None
    if service.last_seen:
        seen = datetime.datetime.fromtimestamp(service.last_seen, datetime.UTC)
    shown: dict[str, Any] = {
        "id": service.uuid if minor >= 53 else service.number,
        "binary": service.binary,
        "host": service.host,
        "zone": service.zone,
        "status": "enabled" if service.enabled else "disabled",
        "state": "up" if service.up else "down",
        "updated_at": parameters.exact_moment(seen),
        "disabled_reason": service.disabled_reason,
    }
    if minor >= 11:
        shown["forced_down"] = service.forced_down
    return shown

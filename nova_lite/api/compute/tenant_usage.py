"""``/os-simple-tenant-usage``: what projects used in a period."""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.compute import paging, parameters
from nova_lite.api.compute.parameters import TEXTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import usage
from nova_lite.compute.usage import Moment, ProjectUsage, ServerUsage
from nova_lite.db.types import now
from nova_lite.errors import Invalid, NotFound

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")
_PERIOD = datetime.timedelta(weeks=4)


def _query(minor: int, *, listing: bool) -> Schema:
    properties: dict[str, Any] = {"start": TEXTS, "end": TEXTS}
    if listing:
        properties["detailed"] = TEXTS
    if minor >= 40:
        properties |= paging.PAGE
    return parameters.query(properties, is_open=minor < 75)


LIST_QUERY = by_minor(lambda minor: _query(minor, listing=True), 1, 40, 75)
QUERY = by_minor(lambda minor: _query(minor, listing=False), 1, 40, 75)


def _moment(text: str) -> Moment:
    for form in _FORMS:
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    raise Invalid("Datetime is in invalid format", "usage.datetime")


def _period(call: Call, moment: Moment) -> tuple[Moment, Moment]:
    start = _moment(call.query["start"]) if call.query.get("start") else moment - _PERIOD
    stop = _moment(call.query["end"]) if call.query.get("end") else moment
    if start >= stop:
        raise Invalid("Invalid start time. The start time cannot occur after the end time.", "usage.period")
    return start, stop


def _find(call: Call, project_id: str | None) -> tuple[list[ProjectUsage], Moment, Moment]:
    moment = now()
    start, stop = _period(call, moment)
    pages = call.version.minor >= 40
    found = usage.find(
        call.store,
        start,
        stop,
        moment,
        project_id=project_id,
        limit=paging.limit_of(call) if pages else None,
        marker=call.query.get("marker") if pages else None,
    )
    return found, start, stop


def index(call: Call) -> dict[str, Any]:
    """List every project's use."""
    if call.request.path_info.endswith("/"):
        # A project's use with the project left out; clients must not take everybody's for it.
        raise NotFound("The resource could not be found.", "request.no_route")
    found, start, stop = _find(call, None)
    # openstacksdk writes True.
    detailed = call.query.get("detailed") in parameters.TRUE
    shown = [_view(each, start, stop, detailed=detailed) for each in found]
    return _with_links(call, {"tenant_usages": shown}, "tenant_usages", "os-simple-tenant-usage", found)


def show(call: Call) -> dict[str, Any]:
    """Show one project's use, with its servers."""
    project_id = call.params["project_id"]
    call.authorize({"project_id": project_id})
    found, start, stop = _find(call, project_id)
    # Upstream shows nothing of a project that used nothing, over which openstackclient falls.
    shown = _view(found[0] if found else ProjectUsage(project_id), start, stop, detailed=True)
    path = f"os-simple-tenant-usage/{project_id}"
    return _with_links(call, {"tenant_usage": shown}, "tenant_usage", path, found)


def _with_links(
    call: Call, answer: dict[str, Any], member: str, path: str, found: list[ProjectUsage]
) -> dict[str, Any]:
    if call.version.minor >= 40:
        servers = [server for each in found for server in each.servers]
        links = paging.next_links(call, path, servers, servers[-1].server_id if servers else "")
        if links:
            answer[f"{member}_links"] = links
    return answer


def _view(each: ProjectUsage, start: Moment, stop: Moment, *, detailed: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "tenant_id": each.project_id,
        "total_hours": each.hours,
        "total_vcpus_usage": each.times("vcpus"),
        "total_memory_mb_usage": each.times("memory_mb"),
        "total_local_gb_usage": each.times("local_gb"),
        "start": parameters.exact_moment(start),
        "stop": parameters.exact_moment(stop),
    }
    if detailed:
        shown["server_usages"] = [_server(server) for server in each.servers]
    return shown


def _server(server: ServerUsage) -> dict[str, Any]:
    return {
        "instance_id": server.server_id,
        "name": server.name,
        "tenant_id": server.project_id,
        "flavor": server.flavor,
        "vcpus": server.vcpus,
        "memory_mb": server.memory_mb,
        "local_gb": server.local_gb,
        "state": "terminated" if server.ended_at else server.vm_state,
        "started_at": parameters.exact_moment(server.started_at),
        "ended_at": parameters.exact_moment(server.ended_at),
        "hours": server.hours,
        "uptime": server.uptime,
    }

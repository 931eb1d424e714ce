"""Hypervisors: the compute hosts with what they have and what of it is claimed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import orjson

from nova_lite.api import validation
from nova_lite.api.compute import paging, parameters
from nova_lite.api.compute.parameters import by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import hosts
from nova_lite.db.models import Host
from nova_lite.errors import Invalid, NotFound, Unavailable

_NAMES: Schema = {"type": "array", "items": parameters.FQDN}
_TRUTHS: Schema = {"type": "array", "items": parameters.BOOLEAN}

Servers = dict[str, list[tuple[str, str]]]


def _query(minor: int) -> Schema:
    if minor < 33:
        return parameters.ANY_QUERY
    if minor < 53:
        return parameters.query(paging.PAGE, is_open=True)
    properties = {**paging.PAGE, "hypervisor_hostname_pattern": _NAMES, "with_servers": _TRUTHS}
    return parameters.query({name: parameters.once(schema) for name, schema in properties.items()}, is_open=False)


def _show_query(minor: int) -> Schema:
    if minor < 53:
        return parameters.ANY_QUERY
    return parameters.query({"with_servers": parameters.once(_TRUTHS)}, is_open=False)


QUERY = by_minor(_query, 1, 33, 53)
SHOW_QUERY = by_minor(_show_query, 1, 53)


def index(call: Call) -> dict[str, Any]:
    """List hypervisors by name."""
    return _list(call, detailed=False)


def detail(call: Call) -> dict[str, Any]:
    """List hypervisors with everything that is shown of them."""
    return _list(call, detailed=True)


def show(call: Call) -> dict[str, Any]:
    """Show one hypervisor, by UUID since 2.53 and by number before."""
    identifier = call.params["hypervisor_id"]
    by_uuid = call.version.minor >= 53
    not_there = NotFound(f"Hypervisor with ID '{identifier[:64]}' could not be found.", "hypervisor.not_found")
    if by_uuid and not validation.FORMATS["uuid"](identifier):
        raise Invalid(f"Invalid uuid {identifier[:64]}", "hypervisor.id")
    if not by_uuid and not identifier.isdecimal():
        raise not_there
    try:
        host = hosts.get(call.store, identifier)
    except NotFound:
        raise not_there from None
    shown = _view(call, host, detailed=True, servers=_servers(call, [host]))
    if call.version.minor >= 88 and shown["state"] == "up":
        shown["uptime"] = _uptime(call, host.name)
    return {"hypervisor": shown}


def _uptime(call: Call, name: str) -> str | None:
    """Ask a host how long it has been up; None: it does not answer."""
    try:
        return str(call.services.offload(functools.partial(call.services.agents.call, name, "host_uptime")))
    except Unavailable:
        return None


def _named(call: Call) -> list[Host]:
    """Return the hypervisors whose names hold what the path says. :raises NotFound: there is none."""
    pattern = call.params["hypervisor_id"]
    found = hosts.find(call.store, pattern)
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern[:255]}' could be found.", "hypervisor.not_found")
    return found


def search(call: Call) -> dict[str, Any]:
    """List the hypervisors whose names hold a word (until 2.52)."""
    return {"hypervisors": _views(call, _named(call), detailed=False)}


def list_servers(call: Call) -> dict[str, Any]:
    """List the hypervisors whose names hold a word, with their servers (until 2.52)."""
    found = _named(call)
    servers = hosts.servers_on(call.store, [host.name for host in found])
    return {"hypervisors": [_view(call, host, detailed=False, servers=servers) for host in found]}


def uptime(call: Call) -> dict[str, Any]:
    """Ask a hypervisor how long it has been up (until 2.87)."""
    shown = show(call)["hypervisor"]
    name = shown["hypervisor_hostname"]
    answer = call.services.offload(functools.partial(call.services.agents.call, name, "host_uptime"))
    kept = {key: shown[key] for key in ("id", "hypervisor_hostname", "state", "status")}
    return {"hypervisor": {**kept, "uptime": answer}}


def statistics(call: Call) -> dict[str, Any]:
    """Sum up all hypervisors that are enabled (until 2.87)."""
    enabled = [host for host in hosts.find(call.store) if host.enabled]
    sums = {"count": len(enabled), "current_workload": 0}
    views = [_resources(host, hosts.busy_counts(call.store)) for host in enabled]
    for name in _SUMMED:
        sums[name] = sum(view[name] for view in views)
    return {"hypervisor_statistics": sums}


_SUMMED = (
    *("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb"),
    *("free_disk_gb", "current_workload", "running_vms", "disk_available_least"),
)


def _list(call: Call, *, detailed: bool) -> dict[str, Any]:
    pattern = call.query.get("hypervisor_hostname_pattern") if call.version.minor >= 53 else None
    if pattern is not None:
        if "limit" in call.query or "marker" in call.query:
            raise Invalid(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.",
                "hypervisor.paging",
            )
        found = hosts.find(call.store, pattern)
        if not found:
            raise NotFound(f"No hypervisor matching '{pattern[:255]}' could be found.", "hypervisor.not_found")
        return {"hypervisors": _views(call, found, detailed=detailed)}
    found = hosts.find(call.store)
    if call.version.minor < 33:
        return {"hypervisors": _views(call, found, detailed=detailed)}
    found = _page(call, found)
    shown = _views(call, found, detailed=detailed)
    path = "os-hypervisors/detail" if detailed else "os-hypervisors"
    return paging.page(call, "hypervisors", path, shown, str(shown[-1]["id"]) if shown else "")


def _page(call: Call, found: Sequence[Host]) -> list[Host]:
    marker = call.query.get("marker")
    start = 0
    if marker is not None:
        ids = [str(_id(call, host)) for host in found]
        if marker not in ids:
            raise Invalid(f"marker [{marker[:64]}] not found", "hypervisor.bad_marker")
        start = ids.index(marker) + 1
    return list(found[start : start + paging.limit_of(call)])


def _id(call: Call, host: Host) -> Any:
    return host.uuid if call.version.minor >= 53 else hosts.number_of(host.uuid)


def _servers(call: Call, found: Sequence[Host]) -> Servers | None:
    asked = call.query.get("with_servers") if call.version.minor >= 53 else None
    if asked is None or not parameters.truth_of_query("with_servers", asked):
        return None
    return hosts.servers_on(call.store, [host.name for host in found])


def _views(call: Call, found: Sequence[Host], *, detailed: bool) -> list[dict[str, Any]]:
    servers = _servers(call, found)
    busy = hosts.busy_counts(call.store) if detailed and call.version.minor < 88 else {}
    return [_view(call, host, detailed=detailed, servers=servers, busy=busy) for host in found]


def _view(
    call: Call, host: Host, *, detailed: bool, servers: Servers | None, busy: dict[str, int] | None = None
) -> dict[str, Any]:
    up = hosts.is_up(host.last_seen, host.forced_down, call.services.conf.compute.down_after)
    shown: dict[str, Any] = {
        "id": _id(call, host),
        "hypervisor_hostname": host.name,
        "state": "up" if up else "down",
        "status": "enabled" if host.enabled else "disabled",
    }
    if detailed:
        shown["hypervisor_type"] = host.capabilities.get("hypervisor_type") or "QEMU"
        shown["hypervisor_version"] = host.capabilities.get("hypervisor_version") or 0
        shown["host_ip"] = host.address or "0.0.0.0"
        shown["service"] = {"id": _id(call, host), "host": host.name, "disabled_reason": host.disabled_reason}
        if call.version.minor >= 88:
            shown["uptime"] = None
        else:
            shown |= _resources(host, busy or {})
            cpu = {"arch": host.capabilities.get("arch"), "model": host.capabilities.get("cpu_model")}
            shown["cpu_info"] = cpu if call.version.minor >= 28 else orjson.dumps(cpu).decode()
    if servers is not None and (servers[host.name] or call.version.minor >= 75):
        shown["servers"] = [{"uuid": identifier, "name": name} for identifier, name in servers[host.name]]
    return shown


def _resources(host: Host, busy: dict[str, int]) -> dict[str, int]:
    memory_used = host.used_memory_mb + host.reserved_memory_mb
    free_disk = host.disk_gb - host.used_disk_gb
    return {
        "vcpus": host.vcpus,
        "memory_mb": host.memory_mb,
        "local_gb": host.disk_gb,
        "vcpus_used": host.used_vcpus,
        "memory_mb_used": memory_used,
        "local_gb_used": host.used_disk_gb,
        "free_ram_mb": host.memory_mb - memory_used,
        "free_disk_gb": free_disk,
        "current_workload": busy.get(host.name, 0),
        "running_vms": host.running_servers,
        "disk_available_least": free_disk,
    }

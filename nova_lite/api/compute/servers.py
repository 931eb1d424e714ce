"""Servers: list, show, create, change, delete."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from nova_lite.api.compute import access, block_devices, paging, parameters, policies, server_filters
from nova_lite.api.compute.parameters import truth
from nova_lite.api.compute.server_views import ServerView
from nova_lite.api.compute.unoffered import refuse_unoffered
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply
from nova_lite.compute import creation, listing, personality, server_states, servers
from nova_lite.compute.creation import NewServer
from nova_lite.compute.interfaces import AUTO, WantedNic
from nova_lite.errors import Invalid

_PASSWORD = string.ascii_letters + string.digits


def index(call: Call) -> dict[str, Any]:
    """List ids and names."""
    view = ServerView(call)
    shown = [view.basic(*found) for found in listing.find(call.store, server_filters.listing(call))]
    return paging.page(call, "servers", "servers", shown, shown[-1]["id"] if shown else "")


def detail(call: Call) -> dict[str, Any]:
    """List servers with everything that is shown of them."""
    view = ServerView(call)
    shown = [view.detail(found) for found in listing.find_details(call.store, server_filters.listing(call))]
    return paging.page(call, "servers", "servers/detail", shown, shown[-1]["id"] if shown else "")


def show(call: Call) -> dict[str, Any]:
    """Show one server."""
    found = servers.get_detail(call.store, access.server_id(call), access.scope(call))
    call.authorize({"project_id": found.server.project_id, "user_id": found.server.user_id})
    return {"server": ServerView(call).detail(found, groups=True)}


def create(call: Call) -> Reply:
    """Accept the creation of one or more servers; 202, as they are built afterwards."""
    wanted = call.body["server"]
    refuse_unoffered(wanted)
    created = creation.create(call.store, call.services.conf, call.caller, _new_server(call, wanted))
    call.services.waker.wake("scheduler")
    if truth(wanted.get("return_reservation_id", False)):
        return Reply({"reservation_id": created.reservation_id}, 202)
    server_id = created.server_ids[0]
    links = paging.links(call, "servers", server_id)
    answer = {
        "id": server_id,
        "links": links,
        "OS-DCF:diskConfig": wanted.get("OS-DCF:diskConfig", "MANUAL"),
        "security_groups": wanted.get("security_groups") or [{"name": "default"}],
        "adminPass": wanted.get("adminPass") or "".join(secrets.choice(_PASSWORD) for _ in range(12)),
    }
    return Reply({"server": answer}, 202, {"Location": links[0]["href"]})


def _new_server(call: Call, wanted: Mapping[str, Any]) -> NewServer:
    least, most = _counts(wanted)
    devices = block_devices.read(wanted)
    zone, host = _place(call, wanted)
    hints = call.body.get("os:scheduler_hints") or call.body.get("OS-SCH-HNT:scheduler_hints") or {}
    return NewServer(
        project_id=access.project(call),
        user_id=call.principal.user_id,
        is_admin=call.principal.is_admin,
        name=wanted["name"],
        # Old clients send the flavor's URL.
        flavor_id=str(wanted["flavorRef"]).rstrip("/").rpartition("/")[2],
        image_id=devices.image_id,
        local_disks=devices.local_disks,
        hostname=wanted.get("hostname"),
        description=wanted["description"] if "description" in wanted else _old_description(call, wanted),
        key_name=wanted.get("key_name"),
        user_data=wanted.get("user_data"),
        injected_files=personality.read(wanted.get("personality") or ()),
        config_drive=truth(wanted.get("config_drive", False)),
        metadata=wanted.get("metadata") or {},
        tags=wanted.get("tags") or (),
        nics=_nics(wanted),
        security_groups=tuple(group["name"] for group in wanted.get("security_groups") or ()),
        availability_zone=zone,
        host=host,
        min_count=least,
        max_count=most,
        scheduler_hints=hints,
        disk_config=wanted.get("OS-DCF:diskConfig", "MANUAL"),
        access_ip_v4=wanted.get("accessIPv4", ""),
        access_ip_v6=parameters.shortest_ip(wanted.get("accessIPv6", "")),
    )


def _old_description(call: Call, wanted: Mapping[str, Any]) -> str | None:
    return wanted["name"] if call.version.minor < 19 else None


def _counts(wanted: Mapping[str, Any]) -> tuple[int, int]:
    least = int(wanted.get("min_count", 1))
    most = int(wanted.get("max_count", least))
    if least < 1 or most < 1:
        raise Invalid("min_count and max_count must be at least 1", "server.count")
    if least > most:
        raise Invalid("min_count must be <= max_count", "server.count")
    if most > 1 and "hostname" in wanted:
        raise Invalid("Unable to allocate a single hostname to multiple instances", "server.hostname")
    return least, most


def _place(call: Call, wanted: Mapping[str, Any]) -> tuple[str | None, str | None]:
    zone, _, forced = (wanted.get("availability_zone") or "").partition(":")
    named = {wanted[member] for member in ("host", "hypervisor_hostname") if member in wanted}
    if forced:
        call.authorize(rule=policies.SERVERS + "create:forced_host")
        if named:
            raise Invalid("A host is named both in availability_zone and on its own.", "server.host_twice")
        host, _, node = forced.partition(":")
        named = {part for part in (host, node) if part}
    elif named:
        call.authorize(rule="compute:servers:create:requested_destination")
    if len(named) > 1:
        raise Invalid(
            f"No compute host is called by all of these names: {', '.join(sorted(named))}.", "server.host_not_found"
        )
    return zone or None, next(iter(named), None)


def _nics(wanted: Mapping[str, Any]) -> list[WantedNic] | str | None:
    networks = wanted.get("networks")
    if networks == "none":
        return []
    if networks == AUTO:
        return AUTO
    if not networks:
        return None
    return [
        WantedNic(item.get("uuid"), item.get("port"), item.get("fixed_ip"), item.get("tag"))  # one each
        for item in networks
    ]


_COLUMNS = {
    "name": "name",
    "OS-DCF:diskConfig": "disk_config",
    "accessIPv4": "access_ip_v4",
    "accessIPv6": "access_ip_v6",
    "description": "description",
    "hostname": "hostname",
}


def update(call: Call) -> dict[str, Any]:
    """Change a server's name, description and the like."""
    record = access.server(call)
    values = {_COLUMNS[member]: value for member, value in call.body["server"].items()}
    if "access_ip_v6" in values:
        values["access_ip_v6"] = parameters.shortest_ip(values["access_ip_v6"])
    if values:
        servers.change(call.store, record.id, values)
    found = servers.get_detail(call.store, record.id, access.scope(call))
    return {"server": ServerView(call).updated(found)}


def delete(call: Call) -> None:
    """Start a server's deletion."""
    record = access.server(call)
    host = server_states.delete(
        call.store,
        call.caller,
        record.id,
        override_lock=call.principal.is_admin,
        reclaim_s=call.services.conf.compute.reclaim_instance_interval,
        force=False,
    )
    if host is not None:
        call.services.waker.wake("agent", host)

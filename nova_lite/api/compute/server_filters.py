"""From a query string to a listing of servers: which filters a microversion and a caller have, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.compute import access, paging, parameters, policies
from nova_lite.api.compute.parameters import MOMENTS, TEXTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute.listing import SORT, Listing
from nova_lite.compute.transitions import states_for
from nova_lite.errors import Forbidden, Invalid

_FILTERS = [
    "user_id",
    "project_id",
    "tenant_id",
    "launch_index",
    "image_ref",
    "image",
    "kernel_id",
    "ramdisk_id",
    "hostname",
    "key_name",
    "power_state",
    "vm_state",
    "task_state",
    "host",
    "node",
    "flavor",
    "reservation_id",
    "launched_at",
    "terminated_at",
    "availability_zone",
    "name",
    "display_name",
    "description",
    "display_description",
    "locked_by",
    "uuid",
    "root_device_name",
    "config_drive",
    "access_ip_v4",
    "access_ip_v6",
    "auto_disk_config",
    "progress",
    "all_tenants",
    "soft_deleted",
    "deleted",
    "status",
    "ip",
    "ip6",
    "created_at",
    "sort_dir",
]
_JOINED = [
    "block_device_mapping",
    "services",
    "metadata",
    "system_metadata",
    "info_cache",
    "security_groups",
    "pci_devices",
]
_WORDS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 1024}}
_MAY_BE_EMPTY = {
    *("user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "vm_state", "task_state", "host"),
    *("uuid", "sort_dir", "all_tenants", "soft_deleted", "deleted", "status", *_JOINED),
}
_TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
_OLD_SORT_KEYS = [
    "architecture",
    "cell_name",
    "cleaned",
    "default_ephemeral_device",
    "default_swap_device",
    "deleted",
    "deleted_at",
    "disable_terminate",
    "ephemeral_gb",
    "ephemeral_key_uuid",
    "id",
    "key_data",
    "launched_on",
    "memory_mb",
    "os_type",
    "reservation_id",
    "root_gb",
    "shutdown_terminate",
    "user_data",
    "vcpus",
    "vm_mode",
]
"""Taken and without effect until 2.75, as upstream has it."""

_CONSTANT_SORT_KEYS = ("progress", "root_device_name")

_FOR_ALL = {"reservation_id", "name", "status", "image", "flavor", "ip", "changes-since"}
_FOR_ALL_SINCE = (
    (5, {"ip6"}),
    (26, set(_TAGS)),
    (66, {"changes-before"}),
    (73, {"locked"}),
    (
        83,
        {
            "availability_zone",
            "config_drive",
            "key_name",
            "created_at",
            "launched_at",
            "terminated_at",
            "power_state",
            "task_state",
            "vm_state",
            "progress",
            "user_id",
        },
    ),
    (90, {"hostname"}),
)
_ALIASES = {
    "display_name": "name",
    "display_description": "description",
    "image_ref": "image",
    "node": "host",
    "tenant_id": "project_id",
    "uuid": "id",
}
_PATTERNS = {"access_ip_v4", "access_ip_v6", "availability_zone", "description", "hostname", "name"}
_TEXTS = {
    *("flavor", "host", "id", "image", "kernel_id", "key_name", "locked_by", "project_id", "ramdisk_id"),
    *("reservation_id", "task_state", "user_id", "vm_state"),
}
_NUMBERS = {"launch_index", "power_state"}
_TRUTHS = {"config_drive", "locked"}
_MOMENTS = {"created_at", "launched_at", "terminated_at"}


def _query(minor: int) -> Schema:
    sort = [*SORT, *_CONSTANT_SORT_KEYS]
    if minor < 73:
        sort.remove("locked")
    if minor < 75:
        sort += [*_OLD_SORT_KEYS, *(["locked"] if minor < 73 else [])]
    properties: dict[str, Any] = {
        name: TEXTS if name in _MAY_BE_EMPTY else _WORDS for name in (*_FILTERS, *_JOINED, "sort_dir")
    }
    properties |= {"changes-since": MOMENTS, "sort_key": {"type": "array", "items": {"type": "string", "enum": sort}}}
    properties |= paging.PAGE
    if minor >= 26:
        properties |= dict.fromkeys(_TAGS, _WORDS)
    if minor >= 66:
        properties["changes-before"] = MOMENTS
    if minor >= 73:
        properties["locked"] = TEXTS
    return {**parameters.query(properties, is_open=minor < 75), "patternProperties": {"^_": TEXTS}}


QUERY = by_minor(_query, 1, 26, 66, 73, 75)


def listing(call: Call) -> Listing:
    """Turn the call's query into a listing, narrowed to the caller's project unless an admin asks for all.

    :raises Invalid: a filter's value is none that it takes.
    :raises Forbidden: the caller may not list other projects' or deleted servers.
    """
    asked = _allowed(call)
    equal: dict[str, list[Any]] = {}
    matching: dict[str, str] = {}
    for name, values in asked.items():
        # Of several values the last counts, as upstream.
        _add_filter(_ALIASES.get(name, name), values[-1], equal, matching)
    scope = _project(call, asked, equal)
    since = _moment(asked, "changes-since")
    before = _moment(asked, "changes-before", parameters.until)
    if since and before and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.", "request.query")
    statuses = _statuses(call, asked)
    return Listing(
        project_id=scope,
        deleted=(deleted := _deleted(call, asked, statuses, since is not None or before is not None)),
        soft_deleted=_soft_deleted(asked, bool(deleted)),
        statuses=statuses,
        equal=equal,
        matching=matching,
        ip=_last(asked, "ip"),
        ip6=_last(asked, "ip6"),
        tags={name: _last_text(asked, name).split(",") for name in _TAGS if name in asked},
        changes_since=since,
        changes_before=before,
        sort=_sort(call),
        limit=paging.limit_of(call),
        marker=call.query.get("marker"),
    )


def _allowed(call: Call) -> dict[str, list[str]]:
    """Leave out what this caller may not filter by; upstream ignores it too."""
    asked = {name: call.request.GET.getall(name) for name in call.request.GET}
    for name in asked:
        if call.principal.is_admin and (name in _JOINED or name.startswith("_")):
            raise Invalid(f"Invalid filter field: {name}.", "request.query")
    known = ({*_FILTERS} - {"sort_dir"} if call.principal.is_admin else {"all_tenants"}) | _FOR_ALL
    for since, names in _FOR_ALL_SINCE:
        if call.version.minor >= since:
            known |= names
    return {name: values for name, values in asked.items() if name in known}


def _add_filter(name: str, value: str, equal: dict[str, list[Any]], matching: dict[str, str]) -> None:
    if name in _PATTERNS:
        matching[name] = value
    elif name in _TEXTS:
        equal[name] = [None if value == "None" else value]
    elif name in _NUMBERS:
        equal[name] = [parameters.number(name, value)]
    elif name in _TRUTHS:
        equal[name] = [bool(value) and parameters.truth_of_query(name, value)]
    elif name in _MOMENTS:
        equal[name] = [parameters.moment(value)]
    elif name == "auto_disk_config":
        equal["disk_config"] = ["AUTO" if parameters.truth_of_query(name, value) else "MANUAL"]
    elif name == "progress" and value != "0":
        # No server of ours ever shows another progress.
        equal["id"] = []


def _project(call: Call, asked: dict[str, list[str]], equal: dict[str, list[Any]]) -> str | None:
    everybody = _last_text(asked, "all_tenants") if "all_tenants" in asked else None
    if everybody is not None and (everybody == "" or parameters.truth_of_query("all_tenants", everybody)):
        kind = "detail" if call.route.path.endswith("/detail") else "index"
        call.authorize(rule=f"{policies.SERVERS}{kind}:get_all_tenants")
        return None
    equal.pop("project_id", None)
    return call.principal.project_id or access.scope(call) or ""


def _statuses(call: Call, asked: dict[str, list[str]]) -> list[str]:
    statuses = asked.get("status", [])
    if statuses and not any(states_for(status)[0] for status in statuses) and call.version.minor >= 38:
        raise Invalid("Invalid status value", "request.query")
    return statuses


def _deleted(call: Call, asked: dict[str, list[str]], statuses: list[str], by_change: bool) -> bool | None:
    if statuses and all(status.upper() == "DELETED" for status in statuses):
        if not call.principal.is_admin:
            raise Forbidden("Only administrators may list deleted instances", "server.deleted_forbidden")
        return True
    if "deleted" in asked:
        return _last_text(asked, "deleted") in parameters.TRUE
    return None if by_change else False


def _soft_deleted(asked: dict[str, list[str]], deleted: bool) -> bool:
    """Tell whether servers that can still be restored are listed: with the deleted ones, unless said otherwise."""
    return _last_text(asked, "soft_deleted") in parameters.TRUE if "soft_deleted" in asked else deleted


def _moment(asked: dict[str, list[str]], name: str, read: Callable[[str], Any] = parameters.moment) -> Any:
    value = _last(asked, name)
    return None if value is None else read(value)


def _last(asked: dict[str, list[str]], name: str) -> str | None:
    return asked[name][-1] if name in asked else None


def _last_text(asked: dict[str, list[str]], name: str) -> str:
    return asked[name][-1]


def _sort(call: Call) -> list[tuple[str, bool]]:
    keys = call.request.GET.getall("sort_key")
    directions = call.request.GET.getall("sort_dir")
    if any(direction not in ("asc", "desc") for direction in directions):
        raise Invalid("Unknown sort direction, must be 'desc' or 'asc'", "request.query")
    if not keys:
        return [("created_at", not directions or directions[0] == "desc")]
    default = directions[0] if directions else "desc"
    directions += [default] * (len(keys) - len(directions))
    pairs = zip(keys, directions, strict=False)
    known = [(key, direction == "desc") for key, direction in pairs if key in SORT]
    if not call.principal.is_admin and any(key in ("host", "node") for key, _ in known):
        raise Forbidden("Only administrators can sort servers by host or node", "server.sort_forbidden")
    return known or [("created_at", True)]

"""Listings of servers: filters, sort and pages as one statement, whatever is asked for."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Text, and_, cast, func, not_, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql import ColumnElement, Select

from nova_lite.compute import servers
from nova_lite.compute.servers import Detail
from nova_lite.compute.transitions import VmState, states_for
from nova_lite.db import paging
from nova_lite.db.models import FixedIp, Host, Port, Server
from nova_lite.db.store import Store
from nova_lite.errors import Invalid

_LONGEST_PATTERN = 255
_MOST_REPEATS = 2
_MOST_OPTIONS = 3
_MOST_ALTERNATIVES = 8

_IMAGE = Server.image_properties
_ITS_HOST = aliased(Host)
_ZONE = func.coalesce(
    select(_ITS_HOST.availability_zone).where(_ITS_HOST.name == Server.host).correlate(Server).scalar_subquery(),
    Server.availability_zone,
    "",
)
"""The zone that a server shows: its host's or, while it has none, the one that was asked for."""

SORT: Mapping[str, Any] = {
    "access_ip_v4": Server.access_ip_v4,
    "access_ip_v6": Server.access_ip_v6,
    "auto_disk_config": Server.disk_config,
    "availability_zone": _ZONE,
    "config_drive": Server.config_drive,
    "created_at": Server.created_at,
    "display_description": Server.description,
    "display_name": Server.name,
    "host": Server.host,
    "hostname": Server.hostname,
    "image_ref": Server.image_id,
    "instance_type_id": Server.flavor["id"].as_string(),
    "kernel_id": func.coalesce(_IMAGE["kernel_id"].as_string(), ""),
    "key_name": Server.key_name,
    "launch_index": Server.launch_index,
    "launched_at": Server.launched_at,
    "locked": Server.locked,
    "locked_by": Server.locked_by,
    "node": Server.host,
    "power_state": Server.power_state,
    "project_id": Server.project_id,
    "ramdisk_id": func.coalesce(_IMAGE["ramdisk_id"].as_string(), ""),
    "task_state": Server.task_state,
    "terminated_at": Server.terminated_at,
    "updated_at": Server.updated_at,
    "user_id": Server.user_id,
    "uuid": Server.id,
    "vm_state": Server.vm_state,
}
"""Nova's sort keys and what they sort by; a key that is the same for all servers is left out."""

EQUAL: Mapping[str, Any] = {
    "config_drive": Server.config_drive,
    "created_at": Server.created_at,
    "disk_config": Server.disk_config,
    "flavor": Server.flavor["id"].as_string(),
    "host": Server.host,
    "id": Server.id,
    "image": Server.image_id,
    "kernel_id": _IMAGE["kernel_id"].as_string(),
    "key_name": Server.key_name,
    "launch_index": Server.launch_index,
    "launched_at": Server.launched_at,
    "locked": Server.locked,
    "locked_by": Server.locked_by,
    "power_state": Server.power_state,
    "project_id": Server.project_id,
    "ramdisk_id": _IMAGE["ramdisk_id"].as_string(),
    "reservation_id": Server.reservation_id,
    "task_state": Server.task_state,
    "terminated_at": Server.terminated_at,
    "user_id": Server.user_id,
    "vm_state": Server.vm_state,
}
"""Filters by value."""

MATCHING: Mapping[str, Any] = {
    "access_ip_v4": Server.access_ip_v4,
    "access_ip_v6": Server.access_ip_v6,
    "availability_zone": _ZONE,
    "description": Server.description,
    "hostname": Server.hostname,
    "name": Server.name,
}
"""Filters by regular expression."""


@dataclass(frozen=True)
class Listing:
    """One listing.

    ``project_id`` None: of every project. ``deleted`` None: deleted ones too; True: only those. ``soft_deleted``: those
    that can still be restored too. ``statuses`` are the API's words. ``equal`` and ``matching`` are keyed as :data:`EQUAL` and :data:`MATCHING`. ``tags`` is keyed by Nova's
    four filters (``tags``, ``tags-any``, ``not-tags``, ``not-tags-any``). ``ip`` and ``ip6`` are expressions.
    """

    project_id: str | None
    deleted: bool | None = False
    soft_deleted: bool = False
    statuses: Sequence[str] = ()
    equal: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    matching: Mapping[str, str] = field(default_factory=dict)
    ip: str | None = None
    ip6: str | None = None
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes_since: datetime.datetime | None = None
    changes_before: datetime.datetime | None = None
    sort: Sequence[tuple[str, bool]] = (("created_at", True),)
    limit: int = 1000
    marker: str | None = None


def find(store: Store, listing: Listing) -> list[tuple[str, str]]:
    """List (id, name). :raises Invalid: the marker is not there, or an expression is not one that is taken."""
    with store.read() as session:
        query = _page(session, select(Server.id, Server.name), listing)
        return [(row[0], row[1]) for row in session.execute(query)]


def find_details(store: Store, listing: Listing) -> list[Detail]:
    """List servers with their interfaces and groups, in three queries (four with a marker) whatever their number."""
    with store.read() as session:
        found = servers.to_records(session, _page(session, servers.records(), listing))
        return servers.to_details(session, found)


def _page(session: Session, query: Any, listing: Listing) -> Select[Any]:
    keys = [paging.order(SORT[name], descending=descending) for name, descending in listing.sort if name in SORT]
    descending = keys[-1].descending if keys else True
    keys.append(paging.order(Server.id, descending=descending))
    marker = None
    if listing.marker is not None:
        scope = [Server.id == listing.marker]
        if listing.project_id is not None:
            scope.append(Server.project_id == listing.project_id)
        marker = paging.position(session, keys, *scope)
        if marker is None:
            raise Invalid(f"marker [{listing.marker}] not found", "server.bad_marker")
    query = query.where(*_conditions(listing, session.get_bind().dialect.name))
    return paging.after(query, keys, marker).limit(listing.limit)


def _conditions(listing: Listing, backend: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    soft = Server.vm_state == VmState.SOFT_DELETED.value
    if listing.deleted:
        found.append(or_(Server.deleted, soft) if listing.soft_deleted else Server.deleted.is_(True))
    elif listing.deleted is not None:
        found.append(Server.deleted.is_(False))
        if not (listing.soft_deleted or "SOFT_DELETED" in map(str.upper, listing.statuses)):
            # Deleted for its user, as long as nobody asks for exactly these.
            found.append(not_(soft))
    if listing.project_id is not None:
        found.append(Server.project_id == listing.project_id)
    if listing.statuses:
        found.append(_has_status(listing.statuses))
    found.extend(_is_one_of(EQUAL[name], values) for name, values in listing.equal.items())
    found.extend(MATCHING[name].regexp_match(safe_pattern(text)) for name, text in listing.matching.items())
    # What was never changed was changed when it was made.
    changed = func.coalesce(Server.updated_at, Server.created_at)
    if listing.changes_since is not None:
        found.append(changed >= listing.changes_since)
    if listing.changes_before is not None:
        found.append(changed <= listing.changes_before)
    for pattern, separator in ((listing.ip, "."), (listing.ip6, ":")):
        if pattern is not None:
            found.append(_has_address(pattern, separator))
    for kind, names in listing.tags.items():
        found.append(_has_tags(kind, names, backend))
    return found


def _is_one_of(column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column.in_([value for value in values if value is not None])
    return or_(condition, column.is_(None)) if None in values else condition


def _has_status(statuses: Sequence[str]) -> ColumnElement[bool]:
    alternatives: list[ColumnElement[bool]] = []
    for status in statuses:
        vm_states, task_states = states_for(status)
        condition: ColumnElement[bool] = Server.vm_state.in_(vm_states)
        if task_states is not None:
            condition = and_(condition, Server.task_state.in_(task_states))
        alternatives.append(condition)
    return or_(*alternatives)


def _has_address(pattern: str, separator: str) -> ColumnElement[bool]:
    holding = (
        select(Port.device_id)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .where(FixedIp.address.contains(separator), FixedIp.address.regexp_match(safe_pattern(pattern)))
    )
    return Server.id.in_(holding)


def _has_tags(kind: str, names: Sequence[str], backend: str) -> ColumnElement[bool]:
    each = [_has_tag(name, backend) for name in names]
    joined = or_(*each) if kind.endswith("-any") else and_(*each)
    return not_(joined) if kind.startswith("not-") else joined


def _has_tag(name: str, backend: str) -> ColumnElement[bool]:
    """Look for the tag's JSON text, quotes and all; LIKE would take large letters for small ones."""
    text = orjson.dumps(name).decode()
    if backend == "sqlite":
        return func.instr(cast(Server.tags, Text), text) > 0
    if backend == "postgresql":
        return func.strpos(cast(Server.tags, Text), text) > 0
    return func.json_contains(Server.tags, text) == 1


def safe_pattern(text: str) -> str:
    """Return *text* if it is a regular expression that can't run away.

    It is matched in the database, with SQLite inside this very process, so what can take exponential time, or more
    than some milliseconds on a name of 255 characters, is not taken.

    :raises Invalid: it is not one.
    """
    plain = re.sub(r"\[[^\]]*\]", "x", re.sub(r"\\.", "", text))
    if (
        len(text) > _LONGEST_PATTERN
        or re.search(r"\)[*+?{]|\(\?", plain)  # repeated groups, look-around
        or re.search(r"\\[1-9]", text)  # references back
        or len(re.findall(r"[*+{]", plain)) > _MOST_REPEATS
        or plain.count("?") > _MOST_OPTIONS
        or plain.count("|") > _MOST_ALTERNATIVES
        or not _compiles(text)
    ):
        raise Invalid(
            f"Invalid filter value {text[:64]!r}: it must be a simple regular expression (no repeated groups, at most "
            f"{_MOST_REPEATS} of '*', '+', '{{', {_MOST_OPTIONS} of '?', {_MOST_ALTERNATIVES} of '|').",
            "server.bad_pattern",
        )
    return text


def _compiles(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True

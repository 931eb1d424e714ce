"""What the collections of the Network API share: filters, fields, sorting, pages and links as Neutron has them."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.db.types import now
from nova_lite.errors import Invalid
from nova_lite.network.queries import Listing

ROOT = "/network/v2.0"
_TEXTS: Schema = {"type": "array", "items": {"type": "string", "maxLength": 1024}}
QUERY: Schema = {"type": "object", "additionalProperties": _TEXTS}
"""Any parameters: what is no filter is passed over, as Neutron does without its filter validation."""

TEXT: Schema = {
    "type": "string",
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f\x7f]*$",
    "description": "a text without control characters",
}
BOOLEAN: Schema = {"type": ["boolean", "string", "integer"], "enum": [True, False, "true", "false", "True", "False"]}
PROJECT: Schema = {"type": "string", "maxLength": 64, "pattern": "^[a-zA-Z0-9-]*$"}
ZONE_HINTS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"},
    "maxItems": 100,
    "uniqueItems": True,
    "description": "names of availability zones",
}
_TRUE = (True, "true", "True", "1")


@dataclass(frozen=True)
class Column:
    """A member that can be filtered and sorted by: its column, and how its text is read."""

    name: str
    read: Callable[[str], Any] = str


def truth(value: Any) -> bool:
    """Read a truth as Neutron's clients write it."""
    return value in _TRUE


def _truth_text(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("is neither true nor false")
    return text.lower() in ("true", "1")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ValueError("is not a number from 0")
    return int(text)


def _moment(text: str) -> datetime.datetime:
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S"):
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(text, form)
    raise ValueError("must be in the following format: YYYY-MM-DDTHH:MM:SSZ")


TRUTH: Callable[[str], Any] = _truth_text
NUMBER: Callable[[str], Any] = _whole
MOMENT: Callable[[str], Any] = _moment

STANDARD = {
    "id": Column("id"),
    "description": Column("description"),
    "project_id": Column("project_id"),
    "tenant_id": Column("project_id"),
    "revision_number": Column("revision", NUMBER),
    "created_at": Column("created_at", MOMENT),
    "updated_at": Column("updated_at", MOMENT),
}
"""Columns that everything in Neutron has; see :func:`unnamed`."""
NAMED = {**STANDARD, "name": Column("name")}


def values(call: Call, name: str, read: Callable[[str], Any] = str) -> list[Any]:
    """Read what the filter *name* asks for. :raises Invalid: it can't be meant."""
    found = []
    for text in call.request.GET.getall(name):
        try:
            found.append(read(text))
        except ValueError as error:
            raise Invalid(
                f"Invalid input for {name}. Reason: '{text[:64]}' {error}.", "network.invalid_input"
            ) from None
    return found


def scope(call: Call) -> str | None:
    """Return the project that queries are narrowed to; None: an admin, who may see all."""
    who = call.principal
    return None if who.is_admin else who.project_id or ""


def owner(call: Call, wanted: Mapping[str, Any], rule: str) -> str:
    """Return the project that a new thing is to belong to.

    :raises Forbidden: only admins may name another. :raises Invalid: ``project_id`` and ``tenant_id`` name two.
    """
    named: str | None = wanted.get("project_id") or wanted.get("tenant_id")
    if wanted.get("tenant_id") not in (None, named):
        raise Invalid("'project_id' and 'tenant_id' do not match", "request.schema")
    own = call.principal.project_id
    if named is not None and named != own:
        call.authorize(rule=rule)
        return named
    if own is None:
        raise Invalid("A token that is scoped to a project is needed here.", "network.no_project")
    return own


def listing(call: Call, columns: Mapping[str, Column]) -> Listing:
    """Turn the query into a listing. :raises Invalid: a filter or sort key can't be meant."""
    asked = call.request.GET
    filters = {columns[name].name: values(call, name, columns[name].read) for name in asked if name in columns}
    keys, directions = asked.getall("sort_key"), asked.getall("sort_dir")
    if any(key not in columns for key in keys):
        unknown = ", ".join(repr(key[:64]) for key in keys if key not in columns)
        raise Invalid(f"Invalid input for sort_key. Reason: {unknown} can't be sorted by.", "request.schema")
    if any(direction not in ("asc", "desc") for direction in directions):
        raise Invalid("Invalid input for sort_dir. Reason: it must be 'asc' or 'desc'.", "request.schema")
    directions += ["asc"] * (len(keys) - len(directions))
    reverse = _reverse(call)
    sort = [(columns[key].name, (way == "desc") != reverse) for key, way in zip(keys, directions, strict=False)]
    if not any(name == "id" for name, _ in sort):
        sort.append(("id", reverse))
    wanted_tags = {name: _commas(asked.getall(name)) for name in _TAG_FILTERS if name in asked}
    changed_since = max(values(call, "changed_since", MOMENT), default=None)
    if changed_since is not None and "updated_at" not in columns:
        raise Invalid("Invalid input for changed_since. Reason: these have no times.", "network.invalid_input")
    return Listing(scope(call), filters, sort, _limit(call), call.query.get("marker"), wanted_tags, changed_since)


_TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")


def _commas(texts: Sequence[str]) -> list[str]:
    return [tag for text in texts for tag in text.split(",") if tag]


_IF_MATCH = re.compile(r"revision_number=(-?[0-9]{1,9})")


def expected(call: Call) -> int | None:
    """Return the revision that the header ``If-Match: revision_number=N`` asks for; None: there is none.

    :raises Invalid: the header has another form.
    """
    text = call.request.headers.get("If-Match")
    if text is None:
        return None
    match = _IF_MATCH.fullmatch(text.strip().strip('"'))
    if match is None:
        raise Invalid("Invalid input for If-Match. Reason: it must be revision_number=NUMBER.", "network.bad_request")
    return int(match[1])


def _reverse(call: Call) -> bool:
    return truth(call.query.get("page_reverse", ""))


def _limit(call: Call) -> int | None:
    asked = values(call, "limit", NUMBER)
    if not asked:
        return None
    most: int = call.services.conf.api.max_limit
    # 0 means "all that one page may hold", as Neutron reads it.
    return min(asked[-1] or most, most)


def page(call: Call, collection: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make a collection's body: in order, only the fields asked for, with links to the pages beside it."""
    reverse = _reverse(call)
    ordered = list(reversed(items)) if reverse else list(items)
    answer: dict[str, Any] = {collection: [fields(call, item) for item in ordered]}
    links = []
    if call.query.get("limit") is not None and ordered:
        full = len(ordered) >= (_limit(call) or 0)
        if full or reverse:
            links.append({"rel": "next", "href": _link(call, ordered[-1]["id"], reverse=False)})
        # Backwards from the end there is no marker yet.
        if full if reverse else call.query.get("marker") is not None:
            links.append({"rel": "previous", "href": _link(call, ordered[0]["id"], reverse=True)})
    elif call.query.get("limit") is not None and call.query.get("marker") is not None and not reverse:
        # Beyond the end: the page before is the last one.
        links.append({"rel": "previous", "href": _link(call, None, reverse=True)})
    if links:
        answer[f"{collection}_links"] = links
    return answer


def _link(call: Call, marker: str | None, *, reverse: bool) -> str:
    # Not the collection's name: its path may be another (``security_groups``, ``policies``).
    path = call.request.path.partition("/v2.0")[2]
    kept = [(name, value) for name, value in call.request.GET.items() if name not in ("marker", "page_reverse")]
    if marker is not None:
        kept.append(("marker", marker))
    if reverse:
        kept.append(("page_reverse", "True"))
    return f"{call.services.endpoint}{ROOT}{path}?{urlencode(kept)}"


def one(call: Call, member: str, item: dict[str, Any]) -> dict[str, Any]:
    """Make the body of a single thing, with only the fields asked for."""
    return {member: fields(call, item)}


def fields(call: Call, item: dict[str, Any]) -> dict[str, Any]:
    wanted = call.request.GET.getall("fields")
    return {name: value for name, value in item.items() if name in wanted} if wanted else item


def standard(row: Any, tags: Sequence[str] = ()) -> dict[str, Any]:
    """Make the members that everything in Neutron has."""
    return {"name": row.name} | unnamed(row, tags)


def unnamed(row: Any, tags: Sequence[str] = ()) -> dict[str, Any]:
    """Make the members that even what has no name has: rules and floating IPs."""
    created = row.created_at or now()
    return {
        "id": row.id,
        "description": row.description,
        "tenant_id": row.project_id,
        "project_id": row.project_id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated_at": (row.updated_at or created).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision_number": row.revision,
        "tags": list(tags),
    }


def body(name: str, properties: dict[str, Any], required: Sequence[str] = ()) -> Schema:
    """Make the closed schema of ``{name: {properties}}``."""
    inner: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        inner["required"] = list(required)
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


def creation(name: str, plural: str, properties: dict[str, Any], required: Sequence[str] = ()) -> Schema:
    """Make the closed schema of ``{name: {properties}}`` or, for many at once, ``{plural: [{properties}, …]}``."""
    inner: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        inner["required"] = list(required)
    many: Schema = {"type": "array", "items": inner, "minItems": 1, "maxItems": MOST_AT_ONCE}
    return {
        "type": "object",
        "properties": {name: inner, plural: many},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


MOST_AT_ONCE = 1000
"""Things that one request may make."""


def bodies(call: Call, name: str, plural: str) -> tuple[list[dict[str, Any]], bool]:
    """Return what is to be made, and whether it came as a list (see :func:`creation`)."""
    many = call.body.get(plural)
    return ([call.body[name]], False) if many is None else (many, True)


def made(name: str, plural: str, views: Sequence[dict[str, Any]], *, bulk: bool) -> dict[str, Any]:
    """Make the body that answers a creation."""
    return {plural: list(views)} if bulk else {name: views[0]}

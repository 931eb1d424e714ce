"""From an image list's query string to what the domain lists.

Source: https://docs.openstack.org/api-ref/image/v2/#list-images
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable
from typing import Any

from webob.multidict import MultiDict

from nova_lite.api.image import schemas
from nova_lite.db.models import Image
from nova_lite.errors import Invalid
from nova_lite.image.images import Listing

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}
_LISTS = ("id", "name", "status", "container_format", "disk_format")
_SORTABLE = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
_NUMBERS = {"min_ram": "min_ram", "min_disk": "min_disk"}
_LARGEST = 2**63 - 1
_OURS = {"limit", "marker", "sort", "sort_key", "sort_dir", "member_status"}


def parse(query: MultiDict, max_limit: int) -> Listing:
    """Read a query string. :raises Invalid: a value is not of its kind; the message names it."""
    conditions: list[Any] = []
    properties: dict[str, str] = {}
    hidden = False
    for key, value in query.items():
        if key in _OURS or key == "tag":
            continue
        if key == "os_hidden":
            hidden = _boolean(key, value)
        elif (made := _condition(key, value)) is not None:
            conditions.append(made)
        elif key != "visibility":
            properties[key] = value
    return Listing(
        conditions=tuple(conditions),
        properties=properties,
        tags=tuple(query.getall("tag")),
        hidden=hidden,
        sort=_sort(query),
        marker=query.get("marker"),
        community="visibility" in query,
        limit=_limit(query.get("limit"), max_limit),
    )


def _condition(key: str, value: str) -> Any:
    """Return the condition of one filter; None where it is no column's."""
    if key in _LISTS:
        column = getattr(Image, key)
        if value.startswith("in:"):
            return column.in_([part.strip('"') for part in value[3:].split(",")])
        return column == value
    if key == "visibility":
        if value not in (*schemas.VISIBILITIES, "all"):
            raise Invalid(f"Invalid visibility value: {value}; it is one of {', '.join(schemas.VISIBILITIES)}, all.")
        return None if value == "all" else Image.visibility == value
    if key == "owner":
        return Image.owner == value
    if key == "protected":
        return Image.protected.is_(_boolean(key, value))
    if key in _NUMBERS:
        return getattr(Image, key) >= _number(key, value)
    if key in ("size_min", "size_max"):
        return Image.size >= _number(key, value) if key == "size_min" else Image.size <= _number(key, value)
    if key in ("created_at", "updated_at"):
        return _moment(key, value)
    return None


def _moment(key: str, value: str) -> Any:
    name, colon, rest = value.partition(":")
    compare = _COMPARE.get(name, operator.eq) if colon else operator.eq
    text = rest if colon and name in _COMPARE else value
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo:
            moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{key} must be an ISO 8601 time, maybe with gt:, gte:, lt:, lte:, eq: or neq: before it."
        ) from None
    column = getattr(Image, key)
    # Times are shown as whole seconds: such a one means all of it.
    last = moment if moment.microsecond else moment.replace(microsecond=999_999)
    if compare in (operator.eq, operator.ne):
        inside = column.between(moment, last)
        return ~inside if compare is operator.ne else inside
    return compare(column, last if compare in (operator.gt, operator.le) else moment)


def _sort(query: MultiDict) -> tuple[tuple[str, bool], ...]:
    if query.get("sort"):
        pairs = [part.partition(":")[::2] for part in query["sort"].split(",")]
    else:
        keys = query.getall("sort_key") or ["created_at"]
        directions = query.getall("sort_dir") or ["desc"]
        directions += [directions[-1]] * (len(keys) - len(directions))
        pairs = list(zip(keys, directions, strict=False))
    made = []
    for key, direction in pairs:
        if key not in _SORTABLE:
            raise Invalid(f"Invalid sort_key: {key}; it is one of {', '.join(_SORTABLE)}.")
        if direction not in ("asc", "desc", ""):
            raise Invalid(f"Invalid sort direction: {direction}; it is asc or desc.")
        made.append((key, direction == "asc"))
    return tuple(made)


def _limit(text: str | None, max_limit: int) -> int:
    if text is None:
        return min(25, max_limit)
    return min(_number("limit", text), max_limit)


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise Invalid(f"{key} must be a number that is not negative, not {text[:64]!r}.")
    # Databases refuse greater numbers; no image has as much of anything.
    return int(text) if len(text) < len(str(_LARGEST)) else _LARGEST


def _boolean(key: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Invalid(f"{key} must be true or false, not {text!r}.")
    return text.lower() == "true"

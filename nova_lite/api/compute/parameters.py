"""Pieces of Nova's schemas, and what their lenient values mean."""

from __future__ import annotations

import datetime
import functools
import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from nova_lite.api.routes import Schema
from nova_lite.api.validation import LARGEST as LARGEST
from nova_lite.api.version import Version
from nova_lite.errors import Invalid

NAME: Schema = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}
DESCRIPTION: Schema = {"type": ["string", "null"], "pattern": r"^[^\x00-\x1f\x7f]*$", "maxLength": 255}
UUID: Schema = {"type": "string", "format": "uuid"}
TRUE = (True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes")
FALSE = (False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no")
BOOLEAN: Schema = {"type": ["boolean", "string"], "enum": [*TRUE, *FALSE]}
POSITIVE: Schema = {"type": ["integer", "string"], "format": "positive number", "minimum": 1, "maximum": LARGEST}
NOT_NEGATIVE: Schema = {"type": ["integer", "string"], "format": "number from 0", "minimum": 0, "maximum": LARGEST}
HOSTNAME: Schema = {
    "type": "string",
    "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
    "minLength": 2,
    "maxLength": 63,
}
FQDN: Schema = {"type": "string", "pattern": "^[a-zA-Z0-9-._]*$", "minLength": 1, "maxLength": 255}
TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": r"^[^,/\x00-\x1f\x7f]*$"}
METADATA: Schema = {
    "type": "object",
    "properties": {"nova_lite:restart": {"enum": ["never", "on-failure", "always"]}},
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
METADATA_BODY: Schema = {
    "type": "object",
    "properties": {"metadata": METADATA},
    "required": ["metadata"],
    "additionalProperties": False,
}
"""All items of a server or an image."""
METADATA_ITEM_BODY: Schema = {
    "type": "object",
    "properties": {"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}},
    "required": ["meta"],
    "additionalProperties": False,
}
IP_ADDRESS: Schema = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}

TEXTS: Schema = {"type": "array", "items": {"type": "string", "maxLength": 1024}}
"""A query parameter: all its values."""
NUMBERS: Schema = {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,40}$"}}
"""A query parameter: whole numbers; one that is too large for whatever it counts means all."""
MOMENTS: Schema = {"type": "array", "items": {"type": "string", "format": "date-time"}}
ANY_QUERY: Schema = {"type": "object", "additionalProperties": TEXTS}
NO_QUERY: Schema = {"type": "object", "properties": {}, "additionalProperties": False}

TRUSTED_CERTIFICATES: Schema = {
    "type": ["array", "null"],
    "items": {"type": "string", "minLength": 1},
    "minItems": 1,
    "maxItems": 50,
    "uniqueItems": True,
}

SchemaOf = Callable[[Version], Schema]


def once(parameter: Schema) -> Schema:
    """Make the schema of a query parameter that may be given once only."""
    return {**parameter, "maxItems": 1}


def body(name: str, properties: dict[str, Any], required: Iterable[str] = ()) -> Schema:
    """Make the schema of ``{name: {properties}}``, closed."""
    inner: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        inner["required"] = list(required)
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


def query(properties: dict[str, Any], *, is_open: bool) -> Schema:
    """Make the schema of a query string; an open one takes parameters that it does not know, as Nova did before 2.75."""
    return {"type": "object", "properties": properties, "additionalProperties": TEXTS if is_open else False}


def by_minor(build: Callable[[int], Schema], *minors: int) -> SchemaOf:
    """Make a function that gives the schema of a version: *build* is called once for each of *minors*, where it changes."""
    build_once = functools.cache(build)
    steps = sorted(minors, reverse=True)

    def choose(version: Version) -> Schema:
        return build_once(next(minor for minor in steps if minor <= version.minor))

    return choose


def truth(value: Any) -> bool:
    """Read one of :data:`BOOLEAN`'s values."""
    return value in TRUE


def truth_of_query(name: str, value: str) -> bool:
    """Read a query parameter's truth. :raises Invalid: it is neither."""
    if value in TRUE or value.lower() in ("t", "y"):
        return True
    if value in FALSE or value.lower() in ("f", "n"):
        return False
    raise Invalid(f"Invalid value '{value}' for {name}; it must be true or false.", "request.query")


def moment(text: str) -> datetime.datetime:
    """Read an ISO 8601 moment as naive UTC. :raises Invalid: it is none."""
    try:
        value = datetime.datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        # The first and the last hours there are have no time in UTC.
        return value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Invalid(f"Invalid time '{text}'; it must be as 2026-01-31T12:00:00Z.", "request.query") from None


def until(text: str) -> datetime.datetime:
    """Read a moment as the last one that is meant: a whole second, as times are shown, to its end.

    :raises Invalid: it is none.
    """
    value = moment(text)
    return value if value.microsecond else value.replace(microsecond=999_999)


def shortest_ip(text: str) -> str:
    """Write an address as short as it can be, as upstream keeps it; nothing stays nothing."""
    return str(ipaddress.ip_address(text)) if text else ""


def number(name: str, text: str) -> int:
    """Read a query parameter's whole number. :raises Invalid: it is none."""
    try:
        value = int(text)
    except ValueError:
        raise Invalid(f"Invalid value '{text}' for {name}; it must be a whole number.", "request.query") from None
    if abs(value) > LARGEST:
        raise Invalid(f"Invalid value '{text}' for {name}; it is too large.", "request.query")
    return value


def shown_moment(value: datetime.datetime | None) -> str | None:
    """Write a moment as Nova writes most of them: whole seconds and a Z."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")


def exact_moment(value: datetime.datetime | None) -> str | None:
    """Write a moment as Nova writes some of them: microseconds and no zone."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%S.%f")

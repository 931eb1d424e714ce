"""Validation of bodies and query strings by JSON schema, with messages that name the field.

Schemas are compiled at their first use (a compile costs some 10 ms, and few routes are used in a process's first
second) and kept.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import fastjsonschema

from nova_lite.errors import Invalid

LARGEST = 0x7FFFFFFF
"""What an INTEGER column holds."""

_COMPILED: dict[int, tuple[Any, Callable[[Any], Any]]] = {}
_LOCK = threading.Lock()


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)).replace("-", "") == text.lower().replace("-", "")
    except ValueError:
        return False


def _is_ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            # A zone, as in fe80::1%eth0, means something on one machine only.
            return "%" not in text and ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_base64(text: str) -> bool:
    """Tell whether there is something to decode; characters between, as line ends, are passed over, as upstream does."""
    try:
        base64.b64decode(text)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_whole(least: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        return re.fullmatch("[0-9]{1,10}", text) is not None and least <= int(text) <= LARGEST

    return check


def _is_visible_name(text: str) -> bool:
    return bool(text.strip()) and text == text.strip() and text.isprintable()


FORMATS: dict[str, Callable[[str], bool]] = {
    "uuid": _is_uuid,
    "ipv4": _is_ip(4),
    "ipv6": _is_ip(6),
    "cidr": _is_cidr,
    "base64": _is_base64,
    "name": _is_visible_name,
    "name in spaces": lambda text: _is_visible_name(text.strip()),
    "positive number": _is_whole(1),
    "number from 0": _is_whole(0),
    "mac": lambda text: re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text) is not None,
    "date-time": lambda text: re.match(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?", text) is not None,
}
"""Formats that our schemas may name beside JSON Schema's own."""


def validate(schema: dict[str, Any], value: Any, *, where: str = "body") -> Any:
    """Check *value* by *schema*; return it with the schema's defaults filled in.

    :raises Invalid: it does not fit; the message names the field and what would be right.
    """
    try:
        return _compiled(schema)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        raise Invalid(_explain(error, where), "request.schema") from None


def refuse_nul(value: Any, path: tuple[str, ...] = ()) -> None:
    """Refuse a NUL character in whatever text there is: no field means one, and PostgreSQL keeps none.

    :raises Invalid: there is one; the message names the field.
    """
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        if isinstance(name, str) and "\0" in name:
            raise Invalid("Invalid input: the name of a field has a NUL character.", "request.schema")
        if isinstance(member, str):
            if "\0" in member:
                field = _name([*path, str(name)])
                raise Invalid(f"Invalid input for field/attribute {field}. It has a NUL character", "request.schema")
        else:
            refuse_nul(member, (*path, str(name)))


def _compiled(schema: dict[str, Any]) -> Callable[[Any], Any]:
    found = _COMPILED.get(id(schema))
    if found is None:
        with _LOCK:
            compiled = fastjsonschema.compile(schema, formats=FORMATS, use_default=False, detailed_exceptions=True)
            # The schema is kept too, so that its id can't be given to another one.
            found = _COMPILED[id(schema)] = (schema, compiled)
    return found[1]


_SECRET = frozenset({"password", "original_password", "adminPass", "token", "user_data"})
"""Fields whose values, and whatever lies in them, are not repeated in a message."""


def _explain(error: Any, where: str) -> str:
    path = [str(part) for part in error.path[1:]]
    name = _name(path) or where
    value = error.value
    secret = bool(_SECRET.intersection(path))
    inner = None if secret else _of_its_type(error, name)
    if inner is not None:
        return inner
    shown = "(hidden)" if secret else _cut(repr(value))
    if error.rule == "additionalProperties" and isinstance(value, dict):
        allowed = set((error.definition or {}).get("properties", {}))
        patterns = list((error.definition or {}).get("patternProperties", {}))
        extra = sorted(key for key in value if key not in allowed and not any(re.search(p, key) for p in patterns))
        names = ", ".join(repr(key) for key in extra)
        verb = "was" if len(extra) == 1 else "were"
        return f"Invalid input for field/attribute {name}. Additional properties are not allowed ({names} {verb} unexpected)"
    if error.rule == "required" and isinstance(value, dict):
        missing = [key for key in error.rule_definition if key not in value]
        return f"Invalid input for field/attribute {name}. {missing[0]!r} is a required property"
    if error.rule == "minProperties" and value == {} and (members := (error.definition or {}).get("properties")):
        return f"Invalid input for field/attribute {name}. One of {sorted(members)} is required"
    reason = {
        "maxLength": lambda: f"{shown} is too long",
        "minLength": lambda: f"{shown} is too short",
        "type": lambda: f"{shown} is not of type {_types(error.rule_definition)}",
        "enum": lambda: f"{shown} is not one of {list(error.rule_definition)}",
        "pattern": lambda: f"{shown} {_unmatched(error)}",
        "format": lambda: f"{shown} is not a {error.rule_definition!r}",
        "minimum": lambda: f"{shown} is less than the minimum of {error.rule_definition}",
        "maximum": lambda: f"{shown} is greater than the maximum of {error.rule_definition}",
        "anyOf": lambda: f"{shown} is not a {_choices(error.rule_definition)}",
    }.get(error.rule)
    text = reason() if reason else error.message.replace(error.name, name, 1)
    bare = shown if secret else _cut(str(value))
    return f"Invalid input for field/attribute {name}. Value: {bare}. {text}"


def _name(path: list[str]) -> str:
    """Name the innermost member, as Nova does; an item of a list by the list's name and its place in it."""
    named = [index for index, part in enumerate(path) if not part.isdecimal()]
    if not named:
        return path[-1] if path else ""
    return path[named[-1]] + "".join(f"[{part}]" for part in path[named[-1] + 1 :])


def _of_its_type(error: Any, where: str) -> str | None:
    """Explain by the only one of several forms that has the value's JSON type, where there is just one: that one was meant."""
    if error.rule not in ("anyOf", "oneOf"):
        return None
    kinds = _JSON_TYPES.get(type(error.value), ())
    meant = [each for each in error.rule_definition if each.get("type") in kinds]
    if len(meant) != 1:
        return None
    try:
        _compiled(meant[0])(error.value)
    except fastjsonschema.JsonSchemaValueException as inner:
        return _explain(inner, where)
    return None


_JSON_TYPES: dict[type, tuple[str, ...]] = {
    dict: ("object",),
    list: ("array",),
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    type(None): ("null",),
}


def _unmatched(error: Any) -> str:
    """Say what a text should be: in the schema's own words (``description``), else by the pattern."""
    described = (error.definition or {}).get("description")
    return f"is not {described}" if described else f"does not match {error.rule_definition!r}"


def _choices(definitions: list[Any]) -> str:
    """Word what a value may be: a format of ours or a type of JSON's."""
    names = [each.get("format") or each.get("type") or "value of another allowed form" for each in definitions]
    return " or ".join(repr(name) for name in names)


def _cut(text: str) -> str:
    return text if len(text) <= 1024 else text[:1024] + "…"


def _types(definition: Any) -> str:
    names = definition if isinstance(definition, list) else [definition]
    return ", ".join(repr(name) for name in names)

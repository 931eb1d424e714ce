"""The schemas of what Identity's writes take.

Keystone keeps members that it does not know and shows them again; here too, but only plain values, and never in the place of one
that it does know.
"""

from __future__ import annotations

from typing import Any

from nova_lite.api.routes import Schema
from nova_lite.identity import passwords

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"[\S]+"}
_USER_NAME: Schema = _NAME
_TEXT: Schema = {"type": ["string", "null"], "maxLength": 65_535}
_ENABLED: Schema = {"type": "boolean"}
_ID: Schema = {"type": ["string", "null"], "pattern": "^[a-zA-Z0-9-]{1,64}$"}
_OPTIONS: Schema = {
    "type": "object",
    "properties": {"immutable": {"enum": [False, None]}},
    "additionalProperties": False,
}
_OWN: Schema = {"type": ["string", "boolean", "number", "null"], "maxLength": 1024}
_TAGS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"},
    "maxItems": 80,
    "uniqueItems": True,
}
_PASSWORD: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": passwords.MAX_LENGTH}


def _body(noun: str, properties: dict[str, Any], required: tuple[str, ...] = (), *, own: bool = False) -> Schema:
    inner: Schema = {
        "type": "object",
        "properties": properties,
        "maxProperties": 64,
        "additionalProperties": _OWN if own else False,
    }
    if required:
        inner["required"] = list(required)
    else:
        inner["minProperties"] = 1
    return {"type": "object", "properties": {noun: inner}, "required": [noun], "additionalProperties": False}


_PROJECT: dict[str, Any] = {
    "name": {**_NAME, "maxLength": 64},
    "description": _TEXT,
    "domain_id": _ID,
    "parent_id": _ID,
    "is_domain": {"enum": [False]},
    "enabled": _ENABLED,
    "tags": _TAGS,
    "options": _OPTIONS,
}
_USER: dict[str, Any] = {
    "name": _USER_NAME,
    "description": _TEXT,
    "email": {"type": ["string", "null"], "maxLength": 255},
    "domain_id": _ID,
    "default_project_id": _ID,
    "enabled": _ENABLED,
    "password": _PASSWORD,
    "options": {"type": "object", "maxProperties": 0},
}
_ROLE: dict[str, Any] = {
    "name": _NAME,
    "description": _TEXT,
    "domain_id": {"type": "null"},
    "options": _OPTIONS,
}
_DOMAIN: dict[str, Any] = {
    "name": {**_NAME, "maxLength": 64},
    "description": _TEXT,
    "enabled": _ENABLED,
    "options": _OPTIONS,
    "tags": {"type": "array", "maxItems": 0},
}

CREATE_PROJECT = _body("project", _PROJECT, ("name",), own=True)
UPDATE_PROJECT = _body("project", _PROJECT, own=True)
CREATE_USER = _body("user", _USER, ("name",), own=True)
UPDATE_USER = _body("user", _USER, own=True)
CREATE_ROLE = _body("role", _ROLE, ("name",))
UPDATE_ROLE = _body("role", _ROLE)
CREATE_DOMAIN = _body("domain", _DOMAIN, ("name",))
UPDATE_DOMAIN = _body("domain", _DOMAIN)

_NEVER_KEPT = frozenset({"id", "links", "password_hash", "password_expires_at", "original_password", "extra"})


def own_members(body: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the members of *body* that only its sender knows the meaning of."""
    return {name: value for name, value in body.items() if name not in known and name not in _NEVER_KEPT}


def own_of_project(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a project beside its columns: unknown members, and its tags."""
    kept = own_members(body, _PROJECT)
    return {**kept, "tags": body["tags"]} if "tags" in body else kept


def own_of_user(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a user beside its columns."""
    return own_members(body, _USER)

"""What an image is, as JSON schemas: for our own checks and for ``/v2/schemas``, which glanceclient reads."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.errors import NotFound
from nova_lite.image.inspection import CONTAINER_FORMATS, DISK_FORMATS

_NAME = {"type": ["null", "string"], "maxLength": 255}
_SIZE = {"type": "integer", "minimum": 0, "maximum": 2147483647}
VISIBILITIES = ["public", "community", "shared", "private"]

WRITABLE: dict[str, Any] = {
    "name": _NAME,
    "visibility": {"type": "string", "enum": VISIBILITIES},
    "container_format": {"type": ["null", "string"], "enum": [None, *CONTAINER_FORMATS]},
    "disk_format": {"type": ["null", "string"], "enum": [None, *DISK_FORMATS]},
    "min_disk": _SIZE,
    "min_ram": _SIZE,
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}, "maxItems": 128},
}
"""Members that a client may set, by name."""

READ_ONLY = (
    "id",
    "status",
    "size",
    "virtual_size",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "owner",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "locations",
    "direct_url",
)
"""Members that only the server sets (a client may name ``id`` at creation)."""

PROPERTY = {"type": ["string", "null"], "maxLength": 65535}
"""Whatever else a client sends is a property of its own: a string."""

CREATE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "owner": {"type": "string", "maxLength": 64},
        **WRITABLE,
    },
    "additionalProperties": PROPERTY,
    "maxProperties": 200,
}

PATCH: dict[str, Any] = {
    "type": "array",
    "maxItems": 300,
    "items": {
        "type": "object",
        "properties": {
            "op": {"type": "string", "enum": ["add", "replace", "remove"]},
            "path": {"type": "string", "maxLength": 512},
            "value": {},
        },
        "required": ["op", "path"],
        "additionalProperties": False,
    },
}


def _image() -> dict[str, Any]:
    text = {"type": ["null", "string"], "readOnly": True}
    properties: dict[str, Any] = {name: dict(schema) for name, schema in WRITABLE.items()}
    properties |= {name: dict(text) for name in READ_ONLY if name not in ("size", "virtual_size", "locations")}
    properties |= {name: {"type": ["null", "integer"], "readOnly": True} for name in ("size", "virtual_size")}
    return {
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def _images() -> dict[str, Any]:
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": _image()},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}],
    }


def show(call: Call) -> dict[str, Any]:
    """Show the schema of an image or of a list of images."""
    made = {"image": _image, "images": _images}.get(call.params["name"])
    if made is None:
        raise NotFound(f"There is no schema called {call.params['name']}.", "schema.not_found")
    return made()

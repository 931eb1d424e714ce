"""A server's tags, since 2.26: words without values that listings can be filtered by."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from nova_lite.api.compute import access, paging, parameters
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import servers
from nova_lite.errors import Invalid, NotFound

MOST_TAGS = 50
LONGEST_TAG = 60
REPLACE: Schema = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": parameters.TAG, "maxItems": MOST_TAGS}},
    "required": ["tags"],
    "additionalProperties": False,
}


def index(call: Call) -> dict[str, Any]:
    """List the tags."""
    return {"tags": access.server(call).tags}


def show(call: Call) -> None:
    """Tell whether the server has a tag: 204, or 404."""
    record = access.server(call)
    if call.params["tag"] not in record.tags:
        raise _not_found(record.id, call.params["tag"])


def add(call: Call) -> Reply:
    """Add one tag: 201, or 204 where it was there already."""
    record = access.server(call)
    tag = _checked(call.params["tag"])
    new = False

    def with_it(tags: list[str]) -> list[str]:
        nonlocal new
        new = tag not in tags
        if new and len(tags) >= MOST_TAGS:
            raise Invalid(f"The number of tags exceeded the per-server limit {MOST_TAGS}", "server.tag_limit")
        return [*tags, tag] if new else tags

    servers.edit(call.store, record.id, "tags", with_it, verb="update tag")
    if not new:
        return Reply(status=204)
    location = f"{call.services.endpoint}{paging.ROOT}/servers/{record.id}/tags/{quote(tag, safe='')}"
    return Reply(status=201, headers={"Location": location})


def replace(call: Call) -> dict[str, Any]:
    """Put other tags in the place of all."""
    record = access.server(call)
    wanted = list(dict.fromkeys(call.body["tags"]))
    return {"tags": servers.edit(call.store, record.id, "tags", lambda _tags: wanted, verb="update tags")}


def delete(call: Call) -> None:
    """Remove one tag."""
    record = access.server(call)
    tag = call.params["tag"]

    def without(tags: list[str]) -> list[str]:
        if tag not in tags:
            raise _not_found(record.id, tag)
        return [each for each in tags if each != tag]

    servers.edit(call.store, record.id, "tags", without, verb="delete tag")


def delete_all(call: Call) -> None:
    """Remove all tags."""
    record = access.server(call)
    servers.edit(call.store, record.id, "tags", lambda _tags: [], verb="delete tags")


def _checked(tag: str) -> str:
    if len(tag) > LONGEST_TAG or "," in tag or not tag.isprintable():
        raise Invalid(
            f"Tag '{tag[:80]}' is invalid. It must be a string without characters '/' and ','. "
            f"Validation error message: at most {LONGEST_TAG} printable characters",
            "server.tag_invalid",
        )
    return tag


def _not_found(server_id: str, tag: str) -> NotFound:
    return NotFound(f"Server {server_id} has no tag '{tag[:LONGEST_TAG]}'", "server.tag_not_found")

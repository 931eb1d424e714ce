"""``/v2.0/{collection}/{id}/tags``, the same for everything that can have tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.routes import Reply, Route, Schema
from nova_lite.errors import Invalid
from nova_lite.network import tags

TAG: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f\x7f]+$",
    "description": "a text without control characters",
}
TAGS: Schema = {"type": "array", "items": TAG, "maxItems": tags.MOST, "uniqueItems": True}
_BODY: Schema = {
    "type": "object",
    "properties": {"tags": TAGS},
    "required": ["tags"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Tagged:
    """A collection whose things have tags. ``noun`` is what its policy rules call one of them.

    ``owner`` returns the project of a thing that the caller may see, else raises NotFound.
    """

    collection: str
    noun: str
    model: Any
    owner: Callable[[Call, str], str]


def routes(kind: Tagged) -> tuple[Route, ...]:
    """Make the routes of a collection's tags."""
    many = f"/v2.0/{kind.collection}/{{id}}/tags"
    one = f"{many}/{{tag}}"
    read, write, remove = f"get_{kind.noun}:tags", f"update_{kind.noun}:tags", f"delete_{kind.noun}:tags"
    query = collections.QUERY
    return (
        Route("GET", many, partial(_index, kind), read, query=query),
        Route("POST", many, partial(_add_all, kind), write, late=True, status=201, body=_BODY, query=query),
        Route("PUT", many, partial(_replace, kind), write, late=True, body=_BODY, query=query),
        Route("DELETE", many, partial(_clear, kind), remove, late=True, status=204, query=query),
        Route("GET", one, partial(_show, kind), read, status=204, query=query),
        Route("PUT", one, partial(_add, kind), write, late=True, status=201, query=query),
        Route("DELETE", one, partial(_remove, kind), remove, late=True, status=204, query=query),
    )


def _own(kind: Tagged, call: Call) -> str:
    identifier = call.params["id"]
    call.authorize({"project_id": kind.owner(call, identifier)})
    return identifier


def _tag(call: Call) -> str:
    tag = call.params["tag"]
    if not 1 <= len(tag) <= 255 or not tag.isprintable():
        raise Invalid("Invalid input for tag. Reason: it must be 1 to 255 printable characters.", "network.bad_request")
    return tag


def _index(kind: Tagged, call: Call) -> dict[str, Any]:
    kind.owner(call, call.params["id"])
    return {"tags": tags.read(call.store, call.params["id"])}


def _show(kind: Tagged, call: Call) -> None:
    kind.owner(call, call.params["id"])
    tags.require(call.store, call.params["id"], _tag(call))


def _replace(kind: Tagged, call: Call) -> dict[str, Any]:
    wanted = call.body["tags"]
    return {"tags": tags.replace(call.store, kind.model, _own(kind, call), wanted, collections.expected(call))}


def _clear(kind: Tagged, call: Call) -> None:
    tags.replace(call.store, kind.model, _own(kind, call), (), collections.expected(call))


def _add(kind: Tagged, call: Call) -> Reply:
    tags.add(call.store, kind.model, _own(kind, call), [_tag(call)], collections.expected(call))
    return Reply(None, 201)


def _add_all(kind: Tagged, call: Call) -> dict[str, Any]:
    wanted = call.body["tags"]
    return {"tags": tags.add(call.store, kind.model, _own(kind, call), wanted, collections.expected(call))}


def _remove(kind: Tagged, call: Call) -> None:
    tags.remove(call.store, kind.model, _own(kind, call), _tag(call), collections.expected(call))

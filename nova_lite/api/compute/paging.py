"""Limits, markers and links as each collection of the Compute API has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from nova_lite.api.compute import parameters
from nova_lite.api.context import Call

ROOT = "/compute/v2.1"
BOOKMARKS = "/compute"

PAGE: dict[str, Any] = {"limit": parameters.NUMBERS, "marker": parameters.TEXTS}
"""The query parameters of every collection that has pages."""


def limit_of(call: Call) -> int:
    """Return how many items the page holds at most: what was asked for, within ``[api] max_limit``."""
    most: int = call.services.conf.api.max_limit
    asked = call.query.get("limit")
    return most if asked is None else min(most, int(asked))


def links(call: Call, path: str, identifier: str) -> list[dict[str, str]]:
    """Make the two links of one thing in the collection *path* (``servers``)."""
    endpoint = call.services.endpoint
    return [
        {"rel": "self", "href": f"{endpoint}{ROOT}/{path}/{identifier}"},
        {"rel": "bookmark", "href": f"{endpoint}{BOOKMARKS}/{path}/{identifier}"},
    ]


def next_links(call: Call, path: str, shown: Sequence[Any], last: str) -> list[dict[str, str]]:
    """Make the link to the next page; none where this page is not full, so that nothing can follow."""
    limit = limit_of(call)
    if not shown or len(shown) < limit:
        return []
    asked = [(name, value) for name, value in call.request.GET.items() if name != "marker"]
    query = urlencode([*asked, ("marker", last)])
    return [{"rel": "next", "href": f"{call.services.endpoint}{ROOT}/{path}?{query}"}]


def page(call: Call, member: str, path: str, shown: Sequence[Any], last: str) -> dict[str, Any]:
    """Make a collection's body, with ``<member>_links`` where another page may follow."""
    answer: dict[str, Any] = {member: shown}
    following = next_links(call, path, shown, last)
    if following:
        answer[f"{member}_links"] = following
    return answer

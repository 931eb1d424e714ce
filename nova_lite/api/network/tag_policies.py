"""The rules of tags, the same for everything that can have them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.policy import MEMBER, READER, rule


def tag_rules(collection: str, noun: str) -> tuple[Any, ...]:
    """Make the policy rules of a collection's tags."""
    many, one = f"/{collection}/{{id}}/tags", f"/{collection}/{{id}}/tags/{{tag}}"
    return (
        rule(f"get_{noun}:tags", READER, f"See the tags of a {noun}.", ("GET", many), ("GET", one)),
        rule(
            f"update_{noun}:tags", MEMBER, f"Change the tags of a {noun}.", ("POST", many), ("PUT", many), ("PUT", one)
        ),
        rule(f"delete_{noun}:tags", MEMBER, f"Remove tags of a {noun}.", ("DELETE", many), ("DELETE", one)),
    )

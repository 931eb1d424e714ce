"""A difference that was found, and what would cure it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One difference. ``safe``: ``--fix`` applies the cure.

    ``host`` is the host that it concerns, None where it is the cloud's. ``basis`` is what it was found on (a server's generation, an
    upload's file), not shown: a thing that has changed between two looks is another finding.
    """

    kind: str
    object_id: str
    problem: str
    cure: str
    safe: bool
    host: str | None = None
    basis: str = ""

"""Ports over the Network API: how long making, reading and deleting one takes, and a page of a hundred."""

from __future__ import annotations

import time
from typing import Any

import cloud

NETWORK = "/network/v2.0"


def lives(door: cloud.Cloud, network_id: str, count: int) -> dict[str, Any]:
    """Make and delete *count* ports one after the other; milliseconds of each."""
    body = {"port": {"network_id": network_id}}
    parts: dict[str, list[float]] = {"post": [], "show": [], "delete": []}
    for number in range(count + 2):
        begun = time.perf_counter()
        identifier = door.ask("POST", f"{NETWORK}/ports", body)["port"]["id"]
        made = time.perf_counter()
        door.ask("GET", f"{NETWORK}/ports/{identifier}")
        shown = time.perf_counter()
        door.ask("DELETE", f"{NETWORK}/ports/{identifier}")
        if number >= 2:
            parts["post"].append(made - begun)
            parts["show"].append(shown - made)
            parts["delete"].append(time.perf_counter() - shown)
    return {name: cloud.percentiles(taken, 2) for name, taken in parts.items()}


def page(door: cloud.Cloud, network_id: str, count: int) -> dict[str, Any]:
    """Read a page of a hundred ports *count* times."""
    made = door.ask("POST", f"{NETWORK}/ports", {"ports": [{"network_id": network_id}] * 100})["ports"]
    taken = cloud.timed(lambda: door.ask("GET", f"{NETWORK}/ports?limit=100"), count)
    for port in made:
        door.ask("DELETE", f"{NETWORK}/ports/{port['id']}")
    return cloud.percentiles(taken, 2)

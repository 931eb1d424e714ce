"""The routes of each API and the actions of a server, as tables of ``doc/api_coverage.rst``."""

from __future__ import annotations

import re

import upstream
from tables import code, table

from nova_lite.api.compute.server_actions import ACTIONS
from nova_lite.api.compute.versions import VERSIONS
from nova_lite.api.mounts import MOUNTS
from nova_lite.api.routes import Mount, Route

TITLES = {
    "/identity": "Identity v3",
    "/compute": "Compute v2.1",
    "/image": "Image v2",
    "/network": "Network v2.0",
}
FOREVER = 10_000


def routes() -> str:
    """Return a section for each API, with every route of it."""
    return "\n\n".join(_section(mount) for mount in MOUNTS)


def _section(mount: Mount) -> str:
    title = TITLES.get(mount.prefix, mount.prefix)
    versioned = mount.versions is not None
    head = ("Method", "Path", "Policy rule", *(("Microversions",) if versioned else ()))
    rows = []
    for route in mount.routes:
        cells = [route.method, code(mount.prefix + route.path), _rule(route)]
        if versioned:
            cells.append(_span(route))
        rows.append(cells)
    widths = (8, 45, 35, 12) if versioned else (8, 50, 42)
    count = f"{len(rows)} routes below ``{mount.prefix}``."
    return f"{title}\n{'-' * len(title)}\n\n{count}\n\n{table(head, rows, widths)}"


def _rule(route: Route) -> str:
    if route.open:
        return "none: answered without a token"
    if route.path.endswith("/servers/{server_id}/action"):
        return "each action's own, below"
    return code(route.rule or "")


def _span(route: Route) -> str:
    if route.since is None and route.until is None:
        return "all"
    if route.until is None:
        return f"{route.since} on"
    return f"{route.since or VERSIONS.least} to {route.until}"


def actions() -> str:
    """Return the table of what ``POST /servers/{id}/action`` takes."""
    rows = []
    for action in ACTIONS.values():
        span = "all" if (action.since, action.until) == (1, FOREVER) else f"2.{action.since} to 2.{action.until}"
        if action.until == FOREVER and action.since != 1:
            span = f"2.{action.since} on"
        rows.append((code(action.name), code(action.rule), span))
    return table(("Action", "Policy rule", "Microversions"), rows, (30, 50, 20))


def missing() -> str:
    """Return the table of what upstream has and this has not."""
    rows = []
    for prefix, resources in upstream.RESOURCES.items():
        there = {
            f"{route.method} {_shape(route.path)}"
            for mount in MOUNTS
            if mount.prefix == prefix
            for route in mount.routes
        }
        absent = [name for name, wanted in resources.items() if not _is_there(wanted, there)]
        rows.append((code(prefix), ", ".join(absent) or "nothing of the list"))
    actions = ", ".join(code(name) for name in upstream.ACTIONS if name not in ACTIONS)
    rows.append(("server actions", actions or "nothing of the list"))
    return table(("API", "Not there"), rows, (15, 85))


def _is_there(wanted: str, there: set[str]) -> bool:
    method, _, path = wanted.rpartition(" ")
    start = _shape(path)
    return any(
        (not method or route.startswith(f"{method} ")) and route.partition(" ")[2].startswith(start) for route in there
    )


def _shape(path: str) -> str:
    """Return *path* with its variables nameless."""
    return re.sub(r"\{[^}]*\}", "{}", path)

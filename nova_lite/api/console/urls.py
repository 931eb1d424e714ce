"""Where a console is found: the addresses that are handed out, and the origins whose pages may open one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode, urlsplit

PREFIX = "/console/"
WEBSOCKET = "/console/websocket"
SCREEN = "/console/vnc"
TERMINAL = "/console/serial"
SPICE = "/console/spice"
SPICE_CLIENT = "/console/spice-html5/"
"""Below it are the files of spice-html5."""

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def serial(endpoint: str, token: str) -> str:
    """Return a serial console's URL: the WebSocket itself, as upstream's clients take it. *endpoint*: how we are reached."""
    return f"{websocket_endpoint(endpoint)}{WEBSOCKET}?token={quote(token, safe='')}"


def novnc(endpoint: str, token: str, base_url: str = "") -> str:
    """Return a screen's URL: a page which is told the WebSocket's path, as noVNC's own pages are.

    *base_url*: somebody's noVNC, which is told our host and port as well.
    """
    return _page(endpoint, SCREEN, token, base_url)


def spice(endpoint: str, token: str, base_url: str = "") -> str:
    """Return a SPICE screen's URL, as :func:`novnc` does. *base_url*: somebody's ``spice_auto.html``."""
    return _page(endpoint, SPICE, token, base_url)


def _page(endpoint: str, ours_at: str, token: str, base_url: str) -> str:
    path = f"{WEBSOCKET}?token={token}"
    if not base_url:
        return f"{endpoint}{ours_at}?{urlencode({'path': path})}"
    ours = urlsplit(endpoint)
    told = {"host": ours.hostname or "", "port": str(ours.port or _PORTS[ours.scheme]), "path": path.lstrip("/")}
    if ours.scheme == "https":
        told["encrypt"] = "1"
    joint = "&" if urlsplit(base_url).query else "?"
    return f"{base_url}{joint}{urlencode(told)}"


def websocket_endpoint(endpoint: str) -> str:
    """Return *endpoint* with the WebSocket's scheme."""
    return "ws" + endpoint.removeprefix("http")


def origin(url: str) -> str | None:
    """Return the origin (``https://host:port``, the port always there) of a URL or of an ``Origin`` header; None: it has none."""
    try:
        parts = urlsplit(url.strip().lower())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def allowed_origins(conf: Any, endpoint: str) -> frozenset[str]:
    """Return the origins whose pages may open consoles, from the configuration alone: never from what a request says."""
    console = conf.console
    named = [endpoint, console.novnc_base_url, console.spice_html5_base_url, *console.allowed_origins]
    return frozenset(found for url in named if (found := origin(url)) is not None)

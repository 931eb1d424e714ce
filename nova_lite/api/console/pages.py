"""The two pages that the console proxy has: a terminal and a screen. They are the only files that it ever serves."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from nova_lite.api.console import urls

_FILES = {urls.TERMINAL: "serial.html", urls.SCREEN: "screen.html"}


@dataclass(frozen=True)
class Page:
    """A page as it goes out."""

    body: bytes
    headers: Mapping[str, str]


def load(endpoint: str) -> dict[str, Page]:
    """Read the pages, by path. *endpoint*: how the front door is reached; its WebSocket is all that a page may connect to."""
    package = resources.files("nova_lite.api.console")
    return {path: _page((package / name).read_text("utf-8"), endpoint) for path, name in _FILES.items()}


def _page(text: str, endpoint: str) -> Page:
    rules = (
        "default-src 'none'",
        f"script-src {_hashes(text, 'script')}",
        f"style-src {_hashes(text, 'style')}",
        f"connect-src 'self' {urls.websocket_endpoint(endpoint)}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(rules),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # The token stands in the page's address.
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Page(text.encode(), headers)


def _hashes(text: str, tag: str) -> str:
    """Return the sources of a content security policy that allow exactly the page's own *tag* elements."""
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in inside)
    return " ".join(f"'sha256-{digest}'" for digest in digests)

"""The console proxy's pages: a terminal and two screens, and the scripts of spice-html5. They are the only files that it ever serves.

All of them are read when the proxy is made, so that a request's path is only ever looked up among those.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nova_lite.api.console import urls

LOG = logging.getLogger(__name__)

_SAME = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_NONE = "'none'"
_LARGEST_SCRIPT = 1 << 20


@dataclass(frozen=True)
class Page:
    """A page as it goes out."""

    body: bytes
    headers: Mapping[str, str]
    status: str = "200 OK"


def load(conf: Any, endpoint: str) -> dict[str, Page]:
    """Read the pages, by path. *endpoint*: how the front door is reached; its WebSocket is all that a page may connect to."""
    scripts = {
        f"{urls.SPICE_CLIENT}{name}": _script(body) for name, body in _spice_html5(conf.console.spice_html5_path)
    }
    if scripts:
        # The token gets into the scripts' hands, so none but those come in, from where a console may be opened.
        origins = sorted(urls.allowed_origins(conf, endpoint))
        # A policy can't name an IPv6 address.
        sources = ["'self'" if "[" in origin else f"{origin}{urls.SPICE_CLIENT}" for origin in origins]
        spice = _page("spice.html", endpoint, scripts=sources, images="data:")
    else:
        spice = _page("spice-missing.html", endpoint, status="503 Service Unavailable")
    return scripts | {
        urls.TERMINAL: _page("serial.html", endpoint),
        urls.SCREEN: _page("screen.html", endpoint),
        urls.SPICE: spice,
    }


def _page(
    name: str, endpoint: str, *, scripts: Sequence[str] = (), images: str = _NONE, status: str = "200 OK"
) -> Page:
    text = (resources.files("nova_lite.api.console") / name).read_text("utf-8")
    sources = (*_hashes(text, "script"), *scripts)
    rules = (
        "default-src 'none'",
        f"script-src {' '.join(sources) if sources else _NONE}",
        f"style-src {' '.join(_hashes(text, 'style'))}",
        f"img-src {images}",
        f"connect-src 'self' {urls.websocket_endpoint(endpoint)}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(rules),
        "X-Frame-Options": "DENY",
        # The token stands in the page's address.
        **_SAME,
        "Cache-Control": "no-store",
    }
    return Page(text.encode(), headers, status)


def _hashes(text: str, tag: str) -> Iterator[str]:
    """Yield the sources of a content security policy that allow exactly the page's own *tag* elements."""
    for part in re.findall(rf'<{tag}(?: type="module")?>(.*?)</{tag}>', text, re.DOTALL):
        yield f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"


def _spice_html5(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each script of the spice-html5 that is installed at *path*; none: it is not."""
    # Debian has them at the top, upstream in a folder.
    top = next((place for place in (Path(path), Path(path, "src")) if (place / "main.js").is_file()), None)
    if top is None:
        LOG.info("event=no-spice-html5 path=%s", path)
        return
    for file in sorted((*top.glob("*.js"), *top.glob("thirdparty/*.js"))):
        if file.is_file() and file.stat().st_size <= _LARGEST_SCRIPT:
            yield file.relative_to(top).as_posix(), file.read_bytes()


def _script(body: bytes) -> Page:
    headers = {"Content-Type": "text/javascript; charset=utf-8", **_SAME, "Cache-Control": "max-age=300"}
    return Page(body, headers)

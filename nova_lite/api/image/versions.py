"""Version documents, as Glance's ``/`` and ``/versions`` give them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.routes import Reply

_VERSIONS = ("v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def _document(call: Call) -> dict[str, Any]:
    link = {"rel": "self", "href": call.link("/image/v2/")}
    return {
        "versions": [
            {"id": name, "status": "CURRENT" if name == _VERSIONS[0] else "SUPPORTED", "links": [link]}
            for name in _VERSIONS
        ]
    }


def index(call: Call) -> dict[str, Any]:
    """List the versions."""
    return _document(call)


def choices(call: Call) -> Reply:
    """List the versions to somebody who named none."""
    return Reply(_document(call), status=300)

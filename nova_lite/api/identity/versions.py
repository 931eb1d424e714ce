"""Version documents, as Keystone's ``/`` and ``/v3`` give them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.routes import Reply


def _version(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": call.link("/identity/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def index(call: Call) -> Reply:
    """List the versions to somebody who named none."""
    headers = {"Vary": "X-Auth-Token", "Location": call.link("/identity/v3/")}
    return Reply({"versions": {"values": [_version(call)]}}, status=300, headers=headers)


def show(call: Call) -> Reply:
    """Describe v3."""
    return Reply({"version": _version(call)}, headers={"Vary": "X-Auth-Token"})

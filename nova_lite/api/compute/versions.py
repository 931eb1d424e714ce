"""Which versions of the Compute API there are."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.version import Version, VersionRange

VERSIONS = VersionRange("compute", Version(2, 1), Version(2, 96), "X-OpenStack-Nova-API-Version")
"""What is advertised must be true: a new microversion is raised here only when all that it changed is done."""

_GUIDE = {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"}


def _version(call: Call, name: str) -> dict[str, Any]:
    current = name == "v2.1"
    return {
        "id": name,
        "status": "CURRENT" if current else "SUPPORTED",
        "version": str(VERSIONS.greatest) if current else "",
        "min_version": str(VERSIONS.least) if current else "",
        "updated": "2013-07-23T11:33:21Z" if current else "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": call.link(f"/compute/{'v2.1' if current else 'v2'}/")}],
    }


def index(call: Call) -> dict[str, Any]:
    """List the versions: v2.0 first, as old clients take the first that fits."""
    return {"versions": [_version(call, "v2.0"), _version(call, "v2.1")]}


def show(call: Call) -> dict[str, Any]:
    """Show the version whose root was asked for."""
    legacy = call.request.path_info.rstrip("/").endswith("/v2")
    version = _version(call, "v2.0" if legacy else "v2.1")
    version["links"].append(_GUIDE)
    number = "2" if legacy else "2.1"
    version["media-types"] = [
        {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={number}"}
    ]
    return {"version": version}

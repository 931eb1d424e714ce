"""Remote consoles: asked for in Nova's way, refused in Nova's way as long as no proxy is there to open one."""

from __future__ import annotations

from nova_lite.api.compute import access, parameters
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.errors import Invalid


def _create(minor: int) -> Schema:
    protocols = ["vnc", "spice", "rdp", "serial"]
    types = ["novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial"]
    if minor >= 8:
        protocols.append("mks")
        types.append("webmks")
    return parameters.body(
        "remote_console",
        {"protocol": {"type": "string", "enum": protocols}, "type": {"type": "string", "enum": types}},
        ["protocol", "type"],
    )


CREATE = parameters.by_minor(_create, 1, 8)


def create(call: Call) -> Reply:
    """Refuse to open a console, once the caller has been found to be allowed one."""
    access.server(call)
    return unavailable(call.body["remote_console"]["type"])


def unavailable(kind: str) -> Reply:
    """Say that consoles of this kind are not to be had. :raises Invalid: always."""
    raise Invalid(f"Unavailable console type {kind}.", "console.unavailable")

"""Remote consoles: a token and where it opens a server's serial line or screen; and what a token stands for, for admins."""

from __future__ import annotations

import functools
from typing import Any

from nova_lite.api.compute import access, parameters, policies
from nova_lite.api.compute.server_action import Action, closed
from nova_lite.api.console import urls
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import console_tokens
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Conflict, Invalid

_TYPES = {
    "vnc": ("novnc", "xvpvnc"),
    "spice": ("spice-html5",),
    "rdp": ("rdp-html5",),
    "serial": ("serial",),
    "mks": ("webmks",),
}
"""The types of each protocol, as upstream names them. Some no host has any more; they are refused as unavailable."""


def _create(minor: int) -> Schema:
    protocols = [name for name in _TYPES if name != "mks" or minor >= 8]
    types = [kind for name in protocols for kind in _TYPES[name]]
    return parameters.body(
        "remote_console",
        {"protocol": {"type": "string", "enum": protocols}, "type": {"type": "string", "enum": types}},
        ["protocol", "type"],
    )


CREATE = parameters.by_minor(_create, 1, 8)


def create(call: Call) -> dict[str, Any]:
    """Make a token for one of a server's consoles, and say where it opens it."""
    record = access.server(call)
    asked = call.body["remote_console"]
    if asked["type"] not in _TYPES[asked["protocol"]]:
        raise _unavailable(asked["type"])
    url = _open(call, record, asked["type"])
    return {"remote_console": {"protocol": asked["protocol"], "type": asked["type"], "url": url}}


def _open(call: Call, record: ServerRecord, kind: str) -> str:
    """Return the URL of a console. :raises Invalid, Conflict: the guest has none such, or does not run."""
    if record.host is None:
        raise Conflict(f"Instance {record.id} is not ready", "server.not_ready")
    conf = call.services.conf
    if kind not in ("serial", "novnc", "spice-html5"):
        raise _unavailable(kind)
    call.services.offload(
        functools.partial(call.services.agents.call, record.host, "check_console", server_id=record.id, kind=kind)
    )
    token = console_tokens.issue(call.store, record.id, kind, conf.console.token_ttl)
    if kind == "serial":
        return urls.serial(call.services.endpoint, token)
    if kind == "novnc":
        return urls.novnc(call.services.endpoint, token, conf.console.novnc_base_url)
    return urls.spice(call.services.endpoint, token, conf.console.spice_html5_base_url)


def _unavailable(kind: str) -> Invalid:
    return Invalid(f"Unavailable console type {kind}.", "console.unavailable")


def _run(call: Call, record: ServerRecord, argument: Any) -> Reply:
    url = _open(call, record, argument["type"])
    return Reply({"console": {"type": argument["type"], "url": url}}, 200)


def _action(name: str, kinds: tuple[str, ...]) -> Action:
    argument = closed({"type": {"type": "string", "enum": list(kinds)}}, "type")
    return Action(name, policies.PREFIX + "os-remote-consoles", _run, argument, until=5)


ACTIONS = (
    _action("os-getVNCConsole", _TYPES["vnc"]),
    _action("os-getSPICEConsole", _TYPES["spice"]),
    _action("os-getRDPConsole", _TYPES["rdp"]),
    _action("os-getSerialConsole", _TYPES["serial"]),
)


def show_token(call: Call) -> dict[str, Any]:
    """Tell an admin's own proxy where a token leads; the token stays good for its one use.

    ``internal_access_path`` is a fresh secret of the host's relay, which is shown there as Nova's proxies show theirs.

    :raises NotFound: the token is good for nothing.
    :raises Invalid: it is asked for at 2.30 or before, where only RDP consoles were told of, which no host has any more.
    """
    if call.version.minor < 31:
        raise Invalid("Only tokens of RDP consoles can be shown at this microversion; ask at 2.31.", "console.not_rdp")
    ticket = console_tokens.look_at(call.store, call.params["token"])
    told = call.services.offload(
        functools.partial(
            call.services.agents.call,
            ticket.host,
            "open_console",
            server_id=ticket.server_id,
            kind=ticket.console_type,
        )
    )
    return {
        "console": {
            "instance_uuid": ticket.server_id,
            "host": told["host"],
            "port": told["port"],
            "internal_access_path": told["secret"],
        }
    }

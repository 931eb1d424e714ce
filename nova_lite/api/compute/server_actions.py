"""``POST /servers/{id}/action``: one table says which actions there are, what they take and who may ask for them."""

from __future__ import annotations

import functools
from typing import Any

from nova_lite.api import validation
from nova_lite.api.compute import (
    access,
    parameters,
    policies,
    remote_consoles,
    server_admin_actions,
    server_image_actions,
    server_network_actions,
    server_size_actions,
)
from nova_lite.api.compute.server_action import Action, plain, refuse_kind, start
from nova_lite.api.compute.unoffered import MOVES, refuse_action
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Conflict, Gone, NotFound

BODY: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1}
"""Which of the actions it is, and so its schema, is found out afterwards."""

_GONE = ("resetNetwork",)


def run(call: Call) -> Reply:
    """Do the action that the body names."""
    name = next(iter(call.body))
    action = ACTIONS.get(name)
    # Which action it is comes before the server that it is for, as in Nova.
    if name in _GONE:
        raise Gone(f"The action {name} was for a hypervisor that upstream has no more.", "request.gone")
    if name in MOVES:
        access.server(call)  # one that is not there is so for what it can't have, too
    if action is None:
        raise refuse_action(name)
    if not action.since <= call.version.minor <= action.until:
        raise NotFound(f"API version {call.version} is not supported on this method.", "request.no_route_in_version")
    validation.validate(action.schema(call.version), call.body)
    record = access.server(call, action.rule)
    refuse_kind(record, name)
    return action.run(call, record, call.body[name])


def _reboot(call: Call, record: ServerRecord, argument: Any) -> Reply:
    return start(call, record, f"reboot-{argument['type'].lower()}")


def _console_output(call: Call, record: ServerRecord, argument: Any) -> Reply:
    if record.host is None:
        raise Conflict(f"Instance {record.id} is not ready", "server.not_ready")
    length = argument.get("length")
    ask = functools.partial(
        call.services.agents.call,
        record.host,
        "console_output",
        server_id=record.id,
        length=None if length is None or int(length) < 0 else min(int(length), parameters.LARGEST),
    )
    text = call.services.offload(ask)
    return Reply({"output": _printable(text)}, 200, {"X-Content-Type-Options": "nosniff"})


def _printable(text: str) -> str:
    """Leave out what no console text needs and some clients choke on; escapes stay, they are the reader's to strip."""
    return "".join(char for char in text if char >= " " or char in "\t\n\r\x1b\b")


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        plain("os-start", "servers:start", "start"),
        plain("os-stop", "servers:stop", "stop"),
        plain("suspend", "os-suspend-server:suspend", "suspend"),
        plain("resume", "os-suspend-server:resume", "resume"),
        plain("pause", "os-pause-server:pause", "pause"),
        plain("unpause", "os-pause-server:unpause", "unpause"),
        Action(
            "reboot",
            policies.SERVERS + "reboot",
            _reboot,
            {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]},
                },
                "required": ["type"],
                "additionalProperties": False,
            },
        ),
        Action(
            "os-getConsoleOutput",
            policies.PREFIX + "os-console-output",
            _console_output,
            {
                "type": "object",
                "properties": {
                    "length": {"type": ["integer", "string", "null"], "minimum": -1, "pattern": "^(-1|[0-9]{1,40})$"},
                },
                "additionalProperties": False,
            },
        ),
        *server_admin_actions.ACTIONS,
        *server_size_actions.ACTIONS,
        *server_image_actions.ACTIONS,
        *server_network_actions.ACTIONS,
        *remote_consoles.ACTIONS,
    )
}
"""By the name that the body has; a later action is a line here and one in the table of transitions."""

"""What one action of ``POST /servers/{id}/action`` is, and what most of them do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nova_lite.api.compute import policies
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.api.version import Version
from nova_lite.compute import kinds, servers
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Conflict, Invalid

ACCEPTED = Reply(status=202)


@functools.cache
def _whole(name: str, argument_id: int) -> Schema:
    return {
        "type": "object",
        "properties": {name: _ARGUMENTS[argument_id]},
        "required": [name],
        "additionalProperties": False,
    }


_ARGUMENTS: dict[int, Schema] = {}
"""The arguments' schemas by their identity; kept, so that it stays theirs. There are as many as versions that differ."""


@dataclass(frozen=True)
class Action:
    """One action. ``argument`` is the schema of what stands under its name, or a function of the version that gives it;
    ``until`` the last minor that has it."""

    name: str
    rule: str
    run: Callable[[Call, ServerRecord, Any], Reply]
    argument: Schema | Callable[[Version], Schema]
    since: int = 1
    until: int = 10_000

    def schema(self, version: Version) -> Schema:
        """Return the whole body's schema."""
        argument = self.argument(version) if callable(self.argument) else self.argument
        _ARGUMENTS[id(argument)] = argument
        return _whole(self.name, id(argument))


def closed(properties: dict[str, Any], *required: str) -> Schema:
    """Make the schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def wake(call: Call, host: str | None) -> Reply:
    """Wake the agent that has work now, if any, and answer 202."""
    if host is not None:
        call.services.waker.wake("agent", host)
    return ACCEPTED


def start(call: Call, record: ServerRecord, transition: str) -> Reply:
    """Start an action of the table of transitions and wake the agent that has it."""
    return wake(
        call, servers.act(call.store, call.caller, record.id, transition, override_lock=call.principal.is_admin)
    )


def plain(name: str, rule: str, transition: str, *, since: int = 1, argument: Schema | None = None) -> Action:
    """Make an action that takes nothing and does no more than to start *transition*."""

    def run(call: Call, record: ServerRecord, _argument: Any) -> Reply:
        return start(call, record, transition)

    # Nova takes whatever stands under these names; clients send null, {} or "".
    return Action(name, policies.PREFIX + rule, run, {} if argument is None else argument, since)


def refuse_kind(record: ServerRecord, name: str) -> None:
    """Refuse what this kind of guest can't have. :raises Invalid, Conflict: why not, and which can."""
    why = kinds.refusal(name, record.kind, record.image_properties)
    if why:
        # Nova has 409 for a password that can't be set, 400 for all else that a guest has not.
        error = Conflict if name == "changePassword" else Invalid
        raise error(f"Cannot '{name}' instance {record.id}, a {record.kind}: {why}", "server.kind_cannot")

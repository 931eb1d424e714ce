"""Lock, reset of the state, networks applied again, forced deletion, restore, crash dump, password."""

from __future__ import annotations

import functools
from typing import Any

from nova_lite.api.compute import policies
from nova_lite.api.compute.parameters import by_minor
from nova_lite.api.compute.server_action import ACCEPTED, Action, closed, plain, wake
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import admin_passwords, server_locks, server_states, servers
from nova_lite.compute.servers import ServerRecord
from nova_lite.compute.transitions import VmState
from nova_lite.network import touch

_P = policies.PREFIX
_REASON: Schema = {"type": "string", "minLength": 1, "maxLength": 255}


def _lock_schema(minor: int) -> Schema:
    if minor < 73:
        return {}
    return {"type": ["object", "null"], "properties": {"locked_reason": _REASON}, "additionalProperties": False}


def _lock(call: Call, record: ServerRecord, argument: Any) -> Reply:
    is_owner = record.project_id == call.principal.project_id
    by = server_locks.OWNER if is_owner else server_locks.ADMIN
    reason = argument.get("locked_reason") if call.version.minor >= 73 and isinstance(argument, dict) else None
    server_locks.lock(call.store, call.caller, record.id, by, reason)
    return ACCEPTED


def _unlock(call: Call, record: ServerRecord, _argument: Any) -> Reply:
    if record.locked and record.locked_by == server_locks.ADMIN:
        target = {"project_id": record.project_id, "user_id": record.user_id}
        call.authorize(target, _P + "os-lock-server:unlock:unlock_override")
    server_locks.unlock(call.store, call.caller, record.id)
    return ACCEPTED


def _reset_state(call: Call, record: ServerRecord, argument: Any) -> Reply:
    return wake(call, server_states.reset(call.store, call.caller, record.id, VmState(argument["state"])))


def _inject_network_info(call: Call, record: ServerRecord, _argument: Any) -> Reply:
    """Have the server's host apply its networks once more, which is all that there is to be injected."""
    if record.locked and not call.principal.is_admin:
        raise servers.locked(record.id)
    call.wake_hosts(call.store.transact(lambda session: touch.hosts(session, [record.host])))
    return ACCEPTED


def _force_delete(call: Call, record: ServerRecord, _argument: Any) -> Reply:
    host = server_states.delete(
        call.store, call.caller, record.id, override_lock=call.principal.is_admin, reclaim_s=0, force=True
    )
    return wake(call, host)


def _change_password(call: Call, record: ServerRecord, argument: Any) -> Reply:
    def tell(host: str) -> None:
        ask = functools.partial(
            call.services.agents.call,
            host,
            "set_password",
            server_id=record.id,
            user=record.image_properties.get("os_admin_user") or "root",
            password=argument["adminPass"],
        )
        call.services.offload(ask)

    override = call.principal.is_admin
    admin_passwords.change(call.store, call.caller, record.id, override_lock=override, tell=tell)
    return ACCEPTED


ACTIONS = (
    Action("lock", _P + "os-lock-server:lock", _lock, by_minor(_lock_schema, 1, 73)),
    Action("unlock", _P + "os-lock-server:unlock", _unlock, {}),
    Action(
        "os-resetState",
        _P + "os-admin-actions:reset_state",
        _reset_state,
        closed({"state": {"type": "string", "enum": ["active", "error"]}}, "state"),
    ),
    Action("injectNetworkInfo", _P + "os-admin-actions:inject_network_info", _inject_network_info, {}),
    Action("forceDelete", _P + "os-deferred-delete:force", _force_delete, {}),
    plain("restore", "os-deferred-delete:restore", "restore"),
    plain(
        "trigger_crash_dump", "servers:trigger_crash_dump", "trigger_crash_dump", since=17, argument={"type": "null"}
    ),
    Action(
        "changePassword",
        _P + "os-admin-password",
        _change_password,
        closed({"adminPass": {"type": "string"}}, "adminPass"),
    ),
)

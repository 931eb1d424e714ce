"""Changes of services: one path for each change until 2.52, one for each service from 2.53 on."""

from __future__ import annotations

from typing import Any

from nova_lite.api import validation
from nova_lite.api.compute import parameters
from nova_lite.api.compute.parameters import by_minor, truth
from nova_lite.api.compute.services import view
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import host_control, hosts
from nova_lite.errors import Invalid, NotFound

_REASON: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}


def _update(minor: int) -> Schema:
    if minor >= 53:
        properties: dict[str, Any] = {
            "status": {"type": "string", "enum": ["enabled", "disabled"]},
            "disabled_reason": _REASON,
            "forced_down": parameters.BOOLEAN,
        }
        return {"type": "object", "properties": properties, "additionalProperties": False}
    properties = {"host": parameters.FQDN, "binary": _NAME, "disabled_reason": _REASON}
    if minor >= 11:
        properties["forced_down"] = parameters.BOOLEAN
    return {
        "type": "object",
        "properties": properties,
        "required": ["host", "binary"],
        "additionalProperties": False,
    }


UPDATE = by_minor(_update, 1, 11, 53)


def update(call: Call) -> dict[str, Any]:
    """Enable, disable or force down a compute service."""
    return _by_id(call) if call.version.minor >= 53 else _by_name(call)


def _by_id(call: Call) -> dict[str, Any]:
    wanted = call.body
    if not wanted:
        raise Invalid(
            "No updates were requested. Fields 'status' or 'forced_down' should be specified.", "service.nothing"
        )
    status, reason = wanted.get("status"), wanted.get("disabled_reason")
    if reason is not None and status != "disabled":
        raise Invalid("Specifying 'disabled_reason' requires that status is 'disabled'.", "service.reason")
    identifier = _uuid(call)
    name = host_control.name_of(call.store, identifier)
    values: dict[str, Any] = {}
    if status is not None:
        values = {"enabled": status == "enabled", "disabled_reason": reason}
    if "forced_down" in wanted:
        values["forced_down"] = truth(wanted["forced_down"])
    host_control.change(call.store, name, values)
    found = hosts.services(call.store, call.services.conf.compute.down_after)
    return {"service": next(view(row, call.version.minor) for row in found if row.uuid == identifier)}


def _uuid(call: Call) -> str:
    identifier = call.params["id"]
    if not validation.FORMATS["uuid"](identifier):
        raise Invalid(f"Invalid uuid {identifier[:64]}", "service.bad_id")
    return identifier


def _by_name(call: Call) -> dict[str, Any]:
    what, wanted = call.params["id"], call.body
    shown: dict[str, Any] = {"host": wanted["host"], "binary": wanted["binary"]}
    values: dict[str, Any]
    if what == "enable":
        values = {"enabled": True, "disabled_reason": None}
        shown["status"] = "enabled"
    elif what == "disable":
        values = {"enabled": False, "disabled_reason": None}
        shown["status"] = "disabled"
    elif what == "disable-log-reason":
        if not wanted.get("disabled_reason", "").strip():
            raise Invalid("Missing disabled reason field", "service.reason")
        values = {"enabled": False, "disabled_reason": wanted["disabled_reason"]}
        shown |= {"status": "disabled", "disabled_reason": wanted["disabled_reason"]}
    elif what == "force-down" and call.version.minor >= 11:
        if "forced_down" not in wanted:
            raise Invalid("Missing forced_down field", "service.forced_down")
        values = {"forced_down": truth(wanted["forced_down"])}
        shown["forced_down"] = values["forced_down"]
    else:
        raise NotFound("Unknown action", "service.action")
    if wanted["binary"] != host_control.COMPUTE:
        known = hosts.services(call.store, call.services.conf.compute.down_after)
        if any((row.host, row.binary) == (wanted["host"], wanted["binary"]) for row in known):
            raise Invalid("Only nova-compute services can be changed.", "service.not_compute")
        raise NotFound(f"Could not find binary {wanted['binary']} on host {wanted['host']}.", "service.not_found")
    host_control.change(call.store, wanted["host"], values)
    return {"service": shown}


def delete(call: Call) -> None:
    """Forget a compute service that has no servers."""
    identifier = call.params["id"] if call.version.minor < 53 else _uuid(call)
    if call.version.minor < 53 and not identifier.isdecimal():
        raise Invalid(f"Invalid id {identifier[:64]}", "service.bad_id")
    host_control.remove(call.store, host_control.name_of(call.store, identifier))

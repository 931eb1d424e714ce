"""What was done to a server: the operations, as Nova shows instance actions and their events."""

from __future__ import annotations

import hashlib
from typing import Any

from nova_lite.api.compute import access, paging, parameters, policies
from nova_lite.api.compute.parameters import MOMENTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import action_rules, history
from nova_lite.compute.servers import ServerRecord
from nova_lite.db.models import Operation
from nova_lite.errors import Invalid

_RESULTS = {"done": "Success", "failed": "Error", "cancelled": "Error"}


def _query(minor: int) -> Schema:
    if minor < 58:
        return parameters.ANY_QUERY
    properties = {**paging.PAGE, "changes-since": MOMENTS}
    if minor >= 66:
        properties["changes-before"] = MOMENTS
    return parameters.query(properties, is_open=False)


QUERY = by_minor(_query, 1, 58, 66)


def index(call: Call) -> dict[str, Any]:
    """List a server's actions, the newest first; a deleted server's too since 2.21."""
    record = _server(call)
    minor = call.version.minor
    if minor < 58:
        found = history.find(call.store, record.id)
        return {"instanceActions": [_action(row, record, minor) for row in found]}
    since, before = (_moment(call, name) for name in ("changes-since", "changes-before"))
    if since and before and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.", "request.query")
    found = history.find(
        call.store,
        record.id,
        since=since,
        before=before,
        limit=paging.limit_of(call),
        marker=call.query.get("marker"),
    )
    shown = [_action(row, record, minor) for row in found]
    answer: dict[str, Any] = {"instanceActions": shown}
    path = f"servers/{record.id}/os-instance-actions"
    following = paging.next_links(call, path, shown, found[-1].request_id if found else "")
    if following:
        answer["links"] = following
    return answer


def show(call: Call) -> dict[str, Any]:
    """Show the action that a request was, with its events."""
    record = _server(call)
    row = history.get(call.store, record.id, call.params["request_id"])
    minor = call.version.minor
    shown = _action(row, record, minor)
    target = {"project_id": record.project_id, "user_id": record.user_id}
    everything = call.may(policies.PREFIX + "os-instance-actions:events", target)
    if everything or minor >= 51:
        details = minor >= 84 and call.may(policies.PREFIX + "os-instance-actions:events:details", target)
        shown["events"] = [
            _event(event, row, record, minor, everything=everything, details=details) for event in _events(row)
        ]
    return {"instanceAction": shown}


def _server(call: Call) -> ServerRecord:
    return access.server(call, deleted=call.version.minor >= 21)


def _moment(call: Call, name: str) -> Any:
    value = call.query.get(name)
    if value is None:
        return None
    return parameters.until(value) if name == "changes-before" else parameters.moment(value)


def _name(row: Operation) -> str:
    return action_rules.shown_name(row.action)


def _events(row: Operation) -> list[dict[str, Any]]:
    """List what was done for an action, step by step, and at the end the step that is under way."""
    events = list(row.events or ())
    if row.finished_at is None or not events:
        begun = row.updated_at if events else row.started_at
        events.append(
            {
                "event": f"{row.queue}_{(row.step or _name(row)).replace('-', '_')}",
                "start": (begun or row.created_at).isoformat(timespec="microseconds"),
                "finish": None if row.finished_at is None else row.finished_at.isoformat(timespec="microseconds"),
                "result": _RESULTS.get(row.state),
                "details": row.error,
            }
        )
    return events


def _action(row: Operation, record: ServerRecord, minor: int) -> dict[str, Any]:
    shown = {
        "action": _name(row),
        "instance_uuid": row.target_id,
        "request_id": row.request_id,
        "user_id": row.user_id,
        "project_id": row.project_id or record.project_id,
        "start_time": parameters.exact_moment(row.created_at),
        "message": row.error if row.state == "failed" else None,
    }
    if minor >= 58:
        shown["updated_at"] = parameters.exact_moment(row.updated_at or row.created_at)
    return shown


def _event(
    event: dict[str, Any], row: Operation, record: ServerRecord, minor: int, *, everything: bool, details: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "event": event["event"],
        "start_time": event["start"],
        "finish_time": event["finish"],
        "result": event["result"],
    }
    reason = event.get("details")
    if everything:
        shown["traceback"] = reason if event["result"] == "Error" else None
    if minor >= 62:
        name = row.host or ""
        project = row.project_id or record.project_id
        shown["hostId"] = hashlib.sha224((project + name).encode()).hexdigest() if name else ""
        if everything:
            shown["host"] = row.host
    if details:
        shown["details"] = reason
    return shown

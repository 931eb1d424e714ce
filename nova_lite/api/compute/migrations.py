"""What servers went through from size to size: ``os-migrations``, and a server's own (live ones, of which there are none)."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access, paging, parameters
from nova_lite.api.compute.parameters import MOMENTS, TEXTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import migrations
from nova_lite.compute.migrations import MigrationListing
from nova_lite.db.models import Migration
from nova_lite.errors import Conflict, Invalid, NotFound

_EQUAL = {"instance_uuid": "server_id", "status": "status", "migration_type": "migration_type"}


def _query(minor: int) -> Schema:
    names = ("hidden", "host", "instance_uuid", "source_compute", "status", "migration_type")
    properties: dict[str, Any] = dict.fromkeys(names, TEXTS)
    if minor >= 59:
        properties |= {name: parameters.once(schema) for name, schema in paging.PAGE.items()}
        properties["changes-since"] = MOMENTS
    if minor >= 66:
        properties["changes-before"] = MOMENTS
    if minor >= 80:
        properties |= {"user_id": parameters.once(TEXTS), "project_id": parameters.once(TEXTS)}
    return parameters.query(properties, is_open=minor < 59)


QUERY = by_minor(_query, 1, 59, 66, 80)
FORCE_COMPLETE: Schema = {
    "type": "object",
    "properties": {"force_complete": {"type": "null"}},
    "required": ["force_complete"],
    "additionalProperties": False,
}


def index(call: Call) -> dict[str, Any]:
    """List migrations, the newest first."""
    minor = call.version.minor
    equal = {column: call.query[name] for name, column in _EQUAL.items() if name in call.query}
    if "source_compute" in call.query:
        equal["source"] = call.query["source_compute"]
    if minor >= 80:
        equal |= {name: call.query[name] for name in ("user_id", "project_id") if name in call.query}
    since, before = (_moment(call, name) if minor >= 59 else None for name in ("changes-since", "changes-before"))
    if since and before and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.", "request.query")
    found = migrations.find(
        call.store,
        MigrationListing(
            equal=equal,
            host=call.query.get("host"),
            changes_since=since,
            changes_before=before,
            limit=paging.limit_of(call) if minor >= 59 else None,
            marker=call.query.get("marker") if minor >= 59 else None,
        ),
    )
    shown = [_view(row, minor) for row in found]
    answer: dict[str, Any] = {"migrations": shown}
    if minor >= 59:
        following = paging.next_links(call, "os-migrations", shown, found[-1].uuid if found else "")
        if following:
            answer["migrations_links"] = following
    return answer


def of_server(call: Call) -> dict[str, Any]:
    """List a server's live migrations that are under way: none, as there is one host."""
    access.server(call)
    return {"migrations": []}


def show_of_server(call: Call) -> dict[str, Any]:
    """Show a live migration of a server. :raises NotFound: always, see :func:`of_server`."""
    record = access.server(call)
    identifier = call.params["migration_id"][:64]
    raise NotFound(
        f"In-progress live migration {identifier} is not found for server {record.id}.", "migration.not_found"
    )


def change_of_server(call: Call) -> None:
    """Hurry or abort a live migration of a server. :raises Conflict: always, as no server is being migrated."""
    record = access.server(call)
    verb = "force_complete" if call.request.method == "POST" else "abort live migration"
    raise Conflict(
        f"Cannot '{verb}' instance {record.id} while it is in task_state {record.task_state}; it works in migrating.",
        "migration.none",
    )


def _moment(call: Call, name: str) -> Any:
    value = call.query.get(name)
    if value is None:
        return None
    return parameters.until(value) if name == "changes-before" else parameters.moment(value)


def _view(row: Migration, minor: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "instance_uuid": row.server_id,
        "status": row.status,
        "source_compute": row.source,
        "source_node": row.source,
        "dest_compute": row.destination,
        "dest_node": row.destination,
        "dest_host": None,
        "old_instance_type_id": _number(row.old_flavor),
        "new_instance_type_id": _number(row.new_flavor),
        "created_at": parameters.exact_moment(row.created_at),
        "updated_at": parameters.exact_moment(row.updated_at),
    }
    if minor >= 23:
        shown["migration_type"] = row.migration_type
    if minor >= 59:
        shown["uuid"] = row.uuid
    if minor >= 80:
        shown |= {"user_id": row.user_id, "project_id": row.project_id}
    return shown


def _number(flavor_id: str) -> int:
    """Return a number for a flavor, as upstream shows its internal id: the flavor's own id where that is one."""
    return int(flavor_id) if flavor_id.isascii() and flavor_id.isdecimal() and len(flavor_id) < 10 else 0

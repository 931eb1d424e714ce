"""A server's metadata: its user's own words, one by one or all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.context import Call
from nova_lite.compute import quotas, servers
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Invalid, NotFound, OverLimit

Items = dict[str, str]


def index(call: Call) -> dict[str, Any]:
    """List all items."""
    return {"metadata": access.server(call).metadata}


def show(call: Call) -> dict[str, Any]:
    """Show one item."""
    key = call.params["key"]
    items = access.server(call).metadata
    if key not in items:
        raise _not_found()
    return {"meta": {key: items[key]}}


def create(call: Call) -> dict[str, Any]:
    """Add items; those that are there already are overwritten."""
    record = access.server(call)
    added: Items = call.body["metadata"]
    limited = _limit(call, record)
    return {"metadata": _edit(call, record, lambda items: limited({**items, **added}))}


def replace(call: Call) -> dict[str, Any]:
    """Put other items in the place of all."""
    record = access.server(call)
    wanted: Items = call.body["metadata"]
    limited = _limit(call, record)
    return {"metadata": _edit(call, record, lambda _items: limited(wanted))}


def update(call: Call) -> dict[str, Any]:
    """Set one item."""
    record = access.server(call)
    wanted: Items = call.body["meta"]
    if call.params["key"] not in wanted:
        raise Invalid("Request body and URI mismatch", "server.metadata_mismatch")
    limited = _limit(call, record)
    _edit(call, record, lambda items: limited({**items, **wanted}))
    return {"meta": wanted}


def delete(call: Call) -> None:
    """Remove one item."""
    record = access.server(call)
    key = call.params["key"]

    def without(items: Items) -> Items:
        if key not in items:
            raise _not_found()
        return {name: value for name, value in items.items() if name != key}

    _edit(call, record, without, "delete metadata")


def _edit(call: Call, record: ServerRecord, make: Callable[[Items], Items], verb: str = "update metadata") -> Items:
    """Change the items, which a lock keeps from everybody but admins."""
    override = call.principal.is_admin
    edited: Items = servers.edit(call.store, record.id, "metadata_", make, verb=verb, idle=True, override_lock=override)
    return edited


def _limit(call: Call, record: ServerRecord) -> Callable[[Items], Items]:
    with call.store.read() as session:
        most = quotas.limits(call.services.conf, session, record.project_id)["metadata_items"]

    def limited(items: Items) -> Items:
        if 0 <= most < len(items):
            raise OverLimit(f"Maximum number of metadata items exceeds {most}", "server.metadata_limit")
        return items

    return limited


def _not_found() -> NotFound:
    return NotFound("Metadata item was not found", "server.metadata_not_found")

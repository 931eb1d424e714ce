"""``/v3/domains``, for reading."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, flag, links
from nova_lite.db.models import Domain
from nova_lite.identity import domains


def view(call: Call, domain: Domain) -> dict[str, Any]:
    """Shape a domain."""
    return {
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "options": {},
        "tags": [],
        "links": links(call, "domains", domain.id),
    }


def index(call: Call) -> dict[str, Any]:
    """List domains, by name or whether they are enabled if asked for."""
    with call.store.read() as session:
        rows = domains.list_all(session, call.query.get("name"), flag(call, "enabled"))
        return collection(call, "domains", [view(call, row) for row in rows])


def show(call: Call) -> dict[str, Any]:
    """Show a domain."""
    with call.store.read() as session:
        return {"domain": view(call, domains.get(session, call.params["id"]))}


def mine(call: Call) -> dict[str, Any]:
    """List the domains that the caller may get a token for."""
    with call.store.read() as session:
        rows = domains.of_user(session, call.principal.user_id)
        return collection(call, "domains", [view(call, row) for row in rows])

"""``/v3/domains``."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, flag, links
from nova_lite.api.identity.tokens import authenticator
from nova_lite.db.models import Domain
from nova_lite.identity import domain_removal, domains


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


def _values(wanted: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {name: wanted[name] for name in ("name", "enabled") if name in wanted}
    if "description" in wanted:
        values["description"] = wanted["description"] or ""
    return values


def create(call: Call) -> dict[str, Any]:
    """Make a domain."""
    return {"domain": view(call, domains.create(call.store, _values(call.body["domain"])))}


def update(call: Call) -> dict[str, Any]:
    """Change a domain."""
    lifetime = call.services.conf.identity.token_lifetime
    changed = domains.update(call.store, lifetime, call.params["id"], _values(call.body["domain"]))
    authenticator(call).revocations.forget()
    return {"domain": view(call, changed)}


def delete(call: Call) -> None:
    """Delete a disabled domain with all that is in it."""
    domain_removal.delete(call.store, call.services.conf.identity.token_lifetime, call.params["id"])
    authenticator(call).revocations.forget()

"""What all of Identity's listings share: their links, and how their filters are read."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.errors import Invalid
from nova_lite.identity import domains


def collection(call: Call, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Wrap *items* as Identity does. Everything is on one page, as in Keystone without a list limit."""
    return {name: items, "links": {"self": call.link(call.request.path_qs), "previous": None, "next": None}}


def links(call: Call, *parts: str) -> dict[str, str]:
    """Return the ``links`` member of the thing below ``/v3``."""
    return {"self": call.link("/".join(("/identity/v3", *parts)))}


def flag(call: Call, name: str) -> bool | None:
    """Read a yes-or-no filter; None: it was not given. As upstream, everything but 0 and false means yes."""
    value = call.query.get(name)
    return None if value is None else value.lower() not in ("0", "false")


def domain_for(call: Call, wanted: dict[str, Any]) -> str:
    """Return the domain that something new goes to: the one named, else the one of the caller's token."""
    who = call.principal
    named: str | None = wanted.get("domain_id")
    return named or who.domain_id or who.project_domain_id or domains.DEFAULT_ID


def same_domain(wanted: str | None, present: str) -> None:
    """Refuse to move something to another domain. :raises Invalid: *wanted* is another one."""
    if wanted is not None and wanted != present:
        raise Invalid("Cannot change Domain ID", "domain.change")

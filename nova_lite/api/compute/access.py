"""Whose things a caller may look for: the scope of each query, and the server that a path names."""

from __future__ import annotations

from nova_lite.api.context import Call
from nova_lite.compute import servers
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Invalid, NotFound

_LONGEST_ID = 64


def scope(call: Call) -> str | None:
    """Return the project that queries are narrowed to; None: an admin, who may see all."""
    who = call.principal
    # A token without a project sees nothing, not everything.
    return None if who.is_admin else who.project_id or ""


def project(call: Call) -> str:
    """Return the caller's project. :raises Invalid: the token is not scoped to one."""
    identifier = call.principal.project_id
    if identifier is None:
        raise Invalid("A token that is scoped to a project is needed here.", "request.no_project")
    return identifier


def server_id(call: Call) -> str:
    """Return the id of the server that the path names. :raises NotFound: it can't be one."""
    identifier = call.params["server_id"]
    if len(identifier) > _LONGEST_ID:
        raise NotFound(f"Instance {identifier[:_LONGEST_ID]} could not be found.", "server.not_found")
    return identifier


def server(call: Call, rule: str | None = None, *, deleted: bool = False) -> ServerRecord:
    """Return the server that the path names, once the policy has allowed what is asked (*rule*: the route's own).

    :raises NotFound: there is none, or it is somebody else's.
    :raises Forbidden: the policy denies it.
    """
    record = servers.get(call.store, server_id(call), scope(call), deleted=deleted)
    call.authorize({"project_id": record.project_id, "user_id": record.user_id}, rule)
    return record

"""``/v2.0/auto-allocated-topology/{project}``."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network.collections import QUERY
from nova_lite.api.routes import Route
from nova_lite.errors import Invalid
from nova_lite.network import auto_topology


def _project(call: Call) -> str:
    """Return the project that is meant: ``None`` and ``null``, as clients write it, are the caller's own."""
    named = call.params["project_id"]
    project_id = call.principal.project_id if named in ("None", "null") else named
    call.authorize({"project_id": project_id})
    if not project_id:
        raise Invalid("A token that is scoped to a project is needed here.", "network.no_project")
    return project_id


def show(call: Call) -> dict[str, Any]:
    """Show a project's topology, made at the first time; ``fields=dry-run`` only says whether it could be."""
    project_id = _project(call)
    if "dry-run" in call.request.GET.getall("fields"):
        auto_topology.check(call.store)
        return _view("dry-run=pass", project_id)
    made = auto_topology.ensure(call.store, call.services.conf, project_id)
    call.wake_hosts(made.hosts)
    return _view(made.network_id, project_id)


def _view(identifier: str, project_id: str) -> dict[str, Any]:
    return {"auto_allocated_topology": {"id": identifier, "tenant_id": project_id, "project_id": project_id}}


def delete(call: Call) -> None:
    """Delete a project's topology."""
    call.wake_hosts(auto_topology.delete(call.store, _project(call)))


_PATH = "/v2.0/auto-allocated-topology/{project_id}"
ROUTES = (
    Route("GET", _PATH, show, "get_auto_allocated_topology", late=True, query=QUERY),
    Route("DELETE", _PATH, delete, "delete_auto_allocated_topology", late=True, status=204, query=QUERY),
)

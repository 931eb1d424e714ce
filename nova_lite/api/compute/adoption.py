"""An extension of ours: guests that are no servers yet, and their adoption. For admins, at every microversion."""

from __future__ import annotations

import functools
from typing import Any

from nova_lite.api.compute import parameters
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply
from nova_lite.compute import adoption, hosts
from nova_lite.compute.adoption import Adoption, Stranger
from nova_lite.db.models import Host
from nova_lite.errors import Invalid, NovaLiteError

CREATE = parameters.body(
    "adoption",
    {
        "host": parameters.FQDN,
        # libvirt's own rule for names is no slash and no line break.
        "guest": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^/\x00-\x1f\x7f]+$"},
        "flavorRef": {"type": "string", "minLength": 1, "maxLength": 255},
        "name": parameters.NAME,
        "project_id": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]*$"},
        "metadata": parameters.METADATA,
    },
    ["host", "guest", "flavorRef"],
)
QUERY = parameters.query({"host": parameters.TEXTS}, is_open=False)


def strangers(call: Call) -> dict[str, Any]:
    """List the guests that are no servers, of every host or of one. A host that does not answer is named as such."""
    found: list[dict[str, Any]] = []
    silent: list[dict[str, str]] = []
    for host in _hosts(call, call.query.get("host")):
        try:
            found += [_view(host.name, Stranger.read(seen)) for seen in _ask(call, host, "strangers")]
        except NovaLiteError as error:
            silent.append({"host": host.name, "reason": error.message})
    return {"strangers": found, "unanswered": silent}


def _hosts(call: Call, name: str | None) -> list[Host]:
    """Return all hosts, or the one of that name. :raises Invalid: there is none."""
    found = [host for host in hosts.find(call.store) if name is None or host.name == name]
    if name is not None and not found:
        raise Invalid(f"Compute host {name} could not be found.", "adoption.host_not_found")
    return found


def _ask(call: Call, host: Host, method: str, **arguments: Any) -> Any:
    return call.services.offload(functools.partial(call.services.agents.call, host.name, method, **arguments))


def create(call: Call) -> Reply:
    """Begin to make a guest a server: its id is the guest's own UUID. It goes on running all the while."""
    asked = call.body["adoption"]
    (host,) = _hosts(call, asked["host"])
    seen = Stranger.read(_ask(call, host, "describe_guest", name=asked["guest"]))
    project_id = asked.get("project_id") or call.principal.project_id
    if project_id is None:
        raise Invalid("project_id: a token that is scoped to no project must name one.", "request.no_project")
    wanted = Adoption(
        host=host.name,
        guest=asked["guest"],
        flavor_id=asked["flavorRef"],
        project_id=project_id,
        user_id=call.principal.user_id,
        name=asked.get("name"),
        metadata=asked.get("metadata") or {},
    )
    server_id = adoption.adopt(call.store, call.services.conf, call.caller, wanted, seen)
    call.services.waker.wake("agent", host.name)
    shown = {"server_id": server_id, "project_id": project_id, **_view(host.name, seen)}
    return Reply({"adoption": shown}, 202, {"Location": call.link(f"/compute/v2.1/servers/{server_id}")})


def _view(host: str, seen: Stranger) -> dict[str, Any]:
    return {
        "host": host,
        "guest": seen.name,
        "uuid": seen.uuid,
        "kind": seen.kind,
        "power_state": int(seen.power),
        "persistent": seen.persistent,
        "vcpus": seen.vcpus,
        "ram": seen.memory_mb,
        "disks": [dict(disk) for disk in seen.disks],
        "interfaces": [dict(nic) for nic in seen.nics],
    }

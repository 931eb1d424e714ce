"""Images of servers, rescue, shelve."""

from __future__ import annotations

import secrets
import string
from typing import Any

from nova_lite.api.compute import access, parameters, policies
from nova_lite.api.compute.parameters import NAME, NOT_NEGATIVE, by_minor
from nova_lite.api.compute.server_action import Action, closed, plain, wake
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import hosts, quotas, rescues, snapshots
from nova_lite.compute.servers import ServerRecord
from nova_lite.errors import Invalid, OverLimit

_P = policies.PREFIX
_PASSWORD = string.ascii_letters + string.digits


def _made(call: Call, image_id: str, host: str | None) -> Reply:
    wake(call, host)
    if call.version.minor >= 45:
        return Reply({"image_id": image_id}, 202)
    return Reply(None, 202, {"Location": call.link(f"/image/v2/images/{image_id}")})


def _metadata(call: Call, argument: Any) -> dict[str, str]:
    """Return the properties that the image is to have. :raises OverLimit: they are more than the project may give one."""
    metadata: dict[str, str] = argument.get("metadata") or {}
    if metadata:
        with call.store.read() as session:
            most = quotas.limits(call.services.conf, session, call.principal.project_id or "")["metadata_items"]
        if 0 <= most < len(metadata):
            raise OverLimit("Image metadata limit exceeded", "image.metadata_limit")
    return metadata


def _create_image(call: Call, record: ServerRecord, argument: Any) -> Reply:
    metadata = _metadata(call, argument)
    return _made(call, *snapshots.create_image(call.store, call.caller, record.id, argument["name"], metadata))


def _create_backup(call: Call, record: ServerRecord, argument: Any) -> Reply:
    image_id, host = snapshots.create_backup(
        call.store,
        call.caller,
        record.id,
        argument["name"],
        argument["backup_type"],
        int(argument["rotation"]),
        _metadata(call, argument),
    )
    if int(argument["rotation"]) == 0:
        return wake(call, host)  # nothing will be left that could be named
    return _made(call, image_id, host)


def _rescue(call: Call, record: ServerRecord, argument: Any) -> Reply:
    asked = argument or {}
    host = rescues.rescue(
        call.store,
        call.caller,
        record.id,
        asked.get("rescue_image_ref"),
        default=call.services.conf.compute.rescue_image_id,
        scope=access.scope(call),
        override_lock=call.principal.is_admin,
    )
    wake(call, host)
    password = asked.get("adminPass") or "".join(secrets.choice(_PASSWORD) for _ in range(12))
    return Reply({"adminPass": password}, 200)


def _shelve(call: Call, record: ServerRecord, _argument: Any) -> Reply:
    override = call.principal.is_admin
    return wake(call, snapshots.shelve(call.store, call.caller, record.id, override_lock=override))


def _unshelve_schema(minor: int) -> Schema:
    if minor < 77:
        return {}
    if minor < 91:
        argument = {"properties": {"availability_zone": NAME}, "required": ["availability_zone"]}
    else:
        argument = {"properties": {"availability_zone": {"type": ["string", "null"]}, "host": {"type": "string"}}}
    return {"type": ["object", "null"], **argument, "additionalProperties": False}


def _unshelve(call: Call, record: ServerRecord, argument: Any) -> Reply:
    asked = argument if call.version.minor >= 77 and isinstance(argument, dict) else {}
    zone, host = asked.get("availability_zone"), asked.get("host")
    if host is not None:
        target = {"project_id": record.project_id, "user_id": record.user_id}
        call.authorize(target, _P + "os-shelve:unshelve_to_host")
    _check_place(call, zone, host)
    chosen = snapshots.unshelve(
        call.store,
        call.caller,
        record.id,
        override_lock=call.principal.is_admin,
        zone=zone,
        unpin="availability_zone" in asked and zone is None,
        host=host,
    )
    if chosen is None:
        call.services.waker.wake("scheduler")
    return wake(call, chosen)


def _check_place(call: Call, zone: str | None, host: str | None) -> None:
    if zone is None and host is None:
        return
    with call.store.read() as session:
        zones = hosts.zones(session)
    if zone is not None and zone not in zones:
        raise Invalid("The requested availability zone is not available", "server.zone_not_found")
    if host is not None and not any(host in names for names in zones.values()):
        raise Invalid(f"Compute host {host} could not be found.", "server.host_not_found")


ACTIONS = (
    Action(
        "createImage",
        policies.SERVERS + "create_image",
        _create_image,
        closed({"name": NAME, "metadata": parameters.METADATA}, "name"),
    ),
    Action(
        "createBackup",
        _P + "os-create-backup",
        _create_backup,
        closed(
            {
                "name": NAME,
                "backup_type": {"type": "string"},
                "rotation": NOT_NEGATIVE,
                "metadata": parameters.METADATA,
            },
            "name",
            "backup_type",
            "rotation",
        ),
    ),
    Action(
        "rescue",
        _P + "os-rescue",
        _rescue,
        {
            "type": ["object", "null"],
            "properties": {
                "adminPass": {"type": "string"},
                "rescue_image_ref": {"type": "string", "format": "uuid"},
            },
            "additionalProperties": False,
        },
    ),
    plain("unrescue", "os-unrescue", "unrescue"),
    Action("shelve", _P + "os-shelve:shelve", _shelve, {}),
    plain("shelveOffload", "os-shelve:shelve_offload", "shelveOffload"),
    Action("unshelve", _P + "os-shelve:unshelve", _unshelve, by_minor(_unshelve_schema, 1, 77, 91)),
)

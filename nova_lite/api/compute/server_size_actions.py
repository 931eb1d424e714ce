"""Resize, its confirmation and its way back; rebuild."""

from __future__ import annotations

import secrets
import string
from typing import Any

from nova_lite.api.compute import access, parameters, policies
from nova_lite.api.compute.parameters import by_minor
from nova_lite.api.compute.server_action import Action, closed, plain, wake
from nova_lite.api.compute.server_views import ServerView
from nova_lite.api.compute.unoffered import refuse_unoffered
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import personality, rebuilds, resizes, servers
from nova_lite.compute.servers import ServerRecord

_S = policies.SERVERS
_DISK_CONFIG: Schema = {"type": "string", "enum": ["AUTO", "MANUAL"]}
_PASSWORD = string.ascii_letters + string.digits


def _resize(call: Call, record: ServerRecord, argument: Any) -> Reply:
    host = resizes.resize(
        call.store,
        call.services.conf,
        call.caller,
        record.id,
        str(argument["flavorRef"]).rstrip("/").rpartition("/")[2],
        scope=access.scope(call),
        override_lock=call.principal.is_admin,
        disk_config=argument.get("OS-DCF:diskConfig"),
    )
    return wake(call, host)


def _confirm(call: Call, record: ServerRecord, _argument: Any) -> Reply:
    override = call.principal.is_admin
    wake(call, servers.act(call.store, call.caller, record.id, "confirmResize", override_lock=override))
    return Reply(status=204)


def _rebuild_schema(minor: int) -> Schema:
    properties: dict[str, Any] = {
        "name": parameters.NAME,
        "imageRef": {"type": "string", "format": "uuid"},
        "adminPass": {"type": "string"},
        "metadata": parameters.METADATA,
        "preserve_ephemeral": parameters.BOOLEAN,
        "OS-DCF:diskConfig": _DISK_CONFIG,
        "accessIPv4": {"type": "string", "format": "ipv4"},
        "accessIPv6": {"type": "string", "format": "ipv6"},
    }
    if minor < 57:
        file = closed({"path": {"type": "string"}, "contents": {"type": "string", "format": "base64"}})
        properties["personality"] = {"type": "array", "items": file, "maxItems": 64}
    if minor >= 19:
        properties["description"] = parameters.DESCRIPTION
    if minor >= 54:
        properties["key_name"] = {"anyOf": [parameters.NAME, {"type": "null"}]}
    if minor >= 57:
        properties["user_data"] = {
            "anyOf": [{"type": "string", "format": "base64", "maxLength": 65_535}, {"type": "null"}]
        }
    if minor >= 63:
        properties["trusted_image_certificates"] = parameters.TRUSTED_CERTIFICATES
    if minor >= 90:
        properties["hostname"] = parameters.FQDN if minor >= 94 else parameters.HOSTNAME
    return closed(properties, "imageRef")


_COLUMNS = {
    "name": "name",
    "metadata": "metadata_",
    "OS-DCF:diskConfig": "disk_config",
    "accessIPv4": "access_ip_v4",
    "accessIPv6": "access_ip_v6",
    "description": "description",
    "user_data": "user_data",
    "hostname": "hostname",
}


def _rebuild(call: Call, record: ServerRecord, argument: Any) -> Reply:
    refuse_unoffered(argument)
    wanted = rebuilds.Rebuild(
        image_id=argument["imageRef"],
        # Files are of one boot: a rebuild without any begins without.
        changes={column: argument[name] for name, column in _COLUMNS.items() if name in argument}
        | {"injected_files": personality.read(argument.get("personality") or ()) or None},
        has_key="key_name" in argument,
        key_name=argument.get("key_name"),
    )
    host = rebuilds.rebuild(
        call.store,
        call.services.conf,
        call.caller,
        record.id,
        wanted,
        scope=access.scope(call),
        override_lock=call.principal.is_admin,
    )
    wake(call, host)
    detail = servers.get_detail(call.store, record.id, None)
    shown = ServerView(call).rebuilt(detail)
    shown["adminPass"] = argument.get("adminPass") or "".join(secrets.choice(_PASSWORD) for _ in range(12))
    links = {link["rel"]: link["href"] for link in shown["links"]}
    return Reply({"server": shown}, 202, {"Location": links["self"]})


ACTIONS = (
    Action(
        "resize",
        _S + "resize",
        _resize,
        closed(
            {
                "flavorRef": {"type": ["string", "integer"], "minLength": 1, "maxLength": 512},
                "OS-DCF:diskConfig": _DISK_CONFIG,
            },
            "flavorRef",
        ),
    ),
    Action("confirmResize", _S + "confirm_resize", _confirm, {}),
    plain("revertResize", "servers:revert_resize", "revertResize"),
    Action("rebuild", _S + "rebuild", _rebuild, by_minor(_rebuild_schema, 1, 19, 54, 57, 63, 90, 94)),
)

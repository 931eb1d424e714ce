"""The schemas of ``POST`` and ``PUT /servers``, as each microversion has them, closed."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import parameters
from nova_lite.api.compute.parameters import BOOLEAN, FQDN, HOSTNAME, IP_ADDRESS, METADATA, NAME, TAG, UUID, by_minor
from nova_lite.api.routes import Schema

_DISK_CONFIG: Schema = {"type": "string", "enum": ["AUTO", "MANUAL"]}
_ACCESS_V4: Schema = {"type": "string", "format": "ipv4"}
_ACCESS_V6: Schema = {"type": "string", "format": "ipv6"}
_DEVICE: dict[str, Any] = {
    "virtual_name": {"type": "string", "maxLength": 255},
    "volume_id": UUID,
    "snapshot_id": UUID,
    "volume_size": parameters.POSITIVE,
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN,
    "no_device": {},
    "connection_info": {"type": "string", "maxLength": 65_535},
}
_DEVICE_V2: dict[str, Any] = {
    **_DEVICE,
    "source_type": {"type": "string", "enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": UUID,
    "destination_type": {"type": "string", "enum": ["local", "volume"]},
    "guest_format": {"type": "string", "maxLength": 255},
    "device_type": {"type": "string", "maxLength": 255},
    "disk_bus": {"type": "string", "maxLength": 255},
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"},
}
_SERVERS_HINT: Schema = {
    "anyOf": [{"type": "string", "format": "uuid"}, {"type": "array", "items": UUID, "maxItems": 64}]
}
_HINTS: Schema = {
    "type": "object",
    # Others may be there, for schedulers other than ours.
    "patternProperties": {
        "^group$": UUID,
        "^(same|different)_host$": _SERVERS_HINT,
        "^query$": {"type": ["string", "object"]},
        "^target_cell$": NAME,
        "^different_cell$": {"type": ["string", "array"], "items": {"type": "string"}},
        "^build_near_host_ip$": IP_ADDRESS,
        "^cidr$": {"type": "string", "pattern": "^/[0-9a-f.:]+$"},
    },
    "maxProperties": 64,
}
_FILE: Schema = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "contents": {"type": "string", "format": "base64"}},
    "additionalProperties": False,
}


def _closed(properties: dict[str, Any]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _networks(minor: int) -> Schema:
    item: dict[str, Any] = {
        "fixed_ip": IP_ADDRESS,
        "port": {"type": ["string", "null"], "format": "uuid"},
        "uuid": UUID if minor >= 37 else {"type": "string", "maxLength": 64},
    }
    # Nova had the tag in 2.32, lost it in 2.37 by a mistake and took it up again in 2.42.
    if 32 <= minor < 37 or minor >= 42:
        item["tag"] = TAG
    listed: Schema = {"type": "array", "items": _closed(item), "maxItems": 64}
    if minor < 37:
        return listed
    return {"oneOf": [listed, {"type": "string", "enum": ["none", "auto"]}]}


def _create(minor: int) -> Schema:
    device = dict(_DEVICE_V2)
    if minor == 32 or minor >= 42:
        device["tag"] = TAG
    if minor >= 67:
        device["volume_type"] = {"type": ["string", "null"], "maxLength": 255}
    properties: dict[str, Any] = {
        "name": NAME,
        "imageRef": {"type": "string", "anyOf": [{"format": "uuid"}, {"maxLength": 0}]},
        "flavorRef": {"type": ["string", "integer"], "minLength": 1, "maxLength": 512},
        "adminPass": {"type": "string"},
        "metadata": METADATA,
        "networks": _networks(minor),
        "OS-DCF:diskConfig": _DISK_CONFIG,
        "accessIPv4": _ACCESS_V4,
        "accessIPv6": _ACCESS_V6,
        "availability_zone": NAME,
        "block_device_mapping": {"type": "array", "items": _closed(_DEVICE), "maxItems": 64},
        "block_device_mapping_v2": {"type": "array", "items": _closed(device), "maxItems": 64},
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": parameters.POSITIVE,
        "max_count": parameters.POSITIVE,
        "return_reservation_id": BOOLEAN,
        "security_groups": {"type": "array", "items": _closed({"name": NAME}), "maxItems": 64},
        "user_data": {"type": "string", "format": "base64", "maxLength": 65_535},
    }
    if minor < 57:
        properties["personality"] = {"type": "array", "items": _FILE, "maxItems": 64}
    if minor >= 19:
        properties["description"] = parameters.DESCRIPTION
    if minor >= 52:
        properties["tags"] = {"type": "array", "items": TAG, "maxItems": 50}
    if minor >= 63:
        properties["trusted_image_certificates"] = parameters.TRUSTED_CERTIFICATES
    if minor >= 74:
        properties |= {"host": FQDN, "hypervisor_hostname": FQDN}
    if minor >= 90:
        properties["hostname"] = FQDN if minor >= 94 else HOSTNAME
    schema = parameters.body("server", properties, ["name", "flavorRef", *(["networks"] if minor >= 37 else [])])
    schema["properties"] |= {"os:scheduler_hints": _HINTS, "OS-SCH-HNT:scheduler_hints": _HINTS}
    return schema


def _update(minor: int) -> Schema:
    properties: dict[str, Any] = {
        "name": NAME,
        "OS-DCF:diskConfig": _DISK_CONFIG,
        "accessIPv4": _ACCESS_V4,
        "accessIPv6": _ACCESS_V6,
    }
    if minor >= 19:
        properties["description"] = parameters.DESCRIPTION
    if minor >= 90:
        properties["hostname"] = FQDN if minor >= 94 else HOSTNAME
    return parameters.body("server", properties)


CREATE = by_minor(_create, 1, 19, 32, 33, 37, 42, 52, 57, 63, 67, 74, 90, 94)
UPDATE = by_minor(_update, 1, 19, 90, 94)

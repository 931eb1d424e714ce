"""What a port is asked for with."""

from __future__ import annotations

from typing import Any

from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT
from nova_lite.api.network.tags import TAGS
from nova_lite.api.routes import Schema
from nova_lite.network import port_addresses

_UUID: Schema = {"type": "string", "format": "uuid"}
_OPTIONAL_UUID: Schema = {"type": ["string", "null"], "format": "uuid"}
_ADDRESS: Schema = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_MAC: Schema = {"type": "string", "format": "mac"}
_FIXED_IPS: Schema = {
    "type": "array",
    "maxItems": port_addresses.MOST,
    "items": {
        "type": "object",
        "properties": {"subnet_id": _UUID, "ip_address": _ADDRESS},
        "minProperties": 1,
        "additionalProperties": False,
    },
}
_PAIRS: Schema = {
    "type": "array",
    "maxItems": 10,
    "items": {
        "type": "object",
        "properties": {
            "ip_address": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}, {"format": "cidr"}]},
            "mac_address": _MAC,
        },
        "required": ["ip_address"],
        "additionalProperties": False,
    },
}
_OPTIONS: Schema = {
    "type": "array",
    "maxItems": 32,
    "items": {
        "type": "object",
        "properties": {
            "opt_name": {
                "type": "string",
                "maxLength": 64,
                "pattern": "^[a-zA-Z0-9][a-zA-Z0-9+-]*$",
                "description": "the name or number of a DHCP option",
            },
            "opt_value": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": 255,
                "pattern": r"^[^\x00-\x1f\x7f]*$",
                "description": "a text without control characters",
            },
            "ip_version": {"type": ["integer", "string"], "enum": [4, 6, "4", "6"]},
        },
        "required": ["opt_name"],
        "additionalProperties": False,
    },
}
_DNS_NAME: Schema = {
    "type": "string",
    "maxLength": 255,
    "pattern": r"^$|^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?$",
    "description": "a host name: labels of 1 to 63 letters, digits and hyphens, with dots between them",
}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "admin_state_up": BOOLEAN,
    "mac_address": _MAC,
    "fixed_ips": _FIXED_IPS,
    "device_id": TEXT,
    "device_owner": TEXT,
    "security_groups": {"type": ["array", "null"], "items": _UUID, "maxItems": 64},
    "port_security_enabled": BOOLEAN,
    "allowed_address_pairs": {**_PAIRS, "type": ["array", "null"]},
    "extra_dhcp_opts": {**_OPTIONS, "type": ["array", "null"]},
    "dns_name": _DNS_NAME,
    "qos_policy_id": _OPTIONAL_UUID,
    "binding:host_id": {"type": ["string", "null"], "maxLength": 255, "pattern": r"^[A-Za-z0-9._-]*$"},
    "binding:vnic_type": {"type": "string", "enum": ["normal"]},
    "binding:profile": {"type": ["object", "null"], "maxProperties": 64},
}
CREATE: Schema = collections.creation(
    "port",
    "ports",
    {**_COMMON, "network_id": _UUID, "project_id": PROJECT, "tenant_id": PROJECT, "tags": TAGS},
    ["network_id"],
)
UPDATE: Schema = collections.body("port", _COMMON)

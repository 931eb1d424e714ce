"""What the schemas of servers take and nova_lite does not do: refused, rather than taken without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.compute.parameters import truth
from nova_lite.errors import Invalid

MOVES = frozenset({"migrate", "os-migrateLive", "evacuate"})
"""Actions that take a server to another host."""


def refuse_action(name: str) -> Invalid:
    """Say why there is no action of this name."""
    if name in MOVES:
        return Invalid(f"Servers are not moved from host to host here: '{name}' is not offered.", "server.not_moved")
    return Invalid(f"There is no such action: {name[:64]}", "server.no_such_action")


def refuse_unoffered(wanted: Mapping[str, Any]) -> None:
    """Refuse what would otherwise be taken and have no effect; *wanted* is what a create or rebuild asks for."""
    if wanted.get("block_device_mapping"):
        raise Invalid("Block Device Mapping is Invalid: there are no volumes yet.", "server.device_mapping")
    if wanted.get("trusted_image_certificates"):
        raise Invalid("Image signatures are not verified here; leave trusted_image_certificates out.", "server.trusted")
    if truth(wanted.get("preserve_ephemeral", False)):
        raise Invalid(
            "The current driver does not support preserving ephemeral partitions.", "server.preserve_ephemeral"
        )
    if any(device.get("tag") for device in wanted.get("block_device_mapping_v2") or ()):
        raise Invalid("Tags of block devices are not offered here; leave 'tag' out.", "server.device_tag")

"""What the schemas of servers take and nova_lite does not do: refused, rather than taken without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.errors import Invalid


def refuse_unoffered(wanted: Mapping[str, Any]) -> None:
    """Refuse what would otherwise be taken and have no effect; *wanted* is what a create or rebuild asks for."""
    if wanted.get("block_device_mapping"):
        raise Invalid("Block Device Mapping is Invalid: there are no volumes yet.", "server.device_mapping")
    if len(wanted.get("block_device_mapping_v2") or ()) > 1:
        raise Invalid("Block Device Mapping is Invalid: only one device is offered.", "server.device_mapping")
    if wanted.get("trusted_image_certificates"):
        raise Invalid("Image signatures are not verified here; leave trusted_image_certificates out.", "server.trusted")
    if any(device.get("tag") for device in wanted.get("block_device_mapping_v2") or ()):
        raise Invalid("Tags of block devices are not offered here; leave 'tag' out.", "server.device_tag")

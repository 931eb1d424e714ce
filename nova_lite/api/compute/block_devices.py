"""What ``block_device_mapping_v2`` asks for: the image that is booted, ephemeral disks and swap; volumes are refused.

The words are Nova's where it refuses the same. ``device_name`` is taken and has no effect, as with Nova's libvirt driver: names follow
the order of the disks. Nor has ``delete_on_termination``: these disks go with their server.
Source: https://docs.openstack.org/nova/latest/user/block-device-mapping.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_lite.api.compute.parameters import truth
from nova_lite.compute import local_disks
from nova_lite.db.types import JsonDict
from nova_lite.errors import Invalid

_BUSES = ("fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml", "none")
"""What Nova knows as buses."""
_LONGEST_INDEX = 9


@dataclass(frozen=True)
class BlockDevices:
    """``local_disks``: as :mod:`nova_lite.compute.local_disks` keeps what was asked for; empty: nothing was."""

    image_id: str
    local_disks: JsonDict = field(default_factory=dict)


def read(wanted: Mapping[str, Any]) -> BlockDevices:
    """Read what a server's creation asks for; clients name its image by ``imageRef``, by a block device mapping, or by both.

    :raises Invalid: there is no such device here, the devices contradict each other, or no image is named.
    """
    image_id = str(wanted.get("imageRef") or "")
    named = [device for device in wanted.get("block_device_mapping_v2") or () if not _is_none(device)]
    for device in named:
        _check(device)
    for device in named:
        if _source(device) == "image":
            if image_id and _image(device) != image_id:
                raise Invalid("Block Device Mapping is Invalid: it names another image than imageRef.", "server.image")
            image_id = _image(device)
    if not image_id:
        raise Invalid("Invalid imageRef provided.", "server.image")
    if named:
        _check_sequence(named)
    return BlockDevices(image_id, _asked([device for device in named if _source(device) == "blank"]))


def _is_none(device: Mapping[str, Any]) -> bool:
    """Say whether the entry takes a device away that the image would bring, of which there are none here."""
    no_device = device.get("no_device")
    return truth(no_device) if isinstance(no_device, str | bool) else bool(no_device)


def _source(device: Mapping[str, Any]) -> str:
    return str(device.get("source_type") or ("image" if device.get("image_id") else ""))


def _image(device: Mapping[str, Any]) -> str:
    return str(device.get("uuid") or device.get("image_id") or "")


def _index(device: Mapping[str, Any]) -> int:
    index = device.get("boot_index")
    if len(str(index)) > _LONGEST_INDEX:
        raise _invalid("Boot index is invalid.")
    return -1 if index is None else int(index)


def _check(device: Mapping[str, Any]) -> None:
    source = _source(device)
    if source not in ("image", "blank") or (device.get("destination_type") or "local") != "local":
        raise _invalid(
            "the image that is booted (source_type image, destination_type local, boot_index 0), ephemeral disks and swap "
            "(source_type blank, destination_type local) are offered; there are no volumes yet.",
        )
    if source == "blank" and device.get("uuid"):
        raise _invalid("Invalid device UUID.")
    if source == "image" and not _image(device):
        raise _invalid("Missing device UUID.")
    if source == "image" and _index(device) != 0:
        raise _invalid("Mapping image to local is not supported.")
    if device.get("volume_type"):
        raise _invalid("Specifying a volume_type with destination_type=local is not supported.")
    if device.get("device_type") not in (None, "", "disk"):
        raise _invalid(f"a disk without a volume has device_type disk, not {device['device_type'][:64]}.")
    bus = device.get("disk_bus")
    if bus and bus not in _BUSES:
        raise Invalid(
            f"Block Device Mapping is invalid: The provided disk bus {bus[:64]} is not valid.", "server.disk_bus"
        )
    if source == "blank":
        _check_blank(device)


def _check_blank(device: Mapping[str, Any]) -> None:
    guest_format = device.get("guest_format")
    if guest_format and guest_format != "swap" and guest_format not in local_disks.FORMATS:
        raise _invalid(f"{guest_format[:64]} format is not supported")


def _check_sequence(devices: Sequence[Mapping[str, Any]]) -> None:
    indexes = sorted(index for device in devices if (index := _index(device)) >= 0)
    if not indexes or indexes != list(range(len(indexes))):
        raise _invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
    if sum(_source(device) == "image" for device in devices) != 1:
        raise _invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")


def _asked(blank: Sequence[Mapping[str, Any]]) -> JsonDict:
    swaps = [device for device in blank if device.get("guest_format") == "swap"]
    if len(swaps) > 1:
        raise _invalid("More than one swap drive requested.")
    asked: JsonDict = {}
    parts = [
        {"size": _size(device), "format": device.get("guest_format") or None} for device in blank if device not in swaps
    ]
    if parts:
        asked["ephemerals"] = parts
    if swaps:
        asked["swap"] = _size(swaps[0])
    buses = sorted({str(device["disk_bus"]) for device in blank if device.get("disk_bus")})
    if buses:
        asked["buses"] = buses
    return asked


def _size(device: Mapping[str, Any]) -> int | None:
    size = device.get("volume_size")
    return None if size is None else int(size)


def _invalid(why: str) -> Invalid:
    return Invalid(f"Block Device Mapping is Invalid: {why}", "server.device_mapping")

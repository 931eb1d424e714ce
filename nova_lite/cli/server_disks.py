"""The options of ``server create`` for disks without a volume, as ``openstack`` and ``nova`` spell them."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli.command import pair, positive


def add_options(parser: Any) -> None:
    """Take ``--ephemeral`` and ``--swap``."""
    parser.add_argument(
        "--ephemeral",
        dest="ephemerals",
        action="append",
        type=_ephemeral,
        default=[],
        metavar="size=GIB[,format=FORMAT]",
        help="an ephemeral disk (formats: ext2, ext3, ext4, xfs, vfat), of what the flavor gives (default: one of all that); may "
        "be repeated",
    )
    parser.add_argument(
        "--swap", type=positive, metavar="MIB", help="a swap disk, at most the flavor's (default: as large as that)"
    )


def _ephemeral(text: str) -> dict[str, Any]:
    parts = dict(pair(item) for item in text.split(","))
    if not {"size"} <= parts.keys() <= {"size", "format"}:
        raise argparse.ArgumentTypeError(f"{text!r} must be size=GIB[,format=FORMAT]")
    device: dict[str, Any] = {"volume_size": positive(parts["size"])}
    return device | ({"guest_format": parts["format"]} if "format" in parts else {})


def devices(image_id: str, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Return ``block_device_mapping_v2`` for what was asked for: the image, and after it the disks; nothing asked for: empty."""
    blank = {"source_type": "blank", "destination_type": "local", "boot_index": -1, "delete_on_termination": True}
    disks = [blank | disk for disk in wanted.ephemerals]
    if wanted.swap:
        disks.append(blank | {"guest_format": "swap", "volume_size": wanted.swap})
    if not disks:
        return []
    image = {"uuid": image_id, "source_type": "image", "destination_type": "local", "boot_index": 0}
    return [image | {"delete_on_termination": True}, *disks]

"""The disks that a server has beside its root one and that need no volume service: ephemeral disks and swap.

What a flavor gives is the most; ``block_device_mapping_v2`` may split or lessen it. ``servers.local_disks`` keeps what was
asked for: ``ephemerals``, a list of ``size`` (GiB; None: the flavor's) and ``format`` (None: the host's default), and ``swap``
(MiB; None: the flavor's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from nova_lite.compute import kinds
from nova_lite.db.models import Flavor
from nova_lite.errors import Invalid

EXT4 = "ext4"
VFAT = "vfat"
FORMATS = ("ext2", "ext3", EXT4, "xfs", VFAT)
"""Filesystems that an ephemeral disk can be given."""

PREFIXES: Mapping[str, str] = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
"""Each bus that a VM's disks can be at, the default one first, and how Linux calls the disks there."""

MOST = 20
"""Disks of one server, its root disk among them: their names end before z, with CDs and the config drive after them."""

_MIB_PER_GIB = 1024


@dataclass(frozen=True)
class Ephemeral:
    """An ephemeral disk. ``format`` empty: what the host gives by default."""

    size_gb: int
    format: str = ""


@dataclass(frozen=True)
class LocalDisks:
    """What one server has, in the order of its devices: the ephemeral disks, then the swap (MiB; 0: none)."""

    ephemerals: tuple[Ephemeral, ...] = ()
    swap_mb: int = 0

    def names(self) -> list[str]:
        """Return what EC2's metadata calls the disks, in their order."""
        found = [f"ephemeral{index}" for index in range(len(self.ephemerals))]
        return [*found, "swap"] if self.swap_mb else found


def of(ephemeral_gb: int, swap_mb: int, asked: Mapping[str, Any] | None) -> LocalDisks:
    """Return what a server has whose flavor gives *ephemeral_gb* and *swap_mb*, and who *asked* for parts of that.

    Disks that were asked for keep their sizes under another flavor, but swap is never more than that gives: it holds nothing
    that must be kept.
    """
    asked = asked or {}
    wanted: Sequence[Mapping[str, Any]] = asked.get("ephemerals") or ()
    parts = tuple(Ephemeral(int(each.get("size") or ephemeral_gb), str(each.get("format") or "")) for each in wanted)
    if not parts and ephemeral_gb:
        parts = (Ephemeral(ephemeral_gb),)
    swap = asked.get("swap")
    return LocalDisks(parts, swap_mb if swap is None else min(int(swap), swap_mb))


def held_gb(disk_gb: int, ephemeral_gb: int, swap_mb: int) -> int:
    """Return the GiB of a host that a server holds: root and ephemeral disks, and swap rounded up, as Nova counts them."""
    return disk_gb + ephemeral_gb - (-swap_mb // _MIB_PER_GIB)


def devices(properties: Mapping[str, Any], disks: LocalDisks) -> dict[str, str]:
    """Return EC2's name of each disk → the device's, ``vdb``: they follow the root disk, at the bus that the image asks for."""
    prefix = PREFIXES.get(str(properties.get("hw_disk_bus") or "virtio").lower(), "vd")
    return {name: f"{prefix}{letter(index)}" for index, name in enumerate(["root", *disks.names()])}


def letter(index: int) -> str:
    """Return the letter of the *index*-th disk."""
    return chr(ord("a") + index)


def check(
    conf: cfg.ConfigOpts, flavor: Flavor, kind: str, properties: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """Check what was asked for against *flavor* and what guests of *kind* from an image with *properties* can have.

    The words are Nova's where it refuses the same.

    :raises Invalid: it is more than the flavor gives, or there is no such disk.
    """
    wanted = asked.get("ephemerals") or ()
    most = conf.compute.max_local_block_devices
    if (most if 0 <= most < MOST else MOST) < 1 + len(wanted) + ("swap" in asked):
        raise _invalid("You specified more local devices than the limit allows", "server.device_count")
    if any(not (each.get("size") or flavor.ephemeral_gb) for each in wanted) or flavor.ephemeral_gb < sum(
        each.get("size") or flavor.ephemeral_gb for each in wanted
    ):
        raise Invalid(
            "Ephemeral disks requested are larger than the instance type allows. If no size is given in one block device "
            "mapping, flavor ephemeral size will be used.",
            "server.ephemeral_size",
        )
    if "swap" in asked and not 0 < (asked["swap"] or flavor.swap_mb) <= flavor.swap_mb:
        raise Invalid("Swap drive requested is larger than instance type allows.", "server.swap_size")
    if flavor.swap_mb and (why := kinds.LOCAL_SWAP.refusal(kind)):
        raise Invalid(f"Flavor {flavor.name} has swap: {why}.", "server.kind_cannot")
    for each in wanted:
        if kind == kinds.CONTAINER and each.get("format") not in (None, EXT4):
            raise _invalid(
                f"a container's ephemeral disks are {EXT4}, not {each['format']}; leave guest_format out, or ask for a VM",
                "server.guest_format",
            )
    bus = str(properties.get("hw_disk_bus") or "virtio").lower()
    for named in asked.get("buses") or ():
        if kind == kinds.CONTAINER or named != (bus if kind == kinds.VM else "virtio"):
            raise _invalid(
                f"all disks of a server are at one bus, which its image's hw_disk_bus names ({bus}), not at {named}",
                "server.disk_bus",
            )


def _invalid(why: str, code: str) -> Invalid:
    return Invalid(f"Block Device Mapping is Invalid: {why}", code)

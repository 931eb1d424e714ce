"""A QEMU guest's disk: a qcow2 overlay on the cached image.

``qemu-img`` is told every format, runs unprivileged and under limits, and never opens the image itself: its size was
found when it was inspected, so ``-u`` keeps a hostile header from being parsed here (CVE-2024-32498, CVE-2024-44082).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nova_lite.virt.driver import DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt import unprivileged
from nova_lite.virt.libvirt.instances import Instance
from nova_lite.virt.libvirt.unprivileged import guest_user
from nova_lite.virt.waiting import GoOn, go_on

ISO = "iso"
"""The format of a CD's image: a VM reads it, and has no disk made of it; to anything else it is a raw disk."""

_FORMATS = {"raw": "raw", "qcow2": "qcow2", "ami": "raw", ISO: "raw"}
_GIB = 1 << 30
_SECTOR = 512
_QCOW2_MAGIC = b"QFI\xfb"
_LIMITS = ("prlimit", "--as=1073741824", "--cpu=30", "--fsize=1073741824", "--core=0", "--")


def backing_format(image: LocalImage) -> str:
    """Return QEMU's name for the image's format; an ``ami`` is a raw filesystem.

    :raises DriverError: the format is none that a disk can be made of here.
    """
    try:
        return _FORMATS[image.disk_format]
    except KeyError:
        raise DriverError(f"a disk can't be made of an image in format {image.disk_format!r:.40}") from None


def size_bytes(spec: GuestSpec) -> int:
    """Return the disk's size: the flavor's, or the image's own where that is 0, in whole sectors.

    :raises DriverError: the image is larger than the flavor's disk.
    """
    wanted = spec.disk_gb * _GIB or spec.image.virtual_size
    if spec.image.virtual_size > wanted and spec.image.disk_format != ISO:
        raise DriverError(
            f"the image needs a disk of {-(-spec.image.virtual_size // _GIB)} GiB, the flavor has {spec.disk_gb}"
        )
    return -(-wanted // _SECTOR) * _SECTOR


def make_overlay(instance: Instance, spec: GuestSpec) -> None:
    """Make the guest's disk, if it is not there yet; a half-made one is made anew.

    :raises DriverError: the format is none that a disk can have here, or qemu-img fails.
    """
    make(instance.disk, spec)


def make(disk: Path, spec: GuestSpec) -> None:
    """Make an overlay on *spec*'s image at *disk*, of *spec*'s size, as :func:`make_overlay` does; an empty disk beside a CD."""
    if disk.exists():
        return
    size = size_bytes(spec)
    part = disk.with_name(f"{disk.name}.part")
    make_for_guest_user(part)
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2"]
    if spec.image.disk_format != ISO:
        command += ["-F", backing_format(spec.image), "-b", str(spec.image.path)]
    run_qemu_img([*command, str(part), str(size)], "made")
    part.rename(disk)


def make_for_guest_user(path: Path) -> None:
    """Make an empty file, in place of what is there, that QEMU's user alone may read and write."""
    user = guest_user()
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchown(descriptor, user.uid, user.gid)
    os.close(descriptor)


def give_to_guest_user(disk: Path) -> None:
    """Make the disk QEMU's user's: libvirt gives it to root when the guest has stopped, and qemu-img runs as that user."""
    user = guest_user()
    os.chown(disk, user.uid, user.gid)


def virtual_size(disk: Path) -> int:
    """Return the size in bytes that the qcow2 file *disk* shows its guest; its header is ours, not the guest's.

    Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
    """
    with disk.open("rb") as file:
        head = file.read(32)
    if len(head) < 32 or not head.startswith(_QCOW2_MAGIC):
        raise DriverError(f"{disk} is no qcow2 file")
    return int.from_bytes(head[24:32], "big")


def check_growth(disk: Path, spec: GuestSpec) -> None:
    """Do nothing if *disk* is at most as large as *spec* says. :raises DriverError: it would have to shrink."""
    if disk.exists() and spec.disk_gb and virtual_size(disk) > size_bytes(spec):
        raise DriverError(
            f"the disk has {virtual_size(disk) / _GIB:.3g} GiB and can't be made smaller; a flavor with as much disk can be had"
        )


def grow(disk: Path, spec: GuestSpec) -> None:
    """Make the stopped guest's *disk* as large as *spec* says. No disk, and a flavor that says nothing, is success."""
    if not disk.exists() or not spec.disk_gb or virtual_size(disk) >= size_bytes(spec):
        return
    give_to_guest_user(disk)
    run_qemu_img(["qemu-img", "resize", "-q", "-f", "qcow2", str(disk), str(size_bytes(spec))], "grown")


def run_qemu_img(
    command: list[str], done: str, limits: Sequence[str] = _LIMITS, timeout: float = 60.0, go_on: GoOn = go_on
) -> None:
    """Run qemu-img as QEMU's user, under *limits*. :raises DriverError: the disk could not be <done>; its last words."""
    what = f"the disk could not be {done}"
    unprivileged.run(command, what, package="qemu-utils", limits=limits, timeout=timeout, go_on=go_on)

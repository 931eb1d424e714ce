"""A QEMU guest's ephemeral disks and swap: raw, sparse files with a filesystem, or made ready for swap, as Nova makes them.

They are formatted before a guest has ever had them, by programs that run unprivileged and under limits; once a guest had them the
host looks at nothing in them but their size. A file of its final name is whole: it is made beside and renamed.
"""

from __future__ import annotations

import os
from pathlib import Path

from nova_lite.compute.local_disks import EXT4, VFAT, Ephemeral
from nova_lite.virt.driver import DriverError, GuestSpec
from nova_lite.virt.libvirt import disks, fat32, unprivileged
from nova_lite.virt.libvirt.instances import Instance

_GIB, _MIB = 1 << 30, 1 << 20
_LIMITS = ("prlimit", "--as=1073741824", "--cpu=120", "--core=0", "--")
_TIMEOUT_S = 300.0


def make(instance: Instance, spec: GuestSpec, default_format: str) -> None:
    """Make what is missing of a stopped guest's ephemeral disks, which keep what is in them, and its swap in its size.

    :param default_format: for those that name none; empty: ext4 for Linux, else vfat (image property ``os_type``), as Nova has it.
    :raises DriverError: the host has no program for a format, or it fails; the filesystem does not hold a file so large.
    """
    default = default_format or (EXT4 if spec.properties.get("os_type", "").lower() == "linux" else VFAT)
    try:
        for index, disk in enumerate(spec.disks.ephemerals):
            _make_ephemeral(instance.ephemeral_disk(index), disk, f"ephemeral{index}", disk.format or default)
        _make_swap(instance.swap_disk, spec.disks.swap_mb * _MIB)
    except OSError as error:
        raise DriverError(f"an ephemeral disk or the swap could not be made: {error.strerror}") from error


def _make_ephemeral(path: Path, disk: Ephemeral, label: str, filesystem: str) -> None:
    if path.exists():
        return
    size = disk.size_gb * _GIB
    part = _empty(path, size)
    if filesystem == VFAT:
        if size > fat32.LARGEST:
            raise DriverError("an ephemeral disk of 2 TiB or more can't have the filesystem vfat; ask for ext4")
        with part.open("r+b") as file:
            fat32.write(file, size, label)
    elif filesystem == "xfs":
        _run(["mkfs.xfs", "-q", "-f", "-L", label, str(part)], "xfsprogs")
    else:
        lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        _run(["mke2fs", "-q", "-F", "-t", filesystem, "-L", label, "-E", lazy, str(part)], "e2fsprogs")
    part.rename(path)


def _make_swap(path: Path, size: int) -> None:
    """Have a swap disk of *size* bytes, or none; one of another size is made anew: nothing in it outlives the guest's stop."""
    if size == 0:
        path.unlink(missing_ok=True)
        return
    if path.exists() and path.stat().st_size == size:
        return
    part = _empty(path, size)
    _run(["mkswap", str(part)], "util-linux")
    part.rename(path)


def _empty(path: Path, size: int) -> Path:
    part = path.with_name(f"{path.name}.part")
    disks.make_for_guest_user(part)
    os.truncate(part, size)
    return part


def check_growth(instance: Instance, spec: GuestSpec) -> None:
    """Do nothing if each ephemeral disk is at most as large as *spec* says. :raises DriverError: one would have to shrink."""
    for index, disk in enumerate(spec.disks.ephemerals):
        path = instance.ephemeral_disk(index)
        if path.exists() and path.stat().st_size > disk.size_gb * _GIB:
            raise DriverError(
                f"ephemeral disk {index} has {path.stat().st_size / _GIB:.3g} GiB and can't be made smaller; a flavor with as "
                "much can be had"
            )


def grow(instance: Instance, spec: GuestSpec) -> None:
    """Make the stopped guest's ephemeral disks as large as *spec* says; what is in them is the guest's to grow."""
    for index, disk in enumerate(spec.disks.ephemerals):
        path = instance.ephemeral_disk(index)
        if path.exists() and path.stat().st_size < disk.size_gb * _GIB:
            os.truncate(path, disk.size_gb * _GIB)


def _run(command: list[str], package: str) -> None:
    what = f"the disk {Path(command[-1]).stem} could not be made"
    unprivileged.run(command, what, package=package, limits=_LIMITS, timeout=_TIMEOUT_S)

"""A QEMU guest's disk: a qcow2 overlay on the cached image.

``qemu-img`` is told every format, runs unprivileged and under limits, and never opens the image itself: its size was
found when it was inspected, so ``-u`` keeps a hostile header from being parsed here (CVE-2024-32498, CVE-2024-44082).
"""

from __future__ import annotations

import os
import subprocess

from nova_lite.virt.driver import DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt.instances import Instance
from nova_lite.virt.libvirt.unprivileged import as_guest_user, guest_user

_FORMATS = {"raw": "raw", "qcow2": "qcow2", "ami": "raw"}
_GIB = 1 << 30
_SECTOR = 512
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
    if spec.image.virtual_size > wanted:
        raise DriverError(
            f"the image needs a disk of {-(-spec.image.virtual_size // _GIB)} GiB, the flavor has {spec.disk_gb}"
        )
    return -(-wanted // _SECTOR) * _SECTOR


def make_overlay(instance: Instance, spec: GuestSpec) -> None:
    """Make the guest's disk, if it is not there yet; a half-made one is made anew.

    :raises DriverError: the format is none that a disk can have here, or qemu-img fails.
    """
    if instance.disk.exists():
        return
    size = size_bytes(spec)
    user = guest_user()
    part = instance.path / "disk.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchown(descriptor, user.uid, user.gid)
    os.close(descriptor)
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", backing_format(spec.image)]
    command += ["-b", str(spec.image.path), str(part), str(size)]
    try:
        subprocess.run(
            [*_LIMITS, *as_guest_user(command)], check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing; disks need qemu-utils and util-linux") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()[-200:]
        raise DriverError(f"the disk could not be made: {reason}") from error
    except subprocess.SubprocessError as error:
        raise DriverError(f"the disk could not be made: {error}") from error
    part.rename(instance.disk)

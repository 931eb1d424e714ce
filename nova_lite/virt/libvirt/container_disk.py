"""The ext4 image that holds what a container has written: made, grown, and waited for."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nova_lite.virt import delivery
from nova_lite.virt.driver import DriverError, DriverTimeout, GuestSpec
from nova_lite.virt.libvirt import programs
from nova_lite.virt.waiting import GoOn, go_on

_GIB = 1 << 30
_RELEASE_WAIT_S = 15.0
_TIMEOUT_S = 600.0


def size_bytes(spec: GuestSpec, default_gb: int) -> int:
    """Return how much the container may write: the flavor's disk, or *default_gb* GiB where that is 0."""
    return (spec.disk_gb or default_gb) * _GIB


def make(data: Path, size: int, label: str = "") -> None:
    """Make the image, if it is not there yet; a half-made one is made anew. One that is there is waited for."""
    if data.exists():
        wait_released(data)
        return
    part = data.with_name(f"{data.name}.part")
    with part.open("wb") as file:
        file.truncate(size)
    part.chmod(0o600)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-J", "size=4", "-E"]
    command += ["lazy_itable_init=1,lazy_journal_init=1,nodiscard", *(["-L", label] if label else []), str(part)]
    _run(command, "made")
    part.rename(data)


def wait_released(data: Path) -> None:
    """Wait until no loop device has the image.

    A container's last process is gone before the kernel has taken its mounts down, and two mounts of one filesystem destroy it.

    :raises DriverTimeout: somebody holds on to it.
    """
    deadline = time.monotonic() + _RELEASE_WAIT_S
    while is_attached(data):
        if time.monotonic() > deadline:
            raise DriverTimeout(f"the container's disk is still in use {_RELEASE_WAIT_S:.0f} s after its end")
        time.sleep(0.01)


def is_attached(data: Path) -> bool:
    """Say whether a loop device has the image; told by its server's directory, which no other path ends with."""
    ending = f"/{data.parent.name}/{data.name}"
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if entry.read_text(encoding="utf-8", errors="replace").strip().endswith(ending):
                return True
        except OSError:
            continue
    return False


def check_growth(data: Path, size: int) -> None:
    """Do nothing if the image is at most *size* bytes. :raises DriverError: it would have to shrink."""
    if data.exists() and data.stat().st_size > size:
        raise DriverError(
            f"the disk has {data.stat().st_size / _GIB:.3g} GiB and can't be made smaller; a flavor with as much disk can be had"
        )


def grow(data: Path, size: int, go_on: GoOn = go_on) -> None:
    """Make the image and its filesystem *size* bytes large; none there is success. The container must be stopped.

    It is done on a copy: a filesystem that was half grown when the agent died, or *go_on* raised something, would be of no use.
    """
    if not data.exists() or data.stat().st_size >= size:
        return
    wait_released(data)
    part = data.with_name(f"{data.name}.part")
    try:
        _run(["cp", "--reflink=auto", "--sparse=auto", "--preserve=mode", "--", str(data), str(part)], "copied", go_on)
        os.truncate(part, size)
        _run(["e2fsck", "-f", "-p", str(part)], "checked", go_on, accepted=(0, 1))
        _run(["resize2fs", str(part)], "grown", go_on)
        delivery.put_in_place(part, data)
    finally:
        part.unlink(missing_ok=True)  # as large as the disk, where that was full say


def _run(command: list[str], done: str, go_on: GoOn = go_on, accepted: tuple[int, ...] = (0,)) -> None:
    what = f"the container's disk could not be {done}"
    programs.run(command, what, package="e2fsprogs", timeout=_TIMEOUT_S, accepted=accepted, go_on=go_on)

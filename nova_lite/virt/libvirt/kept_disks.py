"""The disk of a guest as it was before a resize, kept until somebody says whether it is needed.

A copy beside the disk (of what has been written; shared blocks where the filesystem can) rather than a snapshot inside it, so
that it can be thrown away at any time, while the guest runs too. ``<disk>.before`` is there as a whole or not at all;
``<disk>.none`` says that there was no disk.
"""

from __future__ import annotations

from pathlib import Path

from nova_lite.virt import delivery
from nova_lite.virt.libvirt import programs
from nova_lite.virt.waiting import GoOn, go_on

_COPY_TIMEOUT_S = 600.0


def _before(disk: Path) -> Path:
    return disk.with_name(f"{disk.name}.before")


def _none(disk: Path) -> Path:
    return disk.with_name(f"{disk.name}.none")


def is_kept(disk: Path) -> bool:
    """Say whether something is kept."""
    return _before(disk).exists() or _none(disk).exists()


def keep(disk: Path, go_on: GoOn = go_on) -> None:
    """Keep the stopped guest's *disk* as it is now, unless something is kept already.

    :raises DriverError: it can't be copied; nothing is kept then, nor after what *go_on* raises.
    """
    if is_kept(disk):
        return
    if not disk.exists():
        _none(disk).touch(mode=0o600)
        return
    part = disk.with_name(f"{disk.name}.before.part")
    command = ["cp", "--reflink=auto", "--sparse=auto", "--preserve=mode,ownership", "--", str(disk), str(part)]
    try:
        what = "the disk could not be kept for a revert"
        programs.run(command, what, package="coreutils", timeout=_COPY_TIMEOUT_S, go_on=go_on)
        delivery.put_in_place(part, _before(disk))
    finally:
        part.unlink(missing_ok=True)


def restore(disk: Path) -> None:
    """Put back what was kept; nothing kept is success. The guest must be stopped."""
    if _before(disk).exists():
        _before(disk).rename(disk)
    elif _none(disk).exists():
        disk.unlink(missing_ok=True)
    drop(disk)


def drop(disk: Path) -> None:
    """Throw away what was kept; nothing kept is success."""
    for path in (_before(disk), _none(disk), disk.with_name(f"{disk.name}.before.part")):
        path.unlink(missing_ok=True)

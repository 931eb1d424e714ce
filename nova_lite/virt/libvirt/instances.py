"""Where a guest's files are: ``<state_path>/instances/<server id>/``, and nothing of a guest is anywhere else."""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from nova_lite.compute.local_disks import LocalDisks
from nova_lite.virt.driver import REMOVED, DriverError

_EPHEMERAL = re.compile(r"disk\.eph[0-9]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def checked_id(server_id: str) -> str:
    """Return *server_id* if it is a UUID in its canonical form, or raise: it becomes a path and a domain's name."""
    if not _UUID.fullmatch(server_id) or str(uuid.UUID(server_id)) != server_id:
        raise DriverError(f"{server_id!r:.80} is not a server's id")
    return server_id


@dataclass(frozen=True)
class Instance:
    """The files of one guest. Directories are passable (0711) for QEMU's user and unreadable; files are 0600."""

    path: Path

    @property
    def disk(self) -> Path:
        """The guest's own disk, qcow2."""
        return self.path / "disk"

    @property
    def rescue_disk(self) -> Path:
        """The disk that a rescued VM boots from, qcow2."""
        return self.path / "disk.rescue"

    @property
    def rescue_data(self) -> Path:
        """The ext4 image that holds what a rescued container's rescue image has written."""
        return self.path / "data.rescue"

    def ephemeral_disk(self, index: int) -> Path:
        """An ephemeral disk: raw, for a container an ext4 image that is mounted for it."""
        return self.path / f"disk.eph{index}"

    @property
    def swap_disk(self) -> Path:
        """The disk that a VM swaps to, raw."""
        return self.path / "disk.swap"

    def local_disks(self, disks: LocalDisks) -> list[Path]:
        """Return the files of *disks* in their order, there or not."""
        found = [self.ephemeral_disk(index) for index in range(len(disks.ephemerals))]
        return [*found, self.swap_disk] if disks.swap_mb else found

    def ephemeral_disks(self) -> list[Path]:
        """Return the ephemeral disks of which anything is there: themselves, or what a resize keeps of them."""
        names = (_EPHEMERAL.match(entry.name) for entry in self.path.glob("disk.eph*"))
        return sorted({self.path / name[0] for name in names if name})

    def variables(self, *, secure: bool) -> Path:
        """Return where a UEFI guest's firmware keeps its variables; those of a guest with secure boot are made with keys in them."""
        return self.path / ("nvram.secure.fd" if secure else "nvram.fd")

    @property
    def rescue_variables(self) -> Path:
        """The variables of a rescue's firmware."""
        return self.path / "nvram.rescue.fd"

    @property
    def console_log(self) -> Path:
        """What the guest wrote on its console; older text is in ``console.log.0`` and so on."""
        return self.path / "console.log"

    @property
    def console_socket(self) -> Path:
        """Where somebody may sit at the guest's serial console."""
        return self.path / "console.sock"

    @property
    def container_plan(self) -> Path:
        """What the container's launcher reads (``container.json``)."""
        return self.path / "container.json"

    @property
    def container_data(self) -> Path:
        """The ext4 image that holds what a container has written."""
        return self.path / "data.img"

    @property
    def container_root(self) -> Path:
        """Where the launcher mounts a container's root, in a mount namespace that is the container's alone."""
        return self.path / "rootfs"


class Instances:
    """The directory of all guests' directories."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, server_id: str) -> Instance:
        """Return where *server_id*'s files are, there or not. :raises DriverError: the id is no UUID."""
        return Instance(self.root / checked_id(server_id))

    def make(self, server_id: str) -> Instance:
        """Make the guest's directory, which may be there.

        :raises DriverError: QEMU's unprivileged user could not pass a directory above.
        """
        instance = self.at(server_id)
        for directory in (self.root, instance.path):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            directory.chmod(0o711)
        for parent in self.root.parents:
            if not parent.stat().st_mode & 0o001:
                raise DriverError(f"{parent} must be passable for guests' user (chmod o+x {parent})")
        return instance

    def strip(self, server_id: str) -> None:
        """Remove everything of the guest's directory but its console log; not there is success."""
        path = self.at(server_id).path
        if not path.is_dir():
            return
        for entry in path.iterdir():
            if entry.name.startswith("console.log"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    def remove(self, server_id: str) -> None:
        """Remove the guest's directory with all that is in it; not there is success."""
        path = self.at(server_id).path
        # A name that does not count first: a removal that is cut off leaves nothing that looks like a guest.
        doomed = path.with_name(f"{REMOVED}{path.name}")
        if path.exists():
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
        try:
            shutil.rmtree(doomed)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DriverError(f"{doomed} can't be removed: {error.strerror}") from error

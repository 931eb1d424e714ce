"""What only some drivers, or only some kinds of guest, can do: small protocols beside the driver's own.

An agent asks ``isinstance(driver, Snapshots)`` and, for the kind, ``capabilities().missing``; a refusal is a
:class:`nova_lite.virt.driver.DriverError` that says from which kind or state it would work. As with the driver, every method may be called
again after it was cut off half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import GuestSpec, LocalImage, Nic
from nova_lite.virt.waiting import GoOn, go_on


@dataclass(frozen=True)
class Snapshot:
    """An image file that a snapshot left at ``path``, in Glance's terms. ``size`` in bytes."""

    path: Path
    disk_format: str
    container_format: str
    size: int
    properties: Mapping[str, str]


@dataclass(frozen=True)
class ConsoleTarget:
    """Where a guest's console listens on its host: a UNIX socket, or a loopback address with a port."""

    kind: str
    """``serial``, ``novnc`` or ``spice-html5``."""
    unix_path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    exclusive: bool = False
    """Only one can be connected: a second one would wait for the first to go."""
    channels: bool = False
    """Whoever sits there has several connections, one for each thing; none of them is idle as long as another is not."""


@dataclass(frozen=True)
class Change:
    """A guest has become ``power``, or is gone (None). ``server_id`` None: what changed meanwhile was perhaps not heard of."""

    server_id: str | None
    power: PowerState | None


@runtime_checkable
class TellsChanges(Protocol):
    """Tell at once of guests that start, stop, die or vanish, by whomever."""

    def watch(self, tell: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``tell`` for each change from now on; return what ends that.

        A change may be told late, twice or never, and those that the driver's own calls make are told, too; what is told of a guest that is none of
        ours has an id that no server has. *tell* is called from threads of the driver's, one change at a time of each guest, and
        must neither wait nor raise.
        """


@runtime_checkable
class Snapshots(Protocol):
    """Make an image of a guest's disk (VM), or commit a container's root to an OCI archive."""

    def snapshot(self, spec: GuestSpec, target: Path, go_on: GoOn = go_on) -> Snapshot:
        """Write an image of the guest to *target*; a running guest goes on running. What was there is replaced.

        What *go_on* raises ends it, with nothing of it left: *target* is as it was, and the guest runs if it did.
        """


@runtime_checkable
class Rescues(Protocol):
    """Boot a guest from another image with its own disk beside it."""

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Stop the guest and boot *rescue*, with the guest's own disk as the second one."""

    def unrescue(self, spec: GuestSpec) -> None:
        """Stop the rescue and start the guest from its own disk; the rescue's disk goes."""


@runtime_checkable
class Resizes(Protocol):
    """Change what a guest has, or begin it anew. *run* False: it is to be stopped at the end, and never runs in between."""

    def resize(self, spec: GuestSpec, *, run: bool = True, go_on: GoOn = go_on) -> None:
        """Stop the guest, keep what a revert needs, grow its disk to *spec*, and start it with *spec*'s size.

        What *go_on* raises ends it; the guest is stopped then, its disks are whole, and either end of a resize puts it right.
        """

    def confirm_resize(self, server_id: str) -> None:
        """Throw away what :meth:`revert_resize` would need."""

    def revert_resize(self, spec: GuestSpec, *, run: bool = True) -> None:
        """Put the disk from before :meth:`resize` back and start with *spec*, the old size."""

    def rebuild(self, spec: GuestSpec, *, run: bool = True) -> None:
        """Stop the guest, throw its disk away, and start it from *spec*'s image."""


@runtime_checkable
class ResizesLive(Protocol):
    """Change vCPUs and memory of a running guest."""

    def resize_live(self, spec: GuestSpec) -> None:
        """Give the running guest *spec*'s vCPUs and memory (a container by its cgroup; a VM within its reserved maximum)."""


@runtime_checkable
class ShelvesDisks(Protocol):
    """Take a guest off its host with nothing left but its snapshot."""

    def stop_and_remove(self, server_id: str) -> None:
        """Remove the guest and its disks, as destroy does, but keep its console log."""


@runtime_checkable
class Dumps(Protocol):
    """Make a guest's kernel dump."""

    def crash_dump(self, server_id: str) -> None:
        """Send the guest a non-maskable interrupt."""


@runtime_checkable
class SetsPasswords(Protocol):
    """Change a password inside a running guest."""

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Set *user*'s password through the guest agent. :raises DriverError: the guest has none that answers."""


@runtime_checkable
class Consoles(Protocol):
    """Let somebody at a guest's console."""

    def console_target(self, server_id: str, kind: str) -> ConsoleTarget:
        """Return where the console of *kind* listens. :raises DriverError: the guest has none of that kind."""


@runtime_checkable
class Adopts(Protocol):
    """Make a guest that is not ours one of ours, without stopping it."""

    def describe(self, name: str) -> Mapping[str, object]:
        """Return what a guest of that libvirt name has, as plain data.

        ``name``, ``uuid``, ``kind``, ``vcpus``, ``memory_mb``, ``power`` (PowerState's number), ``persistent``, ``server_id`` (None: it is
        none of ours), ``adopted``, ``disks`` (device, path, format) and ``nics`` (mac, device, bridge).

        :raises nova_lite.virt.driver.GuestNotFound: there is none of that name.
        """

    def adopt(self, name: str, server_id: str) -> None:
        """Mark the running guest *name* as *server_id*'s, and keep its console from here on."""

    def disown(self, server_id: str) -> None:
        """Take the mark off again, and leave the guest as it is; no mark, or no guest, is success.

        :raises nova_lite.virt.driver.DriverError: the guest was not adopted but made here.
        """


@runtime_checkable
class AttachesNics(Protocol):
    """Change the interfaces of a guest that runs."""

    def attach_nic(self, spec: GuestSpec, nic: Nic) -> None:
        """Give the guest *nic*, one of *spec*'s; attached already is success, and so is a guest that does not run.

        :raises DriverError: guests of this kind find their devices only when they boot.
        """

    def detach_nic(self, server_id: str, nic: Nic) -> None:
        """Take *nic* from the guest and wait until it has let go; not attached is success.

        :raises DriverError: the guest keeps it.
        """

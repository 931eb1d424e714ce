"""What the driver asks of each way of running guests: QEMU (VMs, unikernels) and LXC (containers)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from nova_lite.virt.abilities import ConsoleTarget, Snapshot
from nova_lite.virt.driver import GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt.domains import Domains, DomainView
from nova_lite.virt.libvirt.instances import Instance
from nova_lite.virt.waiting import GoOn


class Guests(Protocol):
    """Each method may be called again after it was cut off, and raises DriverError."""

    domains: Domains

    def start(self, spec: GuestSpec) -> None:
        """Make what is missing of the guest's files and run it from *spec*; running is success."""

    def kill(self, view: DomainView) -> None:
        """End a guest at once; stopped is success."""

    def shut_down(self, view: DomainView, grace_s: float) -> None:
        """Ask the guest to end, and end it after *grace_s* seconds."""

    def remove(self, server_id: str) -> None:
        """Remove what libvirt keeps of a stopped guest; nothing there is success."""

    def sweep(self, server_id: str) -> None:
        """Remove what libvirt has forgotten of a guest that it has no more, besides its control groups."""

    def suspend(self, view: DomainView) -> None:
        """Put the guest away."""

    def resume(self, spec: GuestSpec, view: DomainView) -> None:
        """Bring back what :meth:`suspend` put away."""

    def disk(self, instance: Instance) -> Path:
        """Return where the guest's own disk is, if it has one."""

    def variables(self, instance: Instance) -> tuple[Path, ...]:
        """Return the files, there or not, that the guest's firmware keeps its variables in."""

    def wait_disk(self, server_id: str) -> None:
        """Wait until nobody uses the stopped guest's disk any more."""

    def rescue_files(self, instance: Instance) -> tuple[Path, ...]:
        """Return the files that only a rescue needs, there or not."""

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Run the stopped guest from *rescue*, its own disk beside; running is success."""

    def resize_live(self, spec: GuestSpec) -> None:
        """Give the running guest *spec*'s vCPUs and memory. :raises DriverError: it was started without room for them."""

    def attach_nic(self, spec: GuestSpec, view: DomainView, nic: Nic) -> None:
        """Give the running guest *nic*, one of *spec*'s; attached already is success."""

    def detach_nic(self, view: DomainView, nic: Nic) -> None:
        """Take an interface from the running guest and wait until it is gone; none there is success."""

    def console(self, server_id: str, kind: str) -> ConsoleTarget:
        """Return where the running guest's console of *kind* listens. :raises DriverError: it has none."""

    def follow(self, view: DomainView) -> None:
        """Keep the console of a running guest that somebody else has started, from here on."""

    def leave(self, server_id: str) -> None:
        """Keep the guest's console no more."""

    def has_size(self, spec: GuestSpec) -> bool:
        """Say whether the guest is defined with *spec*'s vCPUs and memory."""

    def check_growth(self, spec: GuestSpec) -> None:
        """Do nothing if the disk can become what *spec* says. :raises DriverError: it would have to shrink."""

    def grow(self, spec: GuestSpec, go_on: GoOn) -> None:
        """Make the stopped guest's disk as large as *spec* says; that large, or no disk, is success. What *go_on* raises leaves it as it was.

        What :mod:`kept_disks` keeps is there, so that it may begin from that again.
        """

    def snapshot(self, spec: GuestSpec, view: DomainView, target: Path, go_on: GoOn) -> Snapshot:
        """Write an image of the guest to *target*, unless *go_on* raises something."""

    def take_up(self, spec: GuestSpec, view: DomainView) -> None:
        """See, after the agent's restart, that what belongs beside a running guest is there."""

"""What the driver asks of each way of running guests: QEMU (VMs, unikernels) and LXC (containers)."""

from __future__ import annotations

from typing import Protocol

from nova_lite.virt.driver import GuestSpec
from nova_lite.virt.libvirt.domains import Domains, DomainView


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
        """Remove what libvirt and the kernel keep of a stopped guest, besides its directory."""

    def suspend(self, view: DomainView) -> None:
        """Put the guest away."""

    def resume(self, spec: GuestSpec, view: DomainView) -> None:
        """Bring back what :meth:`suspend` put away."""

    def take_up(self, spec: GuestSpec, view: DomainView) -> None:
        """See, after the agent's restart, that what belongs beside a running guest is there."""

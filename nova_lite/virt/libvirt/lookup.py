"""Find a server's guest among those of every way of running guests."""

from __future__ import annotations

from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError, DriverTimeout, GuestNotFound, GuestSpec
from nova_lite.virt.libvirt import guest_cgroups
from nova_lite.virt.libvirt.connection import DriverAbsent
from nova_lite.virt.libvirt.domains import DomainView
from nova_lite.virt.libvirt.guests import Guests
from nova_lite.virt.libvirt.instances import Instances, checked_id

_MOST_LOOKS = 5


class GuestLookup:
    """The guests of a host, by kind and by server id."""

    def __init__(self, instances: Instances, machines: Guests, containers: Guests, grace_s: float) -> None:
        """:param grace_s: seconds that a guest is given to shut down where a method does not say."""
        self._instances = instances
        self._by_kind: dict[str, Guests] = {VM: machines, UNIKERNEL: machines, CONTAINER: containers}
        self._all: tuple[Guests, ...] = (machines, containers)
        self._grace_s = grace_s

    def _guests(self, spec: GuestSpec) -> Guests:
        checked_id(spec.server_id)
        guests = self._by_kind.get(spec.kind)
        if guests is None:
            raise DriverError(f"guests of kind {spec.kind!r:.20} can't be run here")
        return guests

    def _find(self, server_id: str) -> tuple[Guests, DomainView] | None:
        checked_id(server_id)
        for guests in self._all:
            try:
                view = guests.domains.view(server_id)
            except DriverAbsent:
                continue
            if view is not None:
                return guests, view
        return None

    def _settled(self, server_id: str) -> tuple[Guests, DomainView]:
        """Return the guest once no start of it is under way, that of an agent which has died say."""
        guests, _ = self._need(server_id)
        view = guests.domains.wait_started(server_id)
        if view is None:
            raise GuestNotFound(f"libvirt has no guest {server_id} any more")
        return guests, view

    def _end(self, server_id: str) -> None:
        """End the guest and remove all of it but its directory; nothing there is success, and what was begun is finished.

        libvirt may get to what a dead agent asked of it after it was looked at, so it is looked at until it has nothing.
        What it has forgotten is removed whether or not it had something: the agent may have died in between.
        """
        for _ in range(_MOST_LOOKS):
            found = self._find(server_id)
            if found is None:
                break
            guests, view = found
            guests.kill(view)
            guests.remove(server_id)
        else:
            raise DriverTimeout(f"libvirt has a guest {server_id} again each time that it was removed")
        guest_cgroups.remove(server_id)
        for guests in self._all:
            guests.sweep(server_id)

    def _need(self, server_id: str) -> tuple[Guests, DomainView]:
        found = self._find(server_id)
        if found is None:
            raise GuestNotFound(f"libvirt has no guest {server_id}")
        return found

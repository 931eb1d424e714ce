"""What the libvirt driver can do beyond the protocol (``nova_lite.virt.abilities``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nova_lite.compute.transitions import PowerState
from nova_lite.virt import refusals
from nova_lite.virt.abilities import ConsoleTarget, Snapshot
from nova_lite.virt.driver import DriverError, GuestNotFound, GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt import adoption, kept_disks
from nova_lite.virt.libvirt.connection import DriverAbsent
from nova_lite.virt.libvirt.domains import DomainView
from nova_lite.virt.libvirt.guests import Guests
from nova_lite.virt.libvirt.instances import checked_id
from nova_lite.virt.libvirt.lookup import GuestLookup
from nova_lite.virt.waiting import GoOn, go_on

T = TypeVar("T")


class LibvirtAbilities(GuestLookup):
    """Each method says what its protocol says; the kinds' own parts are in :class:`Guests`."""

    def snapshot(self, spec: GuestSpec, target: Path, go_on: GoOn = go_on) -> Snapshot:
        """Write an image of the guest to *target*, unless *go_on* raises something; it runs on."""
        guests, view = self._own(spec.server_id)
        return guests.snapshot(spec, view, target, go_on)

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Stop the guest and boot *rescue* with the guest's own disk as the second one; a container's root is at /mnt/own."""
        refusals.check(spec.kind, "rescue")
        guests, view = self._own(spec.server_id)
        if view.active and view.rescue == rescue.image_id:
            guests.take_up(spec, view)  # an earlier attempt may have come no further than its start
            return
        guests.shut_down(view, self._grace_s)
        guests.wait_disk(spec.server_id)
        self._remove_rescue(guests, spec.server_id)
        guests.rescue(spec, rescue)

    def unrescue(self, spec: GuestSpec) -> None:
        """Stop the rescue, remove its disk, and start the guest from its own."""
        refusals.check(spec.kind, "rescue")
        guests, view = self._own(spec.server_id)
        if view.active and not view.rescue:
            guests.take_up(spec, view)
            return
        guests.shut_down(view, self._grace_s)
        guests.wait_disk(spec.server_id)
        self._remove_rescue(guests, spec.server_id)
        guests.start(spec)

    def _start(self, spec: GuestSpec) -> None:
        """Run the guest from its own disk, and remove that of a rescue which was put away with it, by a delete say."""
        guests = self._guests(spec)
        guests.start(spec)
        if any(path.exists() for path in guests.rescue_files(self._instances.at(spec.server_id))):
            view = guests.domains.view(spec.server_id)
            if view is not None and not view.rescue:
                self._remove_rescue(guests, spec.server_id)

    def _remove_rescue(self, guests: Guests, server_id: str) -> None:
        for path in guests.rescue_files(self._instances.at(server_id)):
            path.unlink(missing_ok=True)

    def stop_and_remove(self, server_id: str) -> None:
        """Remove the guest and its files, but its console log; nothing there is success."""
        if self._find(server_id) is not None:
            self._own(server_id)
        self._end(server_id)
        self._instances.strip(server_id)

    def crash_dump(self, server_id: str) -> None:
        """Send a VM or unikernel a non-maskable interrupt; what it does with it is its own affair."""
        guests, view = self._need(server_id)
        refusals.check(view.kind, "crash_dump")
        if view.power not in (PowerState.RUNNING, PowerState.PAUSED):  # a paused one takes it when it goes on
            raise DriverError(f"guest {server_id} does not run; only a running guest takes an interrupt")
        guests.domains.on(server_id, "interrupt", lambda domain: domain.injectNMI(0))

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Ask the guest agent of a running VM to set *user*'s password."""
        guests, view = self._need(server_id)
        refusals.check(view.kind, "set_password")
        if view.power != PowerState.RUNNING:
            raise DriverError(f"guest {server_id} does not run; only a running VM's guest agent can set a password")
        try:
            guests.domains.on(server_id, "set a password in", lambda domain: domain.setUserPassword(user, password, 0))
        except DriverError as error:
            raise DriverError(
                f"{error.message}; it works with a running VM whose image has {refusals.AGENT_PROPERTY}=yes and runs qemu-ga"
            ) from error

    def console_target(self, server_id: str, kind: str) -> ConsoleTarget:
        """Return the socket of a running guest's console; one that somebody who is root may connect to."""
        guests, view = self._need(server_id)
        refusals.check(view.kind, f"console.{kind}")
        if not view.active:
            raise DriverError(f"guest {server_id} does not run, so nobody is at its console; start it")
        return guests.console(server_id, kind)

    def describe(self, name: str) -> Mapping[str, object]:
        """Return what a guest of that libvirt name has, as :func:`adoption.describe` says."""
        return self._named(name, "describe", adoption.describe)

    def adopt(self, name: str, server_id: str) -> None:
        """Mark the running guest *name* as *server_id*'s, which must be its own UUID."""
        checked_id(server_id)
        self._named(name, "adopt", lambda domain: adoption.adopt(domain, server_id))
        self._instances.make(server_id)
        guests, view = self._need(server_id)
        guests.follow(view)

    def disown(self, server_id: str) -> None:
        """Take our mark off an adopted guest, which goes on; no mark, or no guest, is success."""
        checked_id(server_id)
        for guests in self._all:
            try:
                guests.domains.on(server_id, "let go of", adoption.disown)
            except (GuestNotFound, DriverAbsent):
                continue
            guests.leave(server_id)
        self._instances.remove(server_id)

    def _own(self, server_id: str) -> tuple[Guests, DomainView]:
        """Return a guest that we defined. :raises DriverError: somebody else did."""
        guests, view = self._settled(server_id)
        if view.adopted:
            raise DriverError(
                f"guest {server_id} was adopted and keeps its own disks and definition, so this can't be done to it; a guest "
                "that was created here can"
            )
        return guests, view

    def _named(self, name: str, what: str, work: Callable[[Any], T]) -> T:
        for guests in self._all:
            try:
                return guests.domains.named(name, what, work)
            except (GuestNotFound, DriverAbsent):
                continue
        raise GuestNotFound(f"libvirt has no guest named {name!r:.80}")

    def resize_live(self, spec: GuestSpec) -> None:
        """Give the running guest *spec*'s vCPUs and memory."""
        refusals.check(spec.kind, "resize_live")
        guests, view = self._need(spec.server_id)
        if view.power != PowerState.RUNNING:
            raise DriverError(f"guest {spec.server_id} does not run; only a running guest is resized live")
        guests.resize_live(spec)

    def resize(self, spec: GuestSpec, *, run: bool = True, go_on: GoOn = go_on) -> None:
        """Stop the guest, keep its disk, grow it, and start it if it is to *run*; resized and running already is success.

        What *go_on* raises leaves the guest stopped, with disks that are whole. :raises DriverError: the disk would have to become smaller; nothing has been done then.
        """
        guests, view = self._own(spec.server_id)
        disk = guests.disk(self._instances.at(spec.server_id))
        if view.active and kept_disks.is_kept(disk) and guests.has_size(spec):
            guests.take_up(spec, view)
            return
        guests.check_growth(spec)
        guests.shut_down(view, self._grace_s)
        guests.wait_disk(spec.server_id)
        for path in self._beside(guests, spec.server_id, len(spec.disks.ephemerals)):
            kept_disks.keep(path, go_on)
        kept_disks.keep(disk, go_on)  # the last: it says that all are kept
        guests.grow(spec, go_on)
        if run:
            guests.start(spec)

    def confirm_resize(self, server_id: str) -> None:
        """Throw the disks from before away; none there is success."""
        guests, _ = self._need(server_id)
        for path in (guests.disk(self._instances.at(server_id)), *self._beside(guests, server_id)):
            kept_disks.drop(path)

    def revert_resize(self, spec: GuestSpec, *, run: bool = True) -> None:
        """Put the disks from before back and start; reverted already is success."""
        guests = self._guests(spec)
        paths = (*self._beside(guests, spec.server_id), guests.disk(self._instances.at(spec.server_id)))
        if any(kept_disks.is_kept(path) for path in paths):
            self._stop_at_once(spec.server_id)
            guests.wait_disk(spec.server_id)
            for path in paths:
                kept_disks.restore(path)
        if run:
            guests.start(spec)

    def rebuild(self, spec: GuestSpec, *, run: bool = True) -> None:
        """End the guest, throw its disks away with what belongs to a resize or rescue, and start it from *spec*'s image."""
        guests = self._guests(spec)
        self._stop_at_once(spec.server_id)
        instance = self._instances.at(spec.server_id)
        own = (guests.disk(instance), *self._beside(guests, spec.server_id))
        for path in own:
            kept_disks.drop(path)
        for path in (*own, instance.swap_disk, *guests.rescue_files(instance)):
            path.unlink(missing_ok=True)
        if run:
            guests.start(spec)

    def _beside(self, guests: Guests, server_id: str, count: int = 0) -> list[Path]:
        """Return what shares the life of the guest's disk: the ephemeral disks and firmware's variables that there are, or were before a
        resize, and the first *count* ephemeral disks."""
        instance = self._instances.at(server_id)
        ephemerals = {*instance.ephemeral_disks(), *(instance.ephemeral_disk(index) for index in range(count))}
        variables = (path for path in guests.variables(instance) if path.exists() or kept_disks.is_kept(path))
        return [*sorted(ephemerals), *variables]

    def _stop_at_once(self, server_id: str) -> None:
        found = self._find(server_id)
        if found is not None:
            guests, view = self._own(server_id)
            guests.kill(view)

    def attach_nic(self, spec: GuestSpec, nic: Nic) -> None:
        """Plug *nic* into the running guest."""
        guests, view = self._own(spec.server_id)
        if not view.active:
            return
        refusals.check(spec.kind, "attach_interface")
        guests.attach_nic(spec, view, nic)

    def detach_nic(self, server_id: str, nic: Nic) -> None:
        """Unplug *nic* from the running guest and wait until it is gone."""
        guests, view = self._need(server_id)
        if view.active:
            refusals.check(view.kind, "attach_interface")
            guests.detach_nic(view, nic)

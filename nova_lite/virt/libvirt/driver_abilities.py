"""What the libvirt driver can do beyond the protocol (``nova_lite.virt.abilities``)."""

from __future__ import annotations

from pathlib import Path

from nova_lite.virt.abilities import Snapshot
from nova_lite.virt.driver import GuestSpec
from nova_lite.virt.libvirt import kept_disks
from nova_lite.virt.libvirt.lookup import GuestLookup


class LibvirtAbilities(GuestLookup):
    """Each method says what its protocol says; the kinds' own parts are in :class:`Guests`."""

    def snapshot(self, spec: GuestSpec, target: Path) -> Snapshot:
        """Write an image of the guest to *target*; it runs on."""
        guests, view = self._settled(spec.server_id)
        return guests.snapshot(spec, view, target)

    def resize(self, spec: GuestSpec) -> None:
        """Stop the guest, keep its disk, grow it, and start it; resized and running already is success.

        :raises DriverError: the disk would have to become smaller; nothing has been done then.
        """
        guests, view = self._settled(spec.server_id)
        disk = guests.disk(self._instances.at(spec.server_id))
        if view.active and kept_disks.is_kept(disk) and guests.has_size(spec):
            return
        guests.check_growth(spec)
        guests.shut_down(view, self._grace_s)
        guests.wait_disk(spec.server_id)
        kept_disks.keep(disk)
        guests.grow(spec)
        guests.start(spec)

    def confirm_resize(self, server_id: str) -> None:
        """Throw the disk from before away; none there is success."""
        guests, _ = self._need(server_id)
        kept_disks.drop(guests.disk(self._instances.at(server_id)))

    def revert_resize(self, spec: GuestSpec) -> None:
        """Put the disk from before back and start; reverted already is success."""
        guests = self._guests(spec)
        disk = guests.disk(self._instances.at(spec.server_id))
        if kept_disks.is_kept(disk):
            self._stop_at_once(spec.server_id)
            guests.wait_disk(spec.server_id)
            kept_disks.restore(disk)
        guests.start(spec)

    def rebuild(self, spec: GuestSpec) -> None:
        """End the guest, throw its disk away with what belongs to a resize or rescue, and start it from *spec*'s image."""
        guests = self._guests(spec)
        self._stop_at_once(spec.server_id)
        instance = self._instances.at(spec.server_id)
        disk = guests.disk(instance)
        kept_disks.drop(disk)
        for path in (disk, *guests.rescue_files(instance)):
            path.unlink(missing_ok=True)
        guests.start(spec)

    def _stop_at_once(self, server_id: str) -> None:
        found = self._find(server_id)
        if found is not None:
            guests, view = self._settled(server_id)
            guests.kill(view)

"""The libvirt driver: :class:`nova_lite.virt.driver.Driver` on QEMU and LXC domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from oslo_config import cfg

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.abilities import Change
from nova_lite.virt.driver import (
    CONTAINER,
    VM,
    Capabilities,
    DriverError,
    GuestNotFound,
    GuestSpec,
    Inventory,
    Observed,
    Stats,
)
from nova_lite.virt.libvirt import console, host, launcher_install, qemu_processes
from nova_lite.virt.libvirt.connection import Connection, DriverAbsent
from nova_lite.virt.libvirt.console_reader import ConsoleReader
from nova_lite.virt.libvirt.container_freezer import ContainerFreezer
from nova_lite.virt.libvirt.container_root import ContainerLimits
from nova_lite.virt.libvirt.domains import Domains
from nova_lite.virt.libvirt.driver_abilities import LibvirtAbilities
from nova_lite.virt.libvirt.guest_events import GuestEvents
from nova_lite.virt.libvirt.instances import Instances, checked_id
from nova_lite.virt.libvirt.lxc_guests import LxcGuests
from nova_lite.virt.libvirt.profile_source import ProfileSource
from nova_lite.virt.libvirt.qemu_guests import QemuGuests

_LOGS = Path("/var/log/libvirt")


class LibvirtDriver(LibvirtAbilities):
    """Run VMs, unikernels and containers with the libvirtd of this host."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Read ``[libvirt]``, ``[compute] console_log_bytes`` and ``state_path``; libvirt is first asked when it is needed."""
        state = Path(conf.state_path)
        options = conf.libvirt
        instances = Instances(state / "instances")
        self._qemu = Connection(options.qemu_uri, options.call_timeout)
        self._lxc = Connection(options.lxc_uri, options.call_timeout, ContainerFreezer().tell)
        self._container_emulator = Path(options.container_emulator)
        self._profiles = ProfileSource(
            self._qemu,
            options.virt_type,
            options.cpu_mode,
            state / "libvirt" / "accelerator.json",
            tuple(options.screens),
        )
        limits = ContainerLimits(
            uid_base=options.container_uid_base,
            pids=options.container_pids,
            default_disk_gb=options.container_disk_gb,
            emulator=options.container_emulator,
            console_bytes=conf.compute.console_log_bytes,
        )
        reader = ConsoleReader(conf.compute.console_log_bytes)
        machines = QemuGuests(
            Domains(self._qemu, VM, _LOGS / "qemu", qemu_processes.end),
            instances,
            self._profiles,
            reader,
            conf.compute.default_ephemeral_format,
        )
        containers = LxcGuests(
            Domains(self._lxc, CONTAINER, _LOGS / "lxc"), instances, limits, launcher_install.place(state), reader
        )
        super().__init__(instances, machines, containers, conf.compute.shutdown_timeout)

    def capabilities(self) -> Capabilities:
        """Say what can be run here. :raises DriverError: nothing can."""
        return host.capabilities(self._qemu, self._lxc, self._profiles, self._container_emulator)

    def inventory(self) -> Inventory:
        """Say what the host has."""
        try:
            return host.inventory(self._qemu, self._instances.root)
        except DriverAbsent:
            return host.inventory(self._lxc, self._instances.root)

    def spawn(self, spec: GuestSpec) -> None:
        """Make the guest's files and start it; running is success."""
        self._guests(spec).start(spec)

    def destroy(self, server_id: str) -> None:
        """End the guest and remove all of it; nothing there is success."""
        checked_id(server_id)
        self._end(server_id)
        self._instances.remove(server_id)

    def start(self, spec: GuestSpec) -> None:
        """Start a stopped guest on the disks it has; running is success."""
        self._start(spec)

    def stop(self, server_id: str, grace_s: float) -> None:
        """Ask the guest to shut down, and end it after *grace_s* seconds; stopped is success."""
        guests, view = self._need(server_id)
        guests.shut_down(view, grace_s)

    def reboot(self, spec: GuestSpec, *, hard: bool, grace_s: float) -> None:
        """Stop (hard: at once) and start from *spec*; a guest that libvirt has lost is started."""
        found = self._find(spec.server_id)
        if found is not None:
            guests, view = found
            guests.shut_down(view, 0.0 if hard else grace_s)
        self._start(spec)

    def pause(self, server_id: str) -> None:
        """Freeze the guest in memory; paused is success."""
        guests, view = self._need(server_id)
        if not view.active:
            raise DriverError(f"guest {server_id} does not run, so it can't be paused")
        if view.power != PowerState.PAUSED:
            guests.domains.on(server_id, "pause", lambda domain: domain.suspend())

    def unpause(self, server_id: str) -> None:
        """Let a frozen guest go on; running is success."""
        guests, view = self._need(server_id)
        if not view.active:
            raise DriverError(f"guest {server_id} does not run, so it can't be unpaused")
        if view.power == PowerState.PAUSED:
            guests.domains.go_on(server_id, "unpause")

    def suspend(self, server_id: str) -> None:
        """Save a VM's or unikernel's memory to disk and stop it; freeze a container."""
        guests, view = self._need(server_id)
        guests.suspend(view)

    def resume(self, spec: GuestSpec) -> None:
        """Bring back what :meth:`suspend` put away; running is success."""
        guests, view = self._settled(spec.server_id)
        guests.resume(spec, view)

    def recover(self, spec: GuestSpec) -> PowerState:
        """Take a guest up after the agent's restart, and return its power state; NOSTATE is none there."""
        found = self._find(spec.server_id)
        if found is None:
            return PowerState.NOSTATE
        guests, view = found
        guests.take_up(spec, view)
        return view.power

    def observe(self) -> Sequence[Observed]:
        """List every guest of both addresses. :raises DriverError: one of them does not answer, so nothing is known."""
        seen: list[Observed] = []
        absent: list[DriverAbsent] = []
        for guests in self._all:
            try:
                seen.extend(guests.domains.observe())
            except DriverAbsent as error:
                absent.append(error)
        if len(absent) == len(self._all):
            raise absent[0]
        return seen

    def watch(self, tell: Callable[[Change], None]) -> Callable[[], None]:
        """Tell of each guest of both addresses that starts, stops, dies or vanishes."""
        events = [GuestEvents(guests.domains.connection.uri, tell) for guests in self._all]
        for source in events:
            source.start()

        def leave() -> None:
            for source in events:
                source.stop()

        return leave

    def power(self, server_id: str) -> PowerState:
        """Return one guest's power state; NOSTATE while it leaves a call unanswered.

        :raises GuestNotFound: libvirt has no such guest.
        """
        guests, view = self._need(server_id)
        return PowerState.NOSTATE if guests.domains.connection.is_stuck(server_id) else view.power

    def stats(self, server_id: str) -> Stats:
        """Return what a running guest uses. :raises GuestNotFound: it does not run."""
        guests, _ = self._need(server_id)
        return host.stats(guests.domains, server_id)

    def console(self, server_id: str, limit: int) -> bytes:
        """Return the last *limit* bytes of the console log. :raises GuestNotFound: the guest has no directory."""
        instance = self._instances.at(server_id)
        if not instance.path.is_dir():
            raise GuestNotFound(f"there is no guest {server_id} on this host")
        return console.read_tail(instance.console_log, limit)

"""Containers: LXC domains whose root, limits and filter are made by the launcher."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import libvirt

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.abilities import ConsoleTarget, Snapshot
from nova_lite.virt.driver import DriverError, DriverUnavailable, GuestNotFound, GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt import (
    container,
    container_disk,
    container_limits,
    container_network,
    container_process,
    container_root,
    container_snapshot,
    identity,
    launcher_install,
    live_size,
)
from nova_lite.virt.libvirt.console_reader import ConsoleReader
from nova_lite.virt.libvirt.container_root import ContainerLimits
from nova_lite.virt.libvirt.domains import Domains, DomainView
from nova_lite.virt.libvirt.instances import Instance, Instances
from nova_lite.virt.waiting import GoOn

_KILL_WAIT_S = 10.0
_INIT_WAIT_S = 2.0
_POLL_S = 0.02
_RUN = Path("/run/libvirt/lxc")
_MOUNT_POINTS = ("dev", "devpts", "fuse")
"""What libvirt 9 makes beside each container's socket, and leaves there for good."""


class LxcGuests:
    """Guests in LXC containers."""

    def __init__(
        self,
        domains: Domains,
        instances: Instances,
        limits: ContainerLimits,
        launcher: Path,
        reader: ConsoleReader,
    ) -> None:
        self.domains = domains
        self._instances = instances
        self._limits = limits
        self._launcher = launcher
        self._reader = reader

    def start(self, spec: GuestSpec) -> None:
        """Prepare the root and run the domain."""
        if spec.isolation != "process":
            raise DriverError(f"container isolation {spec.isolation!r:.20} is not there yet; process is")
        view = self.domains.wait_started(spec.server_id)
        if view is not None and view.adopted and not view.active:
            self.domains.start_as_defined(spec.server_id)
        elif view is None or not view.active:
            self._create(spec, None)
        self._settle(spec)

    def _create(self, spec: GuestSpec, rescue: LocalImage | None) -> None:
        image = rescue or spec.image
        if image.rootfs is None:
            raise DriverError("the container's image is not unpacked")
        process = container_process.from_config(image.rootfs, image.config, spec.environment)
        uid_base = container_root.prepare(self._instances, spec, process, self._limits, rescue)
        launcher_install.install(self._launcher, self._instances.root)
        root = self._instances.at(spec.server_id).container_root
        swap = container_limits.counts_with_swap()
        xml = container.to_xml(
            spec, process, str(root), str(self._launcher), uid_base, _masked(), rescue, with_swap=swap
        )
        self.domains.create(spec.server_id, xml)

    def _settle(self, spec: GuestSpec) -> None:
        """Follow the console of a container that runs, and set what libvirt can't."""
        view = self.domains.view(spec.server_id)
        if view is None or not view.active:
            return  # A program that does one thing and ends; its console has been read to the end.
        first = None if view.adopted else container_limits.first_process(view.pid)
        if first is not None:
            container_limits.apply(first, self._limits.pids, spec.disks.swap_mb)
            container_network.settle(first, spec.nics)
        self._reader.follow(spec.server_id, view.pid, self._instances.at(spec.server_id).console_log)

    def kill(self, view: DomainView) -> None:
        """Kill process 1, which takes all others with it.

        libvirt's own destroy sends SIGTERM, which process 1 does not hear unless it wants to, and waits 1.6 s for it.
        """
        if not view.active:
            return
        try:
            self._signal(view, libvirt.VIR_DOMAIN_PROCESS_SIGNAL_KILL)
            patience_s = _KILL_WAIT_S
        except DriverError:
            patience_s = 0.0  # process 1 has gone, and libvirt has not noticed: its own destroy ends what is left
        if self.domains.wait_stopped(view.server_id, patience_s):
            return
        try:
            self.domains.on(view.server_id, "end", lambda domain: domain.destroy(), ends=True)
        except DriverError:
            if not self.domains.wait_stopped(view.server_id, 0.0):
                raise

    def _signal(self, view: DomainView, number: int) -> None:
        """Send a signal to process 1; frozen, it would not take even SIGKILL, so it is thawed first."""

        def work(domain: Any) -> None:
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()
            domain.sendProcessSignal(1, number)

        try:
            ends = number == libvirt.VIR_DOMAIN_PROCESS_SIGNAL_KILL
            self.domains.on(view.server_id, "signal", work, ends=ends)
        except GuestNotFound:
            return
        except DriverError:
            if not self.domains.wait_stopped(view.server_id, 0.0):
                raise

    def shut_down(self, view: DomainView, grace_s: float) -> None:
        """Send SIGTERM to process 1, and SIGKILL after *grace_s* seconds."""
        if view.active and view.power == PowerState.RUNNING and grace_s > 0:
            deadline = time.monotonic() + grace_s
            if self._terminate(view, deadline) and self.domains.wait_stopped(
                view.server_id, deadline - time.monotonic()
            ):
                return
        self.kill(view)

    def _terminate(self, view: DomainView, deadline: float) -> bool:
        """Send SIGTERM; False: libvirt does not know process 1, as for a moment after a start, or for good if it died meanwhile."""
        given_up = min(deadline, time.monotonic() + _INIT_WAIT_S)
        while True:
            try:
                self._signal(view, libvirt.VIR_DOMAIN_PROCESS_SIGNAL_TERM)
            except DriverUnavailable:
                raise
            except DriverError:
                if time.monotonic() >= given_up:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    def remove(self, server_id: str) -> None:
        """Remove the definition."""
        self.domains.undefine(server_id, 0)

    def sweep(self, server_id: str) -> None:
        """Remove what libvirt leaves in its run directory, and its log."""
        self.domains.remove_log(server_id)
        name = identity.domain_name(server_id)
        for suffix in _MOUNT_POINTS:
            with contextlib.suppress(OSError):
                (_RUN / f"{name}.{suffix}").rmdir()
        with contextlib.suppress(OSError):
            (_RUN / f"{name}.sock").unlink()

    def suspend(self, view: DomainView) -> None:
        """Freeze the container: LXC can't save memory."""
        if not view.active:
            raise DriverError(f"guest {view.server_id} does not run, so it can't be suspended")
        if view.power != PowerState.PAUSED:
            self.domains.on(view.server_id, "freeze", lambda domain: domain.suspend())

    def resume(self, spec: GuestSpec, view: DomainView) -> None:
        """Thaw the container; one that a reboot of the host has ended is started anew, for there is nothing to bring back."""
        if view.power == PowerState.PAUSED:
            self.domains.go_on(spec.server_id, "thaw")
        self.start(spec)

    def attach_nic(self, spec: GuestSpec, view: DomainView, nic: Nic) -> None:
        """Make a veth pair with its inner end in the container; libvirt knows of it from the next start on."""
        first = container_limits.first_process(view.pid)
        if first is not None:
            container_network.attach(first, nic)

    def detach_nic(self, view: DomainView, nic: Nic) -> None:
        """Remove the pair, of which each end takes the other along."""
        container_network.detach(nic)

    def disk(self, instance: Instance) -> Path:
        """Return the path of the image that the container writes to."""
        return instance.container_data

    def wait_disk(self, server_id: str) -> None:
        """Wait until the kernel has taken the container's mounts down."""
        instance = self._instances.at(server_id)
        for path in (instance.container_data, *instance.ephemeral_disks()):
            container_disk.wait_released(path)

    def variables(self, instance: Instance) -> tuple[Path, ...]:
        """There is no firmware."""
        return ()

    def rescue_files(self, instance: Instance) -> tuple[Path, ...]:
        """Return the image that a rescue writes to."""
        return (instance.rescue_data,)

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Run the rescue image's program in its root, with the container's own root at ``/mnt/own``."""
        self._create(spec, rescue)
        self._settle(spec)

    def resize_live(self, spec: GuestSpec) -> None:
        """Set the cgroup's limits."""
        self.domains.on(
            spec.server_id,
            "resize",
            lambda domain: live_size.set_container(domain, spec, container_limits.counts_with_swap()),
        )

    def console(self, server_id: str, kind: str) -> ConsoleTarget:
        """Have the reader of its console let others sit at it."""
        if kind != "serial":
            raise DriverError(
                f"there is no console of kind {kind!r:.40} at a container; serial there is", code="driver.unsupported"
            )
        path = self._instances.at(server_id).console_socket
        self._reader.seat(server_id, path)
        return ConsoleTarget(kind, path)

    def follow(self, view: DomainView) -> None:
        """Read its console as that of our own."""
        self._reader.follow(view.server_id, view.pid, self._instances.at(view.server_id).console_log)

    def leave(self, server_id: str) -> None:
        """Have its reader let go of its console."""
        self._reader.leave(server_id)

    def has_size(self, spec: GuestSpec) -> bool:
        """Compare what libvirt has with *spec*."""
        return self.domains.size(spec.server_id) == (spec.vcpus, spec.memory_mb)

    def check_growth(self, spec: GuestSpec) -> None:
        """Compare the images' sizes with *spec*'s."""
        for path, size in self._disk_sizes(spec):
            container_disk.check_growth(path, size)

    def grow(self, spec: GuestSpec, go_on: GoOn) -> None:
        """Grow the images and the filesystems in them."""
        for path, size in self._disk_sizes(spec):
            container_disk.grow(path, size, go_on)

    def _disk_sizes(self, spec: GuestSpec) -> list[tuple[Path, int]]:
        """Return the images, the root's first, and how many bytes each is to have."""
        instance = self._instances.at(spec.server_id)
        ephemerals = [
            (instance.ephemeral_disk(index), disk.size_gb << 30) for index, disk in enumerate(spec.disks.ephemerals)
        ]
        return [(instance.container_data, container_disk.size_bytes(spec, self._limits.default_disk_gb)), *ephemerals]

    def snapshot(self, spec: GuestSpec, view: DomainView, target: Path, go_on: GoOn) -> Snapshot:
        """Commit the root to an OCI archive."""
        return container_snapshot.take(self.domains, self._instances.at(spec.server_id), spec, target, view, go_on)

    def take_up(self, spec: GuestSpec, view: DomainView) -> None:
        """Follow the console again, and have the limits on."""
        if view.active:
            container_snapshot.thaw(self.domains, self._instances.at(spec.server_id), spec.server_id)
            self._settle(spec)


def _masked() -> tuple[str, ...]:
    """Return which of the directories that a container must not look into there are on this host."""
    return tuple(path for path in container.MASKED if Path(path).is_dir())

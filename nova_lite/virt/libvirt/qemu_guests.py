"""VMs and unikernels: QEMU domains."""

from __future__ import annotations

import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import libvirt

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.abilities import ConsoleTarget, Snapshot
from nova_lite.virt.driver import UNIKERNEL, VM, DriverError, DriverTimeout, GuestNotFound, GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt import (
    console_ports,
    disks,
    hardware,
    live_size,
    local_disks,
    qemu_nics,
    qemu_processes,
    qemu_snapshot,
    unikernel,
    vm,
)
from nova_lite.virt.libvirt.console_reader import ConsoleReader
from nova_lite.virt.libvirt.domains import Domains, DomainView
from nova_lite.virt.libvirt.host_profile import HostProfile
from nova_lite.virt.libvirt.instances import Instance, Instances
from nova_lite.virt.libvirt.profile_source import ProfileSource
from nova_lite.virt.waiting import GoOn

_REMOVE_FLAGS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_RENEW_FLAGS = _REMOVE_FLAGS ^ libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
_PRESS_AGAIN_S = 3.0
_SAVE_TIMEOUT_S = 240.0


class QemuGuests:
    """Guests in QEMU."""

    def __init__(
        self,
        domains: Domains,
        instances: Instances,
        profiles: ProfileSource,
        reader: ConsoleReader,
        ephemeral_format: str = "",
    ) -> None:
        self.domains = domains
        self._instances = instances
        self._profiles = profiles
        self._reader = reader
        self._ephemeral_format = ephemeral_format

    def start(self, spec: GuestSpec) -> None:
        """Make the disks and run the domain.

        Memory that a suspend saved is dropped: who starts rather than resumes wants the guest to boot.
        """
        profile = self._profiles.get()
        view = self.domains.view(spec.server_id)
        if view is not None and view.active and not view.starting:
            return
        if view is not None and view.adopted:
            self.domains.start_as_defined(spec.server_id)
            self.follow(view)
            return
        self._drop_saved(spec.server_id)
        self.domains.create(spec.server_id, self._xml(spec, profile), _RENEW_FLAGS)

    def _drop_saved(self, server_id: str) -> None:
        view = self.domains.view(server_id)
        if view is not None and view.saved and not view.active:
            self.domains.on(server_id, "drop the saved memory of", lambda domain: domain.managedSaveRemove())

    def _xml(self, spec: GuestSpec, profile: HostProfile) -> str:
        instance = self._instances.make(spec.server_id)
        local_disks.make(instance, spec, self._ephemeral_format)
        if spec.kind == UNIKERNEL:
            from_disk = unikernel.boots_from_disk(spec.image, spec.properties.get(unikernel.BOOT_PROPERTY, ""))
            if from_disk:
                disks.make_overlay(instance, spec)
            return unikernel.to_xml(spec, instance, profile, from_disk=from_disk)
        if vm.has_disk(spec):
            disks.make_overlay(instance, spec)
        return vm.to_xml(spec, instance, profile)

    def kill(self, view: DomainView) -> None:
        """End QEMU; in the middle of its start by a libvirtd that has died, all that libvirt would wait for."""
        if not view.active:
            return
        if view.starting:
            qemu_processes.end(view.server_id)
        try:
            self.domains.on(view.server_id, "end", lambda domain: domain.destroy(), ends=True)
        except GuestNotFound:
            return
        except DriverError:
            if not self.domains.wait_stopped(view.server_id, 0.0):
                raise

    def shut_down(self, view: DomainView, grace_s: float) -> None:
        """Press the ACPI power button; a unikernel has nobody who would hear it, a paused guest can't."""
        if view.active and view.kind != UNIKERNEL and view.power == PowerState.RUNNING and grace_s > 0:
            deadline = time.monotonic() + grace_s
            # The first time libvirt chooses: a guest agent, if one is connected.
            ways = itertools.chain([0], itertools.repeat(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))
            while (left := deadline - time.monotonic()) > 0:
                # Again and again: a guest that is still booting has missed the first, and an agent may promise and not do it.
                press = partial(_press, flags=next(ways))
                try:
                    self.domains.on(view.server_id, "shut down", press, timeout=max(left, 1))
                except DriverTimeout:
                    break  # QEMU itself hangs: it will hear nothing
                except DriverError:
                    if not self.domains.wait_stopped(view.server_id, 0.0):
                        raise
                if self.domains.wait_stopped(view.server_id, min(left, _PRESS_AGAIN_S)):
                    return
        self.kill(view)

    def remove(self, server_id: str) -> None:
        """Remove the definition, saved memory, snapshots' metadata and firmware variables."""
        self.domains.undefine(server_id, _REMOVE_FLAGS)

    def sweep(self, server_id: str) -> None:
        """Remove libvirt's log of it."""
        self.domains.remove_log(server_id)

    def suspend(self, view: DomainView) -> None:
        """Save the memory to disk and stop; libvirt keeps the file with the domain."""
        if view.active:
            try:
                self.domains.on(
                    view.server_id, "save the memory of", lambda domain: domain.managedSave(0), timeout=_SAVE_TIMEOUT_S
                )
            except DriverError:
                # An agent that has died since may have asked first: libvirt saves on, and this call then finds a guest that has stopped.
                now = self.domains.view(view.server_id)
                if now is None or now.active or not now.saved:
                    raise
        elif not view.saved:
            raise DriverError(f"guest {view.server_id} does not run, so there is no memory to save")

    def resume(self, spec: GuestSpec, view: DomainView) -> None:
        """Start from the saved memory; a guest that was only frozen goes on."""
        if view.power == PowerState.PAUSED:
            self.domains.go_on(spec.server_id, "resume")
        elif not view.active:
            if not view.saved:
                raise DriverError(f"guest {spec.server_id} has no saved memory; a hard reboot starts it anew")
            self.domains.on(spec.server_id, "resume", lambda domain: domain.create(), timeout=_SAVE_TIMEOUT_S)

    def attach_nic(self, spec: GuestSpec, view: DomainView, nic: Nic) -> None:
        """Plug a network card in; libvirt finds it there by its MAC when it was plugged in already."""
        model = hardware.read(spec.properties).nic_model if spec.kind == VM else hardware.VIRTIO
        self.domains.on(view.server_id, "attach an interface to", lambda domain: qemu_nics.attach(domain, nic, model))

    def detach_nic(self, view: DomainView, nic: Nic) -> None:
        """Ask the guest to let the card go, and wait until libvirt says that it has."""
        self.domains.on(view.server_id, "detach an interface from", lambda domain: qemu_nics.ask_back(domain, nic))
        deadline = time.monotonic() + qemu_nics.LET_GO_S
        while self.domains.on(view.server_id, "look at", lambda domain: qemu_nics.has(domain, nic)):
            if time.monotonic() > deadline:
                raise DriverError(
                    f"the guest has not let the interface {nic.mac} go within {qemu_nics.LET_GO_S:.0f} s; it must run a system "
                    "that knows ACPI hotplug; try again, or stop it first"
                )
            time.sleep(0.1)

    def disk(self, instance: Instance) -> Path:
        """Return the overlay's path."""
        return instance.disk

    def wait_disk(self, server_id: str) -> None:
        """Nothing to wait for: libvirt has waited for QEMU's end."""

    def variables(self, instance: Instance) -> tuple[Path, ...]:
        """Return those without secure boot, and those with it."""
        return (instance.variables(secure=False), instance.variables(secure=True))

    def rescue_files(self, instance: Instance) -> tuple[Path, ...]:
        """Return the rescue's disk, and its firmware's variables."""
        return (instance.rescue_disk, instance.rescue_variables)

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Make a disk of the rescue image and run the domain from it."""
        profile = self._profiles.get()
        instance = self._instances.make(spec.server_id)
        booted = vm.rescue_spec(spec, rescue)
        if vm.has_disk(booted):
            disks.make(instance.rescue_disk, booted)
        if vm.has_disk(spec):
            disks.make_overlay(instance, spec)
        self._drop_saved(spec.server_id)
        self.domains.create(spec.server_id, vm.to_xml(spec, instance, profile, rescue), _RENEW_FLAGS)

    def resize_live(self, spec: GuestSpec) -> None:
        """Plug vCPUs and set the balloon."""
        self.domains.on(spec.server_id, "resize", lambda domain: live_size.set_machine(domain, spec))

    def console(self, server_id: str, kind: str) -> ConsoleTarget:
        """Read it from the domain; at a terminal, which an adopted guest may have, the reader of it lets others sit."""
        path, _ = self.domains.on(server_id, "look at", console_ports.terminal)
        if kind == "serial" and path is not None:
            seat = self._instances.at(server_id).console_socket
            self._reader.seat(server_id, seat)
            return ConsoleTarget(kind, seat)
        description = self.domains.on(server_id, "look at", lambda domain: domain.XMLDesc())
        return console_ports.find(description, kind, self._profiles.get().screens)

    def follow(self, view: DomainView) -> None:
        """Read its serial port, if that is a terminal; ours are virtlogd's to keep."""
        path, name = self.domains.on(view.server_id, "look at", console_ports.terminal)
        if path is not None:
            self._reader.follow_terminal(view.server_id, name, path, self._instances.at(view.server_id).console_log)

    def leave(self, server_id: str) -> None:
        """Have its reader let go of its console."""
        self._reader.leave(server_id)

    def has_size(self, spec: GuestSpec) -> bool:
        """Compare what libvirt has with *spec*."""
        return self.domains.size(spec.server_id) == (spec.vcpus, spec.memory_mb)

    def check_growth(self, spec: GuestSpec) -> None:
        """Compare the disks' sizes with *spec*'s."""
        instance = self._instances.at(spec.server_id)
        disks.check_growth(instance.disk, spec)
        local_disks.check_growth(instance, spec)

    def grow(self, spec: GuestSpec, go_on: GoOn) -> None:
        """Grow the overlay, if there is one, and the ephemeral disks."""
        instance = self._instances.at(spec.server_id)
        disks.grow(instance.disk, spec)
        local_disks.grow(instance, spec)

    def snapshot(self, spec: GuestSpec, view: DomainView, target: Path, go_on: GoOn) -> Snapshot:
        """Copy the disk as it is at one instant, flattened; the image itself where there is no disk."""
        instance = self._instances.at(spec.server_id)
        return qemu_snapshot.take(self.domains, instance, spec, target, go_on, running=view.active)

    def take_up(self, spec: GuestSpec, view: DomainView) -> None:
        """virtlogd has the console of a guest that is our own; an adopted one's is read here."""
        if view.adopted and view.active:
            self.follow(view)


def _press(domain: Any, flags: int) -> None:
    domain.shutdownFlags(flags)

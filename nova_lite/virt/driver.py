"""The driver protocol: what an agent asks of whatever runs its guests.

Every method may be called again after it was cut off half-way (a killed agent): it must then finish the work or
find it done. Every method blocks; the agent calls it from a thread of its own and gives it a deadline. A driver
raises :class:`DriverError` with a sentence for the server's fault, never a library's own exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from nova_lite.compute.kinds import CONTAINER, KINDS, UNIKERNEL, VM
from nova_lite.compute.local_disks import LocalDisks
from nova_lite.compute.transitions import PowerState
from nova_lite.errors import NovaLiteError

__all__ = ["CONTAINER", "KINDS", "UNIKERNEL", "VM"]

REMOVED = ".removed-"
"""What the name of a guest's directory begins with while it is being removed; :meth:`Driver.destroy` removes that, too."""


class DriverError(NovaLiteError):
    """The hypervisor refused or failed; ``message`` is fit for the server's fault."""

    default_code = "driver.failed"


class DriverTimeout(DriverError):
    """The hypervisor did not answer in time; what became of the guest is unknown until it is observed."""

    default_code = "driver.timeout"


class DriverUnavailable(DriverError):
    """The hypervisor can't be reached just now: it is being restarted, say. Its guests go on, and the call is worth another try."""

    default_code = "driver.unavailable"


class GuestNotFound(DriverError):
    """The driver has no such guest."""

    default_code = "driver.guest_not_found"


@dataclass(frozen=True)
class Nic:
    """A network interface of a guest, already prepared on the host.

    ``device`` is the host's end: the tap that QEMU opens (vm, unikernel), or for a container the name that the
    host's end of the veth shall get. ``bridge`` is the bridge that it belongs to. Addresses are text with their prefix
    length, ``10.0.0.5/24``; ``gateway`` is None where there is none.
    """

    port_id: str
    mac: str
    device: str
    bridge: str
    mtu: int
    addresses: tuple[str, ...]
    gateway: str | None
    dns: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    """(destination with prefix length, next hop)"""


@dataclass(frozen=True)
class LocalImage:
    """An image in the host's cache, verified against its checksum. Nobody writes to these files.

    ``path`` is the main file: the disk (``disk_format`` raw or qcow2), the unikernel's ELF, or the OCI archive.
    ``rootfs`` is the unpacked root filesystem of a container image, owned by host ids that a user namespace maps
    nothing to; ``config`` is then the OCI image configuration (its ``config`` object: Entrypoint, Cmd, Env, WorkingDir, User).
    """

    image_id: str
    path: Path
    disk_format: str
    virtual_size: int
    kernel: Path | None = None
    ramdisk: Path | None = None
    rootfs: Path | None = None
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class GuestSpec:
    """All that a driver needs to make a guest; made from database rows alone, the same each time.

    Sizes: ``memory_mb`` MiB, ``disk_gb`` GiB (0: the image's own size). ``command_line`` is rendered already.
    ``config_drive`` is the path of an ISO 9660 or FAT image, if there is to be one. ``properties`` are the image's
    (``hw_*``, ``os_*``, ``nova_lite_*``), ``extra_specs`` the flavor's. ``isolation`` is for containers: process or vm.
    """

    server_id: str
    name: str
    hostname: str
    project_id: str
    user_id: str
    kind: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    image: LocalImage
    nics: tuple[Nic, ...] = ()
    command_line: str = ""
    config_drive: Path | None = None
    isolation: str = "process"
    properties: Mapping[str, str] = field(default_factory=dict)
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    disks: LocalDisks = field(default_factory=LocalDisks)
    """What it has beside its root disk: ephemeral disks, swap."""


@dataclass(frozen=True)
class Observed:
    """A guest as the hypervisor has it. ``server_id`` None: a guest that is none of ours."""

    server_id: str | None
    name: str
    power: PowerState
    kind: str


@dataclass(frozen=True)
class Inventory:
    """What the host has: vCPUs, memory MiB, disk GiB of the instances' filesystem."""

    vcpus: int
    memory_mb: int
    disk_gb: int
    disk_free_gb: int


@dataclass(frozen=True)
class Capabilities:
    """What the driver can do here, found out rather than assumed. ``missing`` gives a reason for each absent ability.

    ``traits``: those of :mod:`nova_lite.compute.traits` that the host has.
    """

    driver: str
    kinds: tuple[str, ...]
    virt_type: str
    hypervisor_type: str
    hypervisor_version: int
    """Nova's form: major * 1_000_000 + minor * 1_000 + release."""
    arch: str
    cpu_model: str
    missing: Mapping[str, str] = field(default_factory=dict)
    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stats:
    """A running guest's use: CPU ns since its start, memory MiB held, bytes per device."""

    cpu_time_ns: int
    memory_mb: int
    uptime_s: float
    nics: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    disks: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@runtime_checkable
class Driver(Protocol):
    """What every driver can do."""

    def capabilities(self) -> Capabilities:
        """Say what can be run here; found out once (a real boot under each accelerator) and remembered."""

    def inventory(self) -> Inventory:
        """Say what the host has."""

    def spawn(self, spec: GuestSpec) -> None:
        """Make the guest's disks and start it; a guest of that id that runs already is success."""

    def destroy(self, server_id: str) -> None:
        """Stop the guest at once and remove it with its disks, files and console log; nothing there is success."""

    def start(self, spec: GuestSpec) -> None:
        """Start a stopped guest on the disks it has, its definition made anew from *spec*; running is success."""

    def stop(self, server_id: str, grace_s: float) -> None:
        """Ask the guest to shut down, and after *grace_s* seconds end it; its disks stay. Stopped is success."""

    def reboot(self, spec: GuestSpec, *, hard: bool, grace_s: float) -> None:
        """Restart the guest; hard: power off and start from *spec*; soft: shut down within *grace_s*, else hard."""

    def pause(self, server_id: str) -> None:
        """Freeze the guest in memory; paused is success."""

    def unpause(self, server_id: str) -> None:
        """Let a frozen guest go on; running is success."""

    def suspend(self, server_id: str) -> None:
        """Save the guest's memory to disk and stop it; where that can't be had (containers), freeze it."""

    def resume(self, spec: GuestSpec) -> None:
        """Bring back what :meth:`suspend` put away."""

    def recover(self, spec: GuestSpec) -> PowerState:
        """Take up a guest after the agent's restart: see that what the driver keeps beside it (console) is there."""

    def observe(self) -> Sequence[Observed]:
        """List every guest on the host, ours or not.

        :raises DriverError: the hypervisor does not answer, so nothing is known (which is not "nothing is there").
        """

    def power(self, server_id: str) -> PowerState:
        """Return one guest's power state; SHUTDOWN when it is defined and not running.

        :raises GuestNotFound: the hypervisor answers that there is none.
        """

    def stats(self, server_id: str) -> Stats:
        """Return what a running guest uses. :raises GuestNotFound: it does not run."""

    def console(self, server_id: str, limit: int) -> bytes:
        """Return the last *limit* bytes of the console log, while the guest runs and after it has stopped."""

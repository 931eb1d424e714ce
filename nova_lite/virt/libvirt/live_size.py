"""Change vCPUs and memory of a domain that runs."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite.virt import refusals
from nova_lite.virt.driver import DriverError, GuestSpec

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_PERIOD_US = 100_000
_BALLOON_S = 15.0
_SLACK_KIB = 1024


def set_machine(domain: Any, spec: GuestSpec) -> None:
    """Set a VM's vCPUs and its balloon, within what it was started with; that size already is success.

    The guest must do its part (online a vCPU, give memory back): libvirt waits for vCPUs, the balloon follows by itself.

    :raises DriverError: it was started without room for that.
    """
    most_vcpus = domain.vcpusFlags(_LIVE | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
    most_memory = domain.maxMemory() // 1024
    if spec.vcpus > most_vcpus or spec.memory_mb > most_memory:
        raise DriverError(
            f"the guest was started with room for {most_vcpus} vCPUs and {most_memory} MiB; more needs an ordinary resize, "
            f"or a flavor with {refusals.MAX_VCPUS} and {refusals.MAX_MEMORY_MB} from the start"
        )
    _set_vcpus(domain, spec)
    _set_balloon(domain, spec.memory_mb)
    domain.setMemoryFlags(spec.memory_mb * 1024, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _set_vcpus(domain: Any, spec: GuestSpec) -> None:
    """Plug or unplug vCPUs; an emulated VM keeps those that it has, and gets the CPU time of as many as it shall have.

    QEMU 7.2 takes an emulated vCPU away when the guest lets it go, but never sends DEVICE_DELETED for it, so that libvirt 9 waits
    for 5 s, fails, and counts it for ever.
    """
    plugged = domain.vcpusFlags(_LIVE)
    is_emulated = ET.fromstring(domain.XMLDesc()).get("type") == "qemu"  # noqa: S314 - libvirt's own answer
    if spec.vcpus > plugged or (spec.vcpus < plugged and not is_emulated):
        domain.setVcpusFlags(spec.vcpus, _LIVE)
        plugged = spec.vcpus
    domain.setVcpusFlags(spec.vcpus, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    quota = spec.vcpus * _PERIOD_US if spec.vcpus < plugged else -1
    limits = {"cpu_shares": _shares(spec), "global_period": _PERIOD_US, "global_quota": quota}
    domain.setSchedulerParametersFlags(limits, _LIVE)


def _set_balloon(domain: Any, memory_mb: int) -> None:
    """Set the balloon and wait until the guest has followed. :raises DriverError: it does not; the balloon is as it was."""
    before = domain.info()[2]
    domain.setMemoryFlags(memory_mb * 1024, _LIVE)
    deadline = time.monotonic() + _BALLOON_S
    while abs(domain.info()[2] - memory_mb * 1024) > _SLACK_KIB:
        if time.monotonic() > deadline:
            domain.setMemoryFlags(before, _LIVE)
            raise DriverError(
                f"the guest did not go to {memory_mb} MiB within {_BALLOON_S:.0f} s; it needs the driver virtio_balloon, and "
                "that much memory free to be made smaller"
            )
        time.sleep(0.05)


def set_container(domain: Any, spec: GuestSpec, with_swap: bool) -> None:
    """Set a container's limits of memory, of swap together *with_swap* where the host can, and of CPU time. :raises DriverError: it holds more memory than that; nothing changed."""
    try:
        limits = {"hard_limit": spec.memory_mb * 1024}
        if with_swap:
            limits["swap_hard_limit"] = (spec.memory_mb + spec.disks.swap_mb) * 1024
        domain.setMemoryParameters(limits, _LIVE)
    except libvirt.libvirtError as error:
        raise DriverError(
            f"the container's memory could not be limited to {spec.memory_mb} MiB, most likely because its processes hold more: "
            f"{error.get_error_message()}"
        ) from error
    domain.setSchedulerParametersFlags({"vcpu_quota": spec.vcpus * _PERIOD_US, "cpu_shares": _shares(spec)}, _LIVE)


def _shares(spec: GuestSpec) -> int:
    return min(100 * spec.vcpus, 10_000)

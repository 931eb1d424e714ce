"""What the host has and can do, and what its guests use."""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from nova_lite.virt import refusals
from nova_lite.virt.driver import (
    CONTAINER,
    UNIKERNEL,
    VM,
    Capabilities,
    DriverError,
    GuestNotFound,
    Inventory,
    Stats,
)
from nova_lite.virt.libvirt.connection import Connection
from nova_lite.virt.libvirt.domains import Domains
from nova_lite.virt.libvirt.host_profile import KVM
from nova_lite.virt.libvirt.profile_source import ProfileSource
from nova_lite.virt.libvirt.requirements import missing_for_containers

_GIB = 1 << 30
_PID_FILES = Path("/run/libvirt")


def inventory(connection: Connection, root: Path) -> Inventory:
    """Read CPUs and memory from libvirt, and the space of the filesystem that *root* is to be on."""
    info = connection.call("ask for the host's size", lambda conn: conn.getInfo())
    place = next(path for path in (root, *root.parents) if path.exists())
    space = os.statvfs(place)
    return Inventory(
        vcpus=int(info[2]),
        memory_mb=int(info[1]),
        disk_gb=space.f_blocks * space.f_frsize // _GIB,
        disk_free_gb=space.f_bavail * space.f_frsize // _GIB,
    )


def capabilities(qemu: Connection, lxc: Connection, profiles: ProfileSource, container_emulator: Path) -> Capabilities:
    """Try what can be run here. An address that does not answer makes its kinds missing, with the reason."""
    kinds: list[str] = []
    missing = {"container.isolation.vm": "containers in a VM of their own are not there yet", **refusals.missing()}
    virt_type, version, model = "none", 0, "unknown"
    traits: tuple[str, ...] = ()
    try:
        profile = profiles.get()
        version, model = qemu.call("ask for the version", lambda conn: (conn.getVersion(), conn.getInfo()[0]))
        virt_type = profile.virt_type
        kinds += [VM, UNIKERNEL]
        traits = profile.firmwares.traits()
        missing |= profile.firmwares.missing()
        if virt_type != KVM:
            missing["kvm"] = "guests are emulated; see accelerator.json below state_path for what was found"
        for protocol, ability in (("vnc", "console.novnc"), ("spice", "console.spice-html5")):
            if why := profile.screens.missing(protocol):
                missing[f"{VM}.{ability}"] = why
    except DriverError as error:
        missing[VM] = missing[UNIKERNEL] = error.message
    reason = missing_for_containers(container_emulator)
    if not reason:
        try:
            lxc.call("ask for containers", lambda conn: conn.getVersion())
        except DriverError as error:
            reason = error.message
    if reason:
        missing[CONTAINER] = reason
    else:
        kinds.append(CONTAINER)
    if not kinds:
        raise DriverError(f"this host can run nothing: {'; '.join(missing.values())}")
    return Capabilities(
        driver="libvirt",
        kinds=tuple(kinds),
        virt_type=virt_type,
        hypervisor_type="QEMU" if VM in kinds else "LXC",
        hypervisor_version=version,
        arch=os.uname().machine,
        cpu_model=str(model),
        missing=missing,
        traits=traits,
    )


def stats(domains: Domains, server_id: str) -> Stats:
    """Ask libvirt what a running guest uses. :raises GuestNotFound: it does not run."""
    found = domains.on(server_id, "measure", _measure)
    if found is None:
        raise GuestNotFound(f"guest {server_id} does not run")
    return found


def _measure(domain: Any) -> Stats | None:
    if not domain.isActive():
        return None
    info = domain.info()
    description = ET.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own answer
    nics = {}
    for target in description.iterfind("devices/interface/target"):
        numbers = domain.interfaceStats(target.get("dev"))
        nics[str(target.get("dev"))] = (max(numbers[0], 0), max(numbers[4], 0))
    disks = {}
    for disk in description.iterfind("devices/disk"):
        target_name = disk.find("target")
        if target_name is not None and description.get("type") != "lxc":
            numbers = domain.blockStats(target_name.get("dev"))
            disks[str(target_name.get("dev"))] = (max(numbers[1], 0), max(numbers[3], 0))
    resident_kib = domain.memoryStats().get("rss", info[2])
    return Stats(
        cpu_time_ns=int(info[4]),
        memory_mb=-(-int(resident_kib) // 1024),  # a small container holds less than one
        uptime_s=_uptime(domain.name(), "lxc" if description.get("type") == "lxc" else "qemu"),
        nics=nics,
        disks=disks,
    )


def _uptime(name: str, folder: str) -> float:
    """Return the seconds since libvirt wrote the domain's pid file, which is at its start."""
    try:
        return max(time.time() - (_PID_FILES / folder / f"{name}.pid").stat().st_mtime, 0.0)
    except OSError:
        return 0.0

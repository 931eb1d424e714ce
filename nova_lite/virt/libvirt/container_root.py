"""A container's own files: its range of ids, the ext4 image it writes to, and the plan that its launcher follows."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nova_lite.virt import delivery
from nova_lite.virt.driver import DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt import container_disk, seccomp
from nova_lite.virt.libvirt.container import ID_COUNT
from nova_lite.virt.libvirt.container_process import ContainerProcess
from nova_lite.virt.libvirt.instances import Instance, Instances

OWN_ROOT = "/mnt/own"
"""Where a rescued container finds its own root."""

EPHEMERAL_ROOT = "/mnt"
"""Where a container finds its ephemeral disks, each in a directory of its name."""

_GIB = 1 << 30
_LONGEST_NODE_NAME = 64
"""HOST_NAME_MAX; the API takes names of 255 characters."""
_LAST_ID = (1 << 32) - 2
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


@dataclass(frozen=True)
class ContainerLimits:
    """What is the same for all containers of a host."""

    uid_base: int
    pids: int
    default_disk_gb: int
    emulator: str
    console_bytes: int


def prepare(
    instances: Instances,
    spec: GuestSpec,
    process: ContainerProcess,
    limits: ContainerLimits,
    rescue: LocalImage | None = None,
) -> int:
    """Have the container's data image and plan ready, and return the first host id of its range.

    What the container has written stays; the plan is written anew, with the range that it had before. With *rescue*,
    the root is that image's, and the container's own is mounted at :data:`OWN_ROOT` in it.
    """
    if spec.image.rootfs is None:
        raise DriverError("the container's image is not unpacked")
    instance = instances.make(spec.server_id)
    container_disk.make(instance.container_data, container_disk.size_bytes(spec, limits.default_disk_gb))
    ephemerals = make_ephemerals(instance, spec)
    plan: dict[str, object] = {
        "lower": str(spec.image.rootfs),
        "data": instance.container_data.name,
        "id_count": ID_COUNT,
        "pids": limits.pids,
        "hostname": node_name(spec.hostname),
        "emulator": limits.emulator,
        "console_bytes": limits.console_bytes,
        "directory": process.directory,
        "ephemerals": ephemerals if rescue is None else [],
        "files": system_files(spec),
        "seccomp": base64.b64encode(seccomp.program(deny_bpf=not _UNIFIED.exists())).decode(),
    }
    if rescue is not None:
        container_disk.make(instance.rescue_data, limits.default_disk_gb * _GIB)
        plan["own"] = {"lower": plan["lower"], "data": plan["data"], "at": OWN_ROOT}
        plan["lower"], plan["data"] = str(rescue.rootfs), instance.rescue_data.name
    with _lock(instances.root):
        plan["uid_base"] = recorded_base(instance) or _free_base(instances.root, limits.uid_base)
        part = instance.path / "container.json.part"
        part.write_text(json.dumps(plan), encoding="utf-8")
        part.chmod(0o600)
        delivery.put_in_place(part, instance.container_plan)  # the range of ids is nowhere else
    return int(str(plan["uid_base"]))


def make_ephemerals(instance: Instance, spec: GuestSpec) -> list[dict[str, str]]:
    """Make what is missing of the ephemeral disks, and return what the launcher mounts, and where inside."""
    found = []
    for index, disk in enumerate(spec.disks.ephemerals):
        path = instance.ephemeral_disk(index)
        container_disk.make(path, disk.size_gb * _GIB, f"ephemeral{index}")
        found.append({"data": path.name, "point": f"eph{index}", "at": f"{EPHEMERAL_ROOT}/ephemeral{index}"})
    return found


def system_files(spec: GuestSpec) -> dict[str, str]:
    """Return what is written into the root at each start: path → text. The names come from rows, never from the image."""
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    name = node_name(spec.hostname)
    names = spec.hostname if name == spec.hostname else f"{spec.hostname} {name}"
    hosts += [f"{address.partition('/')[0]} {names}" for nic in spec.nics for address in nic.addresses]
    if not any(nic.addresses for nic in spec.nics):
        hosts.append(f"127.0.1.1 {names}")
    servers = dict.fromkeys(server for nic in spec.nics for server in nic.dns)
    files = {"/etc/hostname": f"{name}\n", "/etc/hosts": "\n".join(hosts) + "\n"}
    if servers:
        files["/etc/resolv.conf"] = "".join(f"nameserver {server}\n" for server in servers)
    return files


def node_name(hostname: str) -> str:
    """Return the name that the kernel is told: *hostname*, or its first part where it is longer than the kernel takes."""
    return hostname if len(hostname) <= _LONGEST_NODE_NAME else hostname.partition(".")[0][:_LONGEST_NODE_NAME]


def recorded_base(instance: Instance) -> int | None:
    """Return the first host id that the container was given, or None if it has none yet."""
    try:
        plan = json.loads(instance.container_plan.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return int(plan["uid_base"])


def _free_base(root: Path, first: int) -> int:
    taken = set()
    for plan in root.glob("*/container.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            taken.add(int(json.loads(plan.read_text(encoding="utf-8"))["uid_base"]))
    for base in range(first, _LAST_ID - ID_COUNT, ID_COUNT):
        if base not in taken:
            return base
    raise DriverError("no range of user ids is free for another container")


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    descriptor = os.open(root / ".ids.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

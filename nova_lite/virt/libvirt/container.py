"""A container's domain: LXC with a user namespace, few capabilities, limits; its root is mounted by the launcher."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from nova_lite.virt.driver import GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt import elements
from nova_lite.virt.libvirt.container_process import ContainerProcess
from nova_lite.virt.libvirt.elements import add

ID_COUNT = 65_536
"""How many user and group ids one container has."""

CAPABILITIES = (
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "net_bind_service",
    "net_raw",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
)
"""What root in a container keeps: Docker's list without mknod."""

MASKED = ("/sys/fs/cgroup", "/sys/firmware", "/proc/acpi", "/proc/scsi")
"""What says more of the host and its other guests than a container need know (libvirt shows the whole tree of cgroups)."""

_PERIOD_US = 100_000


def to_xml(
    spec: GuestSpec,
    process: ContainerProcess,
    root_path: str,
    launcher: str,
    uid_base: int,
    masked: Sequence[str] = MASKED,
    rescue: LocalImage | None = None,
    *,
    with_swap: bool = False,
) -> str:
    """Return the domain XML of a container.

    :param root_path: where the launcher will have mounted the root filesystem.
    :param launcher: the program that libvirt runs as the domain's emulator (``launcher.py``).
    :param uid_base: the host id that id 0 in the container is; :data:`ID_COUNT` ids from there are the container's.
    :param masked: directories that an empty, read-only one covers.
    :param with_swap: the host's cgroups can limit memory and swap together, to what the flavor has of both.
    :raises DriverError: a text has a character that XML can't hold.
    """
    root = elements.domain("lxc", spec, "" if rescue is None else rescue.image_id)
    cputune = root.find("cputune")
    assert cputune is not None
    add(cputune, "period", _PERIOD_US)
    add(cputune, "quota", spec.vcpus * _PERIOD_US)
    memtune = add(root, "memtune")
    add(memtune, "hard_limit", spec.memory_mb, unit="MiB")
    if with_swap:
        add(memtune, "swap_hard_limit", spec.memory_mb + spec.disks.swap_mb, unit="MiB")
    _init(root, process)
    idmap = add(root, "idmap")
    for kind in ("uid", "gid"):
        add(idmap, kind, start=0, target=uid_base, count=ID_COUNT)
    features = add(root, "features")
    add(features, "privnet")
    allowed = add(features, "capabilities", policy="deny")
    for name in CAPABILITIES:
        add(allowed, name, state="on")
    add(root, "clock", offset="utc")
    elements.lifecycle(root)
    devices = add(root, "devices")
    add(devices, "emulator", launcher)
    filesystem = add(devices, "filesystem", type="mount", accessmode="passthrough")
    add(filesystem, "source", dir=root_path)
    add(filesystem, "target", dir="/")
    for path in masked:
        cover = add(devices, "filesystem", type="ram")
        add(cover, "source", usage=4, units="KiB")
        add(cover, "target", dir=path)
        add(cover, "readonly")
    for index, nic in enumerate(spec.nics):
        _veth(devices, nic, index)
    add(devices, "console", type="pty")
    return elements.text(root)


def _init(root: ET.Element, process: ContainerProcess) -> None:
    boot = add(root, "os")
    add(boot, "type", "exe", arch="x86_64")
    program, *arguments = process.arguments
    add(boot, "init", program)
    for argument in arguments:
        add(boot, "initarg", argument)
    for name, value in process.environment:
        add(boot, "initenv", value, name=name)
    add(boot, "initdir", process.directory)
    # "+" says that it is a number: names were looked up in the image, not by libvirt.
    if (process.uid, process.gid) != (0, 0):
        add(boot, "inituser", f"+{process.uid}")
        add(boot, "initgroup", f"+{process.gid}")


def _veth(devices: ET.Element, nic: Nic, index: int) -> None:
    """Add a veth pair that libvirt makes: its outer end is named and put on the bridge, its inner one is ``eth<n>``.

    Two interfaces may lead to the same place, in one network say, or to everywhere: the first is taken, as each has a metric of its own.
    """
    interface = add(devices, "interface", type="bridge")
    add(interface, "mac", address=nic.mac)
    add(interface, "source", bridge=nic.bridge)
    for address in nic.addresses:
        parsed = ipaddress.ip_interface(address)
        add(
            interface,
            "ip",
            family=f"ipv{parsed.version}",
            address=str(parsed.ip),
            prefix=parsed.network.prefixlen,
        )
    for destination, hop in routes(nic):
        network = ipaddress.ip_network(destination)
        add(
            interface,
            "route",
            family=f"ipv{network.version}",
            address=str(network.network_address),
            prefix=network.prefixlen,
            gateway=hop,
            metric=metric(index),
        )
    add(interface, "target", dev=nic.device)
    add(interface, "guest", dev=f"eth{index}")
    add(interface, "mtu", size=nic.mtu)


def routes(nic: Nic) -> list[tuple[str, str]]:
    """Return the destinations and next hops that an interface has, everywhere by its gateway among them."""
    found = list(nic.routes)
    if nic.gateway is not None:
        found.append(("::/0" if ":" in nic.gateway else "0.0.0.0/0", nic.gateway))
    return found


def metric(index: int) -> int:
    """Return the metric of the routes of ``eth<index>``."""
    return index + 1

"""The pieces of domain XML that kinds share, as pure functions. All text goes through ElementTree, which escapes it.

Format: https://libvirt.org/formatdomain.html
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from nova_lite.virt.driver import DriverError, GuestSpec, Nic
from nova_lite.virt.libvirt import identity

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
ET.register_namespace("qemu", QEMU_NAMESPACE)


def add(parent: ET.Element, tag: str, text: str | int | None = None, **attributes: str | int) -> ET.Element:
    """Append an element and return it. :raises DriverError: XML can't hold a character of it."""
    values = {name.rstrip("_"): xml_text(str(value)) for name, value in attributes.items()}
    child = ET.SubElement(parent, tag, values)
    if text is not None:
        child.text = xml_text(str(text))
    return child


def xml_text(value: str) -> str:
    """Return *value* if XML 1.0 can hold it (no control characters but tab, newline, return).

    Source: https://www.w3.org/TR/xml/#charsets
    """
    for character in value:
        code = ord(character)
        if (code < 0x20 and character not in "\t\n\r") or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
            raise DriverError(f"U+{code:04X} can't be in a guest's definition")
    return value


def domain(domain_type: str, spec: GuestSpec, rescue: str = "", maximum: tuple[int, int] | None = None) -> ET.Element:
    """Return the root with what every kind has: name, UUID, our metadata, memory, vCPUs and their weight.

    :param rescue: the id of the image that the guest is rescued with.
    :param maximum: vCPUs and MiB that the guest may be given while it runs.
    """
    most_vcpus, most_memory = maximum or (spec.vcpus, spec.memory_mb)
    root = ET.Element("domain", {"type": domain_type})
    add(root, "name", identity.domain_name(spec.server_id))
    add(root, "uuid", spec.server_id)
    add(root, "metadata").append(identity.element(spec, rescue))
    add(root, "memory", most_memory, unit="MiB")
    if most_memory > spec.memory_mb:
        add(root, "currentMemory", spec.memory_mb, unit="MiB")
    vcpu = add(root, "vcpu", most_vcpus)
    if most_vcpus > spec.vcpus:
        vcpu.set("current", str(spec.vcpus))
    cputune = add(root, "cputune")
    # cgroup v2 takes weights up to 10,000 only, so not the 1024 per vCPU that v1 counts in.
    add(cputune, "shares", min(100 * spec.vcpus, 10_000))
    return root


def product(root: ET.Element, server_id: str) -> None:
    """Have the firmware's tables (SMBIOS) call the machine what Nova calls it; ``os`` must be there.

    It is how cloud-init (ds-identify), systemd and Ansible know an OpenStack guest, and thereby that there is a metadata service to ask.
    """
    system = add(add(root, "sysinfo", type="smbios"), "system")
    for name, value in (
        ("manufacturer", "OpenStack Foundation"),
        ("product", "OpenStack Nova"),
        ("serial", server_id),
        ("uuid", server_id),
        ("family", "Virtual Machine"),
    ):
        add(system, "entry", value, name=name)
    boot = root.find("os")
    assert boot is not None
    add(boot, "smbios", mode="sysinfo")


def lifecycle(root: ET.Element, on_reboot: str = "restart") -> None:
    """Say what becomes of the domain when the guest powers off, reboots or crashes."""
    add(root, "on_poweroff", "destroy")
    add(root, "on_reboot", on_reboot)
    add(root, "on_crash", "destroy")


def tap(devices: ET.Element, nic: Nic, model: str = "virtio") -> None:
    """Add a network card on a tap that the host layer has made and put on its bridge.

    Only virtio's tells the guest its MTU; with any other model the guest learns it by DHCP.
    """
    interface = add(devices, "interface", type="ethernet")
    add(interface, "mac", address=nic.mac)
    add(interface, "target", dev=nic.device, managed="no")
    add(interface, "model", type=model)
    if model == "virtio":
        add(interface, "mtu", size=nic.mtu)
    # No option ROM: nobody boots from the network, and SeaBIOS would run it.
    add(interface, "rom", enabled="no")


def serial_console(devices: ET.Element, log: Path, socket: Path) -> None:
    """Add a serial port whose output virtlogd keeps in *log*, rotating it at its ``max_size``.

    At *socket* one client at a time may read and type; the log goes on all the same, with nobody there too.
    """
    serial = add(devices, "serial", type="unix")
    add(serial, "source", mode="bind", path=str(socket))
    add(serial, "log", file=str(log), append="on")
    add(serial, "target", type="isa-serial", port=0)


def overlay_disk(
    devices: ET.Element, disk: Path, backing: Path, backing_format: str, device: str = "vda", bus: str = "virtio"
) -> None:
    """Add the qcow2 overlay *disk* on the cached image *backing* as *device* at *bus*.

    The chain is written out, so libvirt never guesses a format (CVE-2010-2237 and its many heirs), and the shared
    backing file keeps its owner.
    """
    store = add(_disk(devices, disk, device, bus), "backingStore", type="file")
    add(store, "format", type=backing_format)
    _shared(store, backing)
    add(store, "backingStore")


def plain_disk(devices: ET.Element, disk: Path, device: str, bus: str) -> None:
    """Add the qcow2 file *disk*, which stands on no other, as *device* at *bus*."""
    add(_disk(devices, disk, device, bus), "backingStore")


def raw_disk(devices: ET.Element, disk: Path, device: str, bus: str) -> None:
    """Add the raw file *disk* as *device* at *bus*; its format is written out, as the guest decides what is in it."""
    _disk(devices, disk, device, bus, "raw")


def _disk(devices: ET.Element, disk: Path, device: str, bus: str, image_format: str = "qcow2") -> ET.Element:
    element = add(devices, "disk", type="file", device="disk")
    add(element, "driver", name="qemu", type=image_format, discard="unmap")
    add(element, "source", file=str(disk))
    add(element, "target", dev=device, bus=bus)
    return element


def _shared(element: ET.Element, path: Path) -> None:
    """Name the file of an image that several guests read: it keeps its owner."""
    add(add(element, "source", file=str(path)), "seclabel", model="dac", relabel="no")


def cdrom(devices: ET.Element, image: Path, device: str, bus: str) -> None:
    """Add a CD drive with the cached *image* in it."""
    element = add(devices, "disk", type="file", device="cdrom")
    add(element, "driver", name="qemu", type="raw")
    _shared(element, image)
    add(element, "target", dev=device, bus=bus)
    add(element, "readonly")


def config_drive(devices: ET.Element, path: Path, device: str = "vdz", bus: str = "virtio") -> None:
    """Add the config drive *path*, read-only: a virtio disk, or a CD at another *bus*; guests find it by its label ``config-2``."""
    element = add(devices, "disk", type="file", device="disk" if bus == "virtio" else "cdrom")
    add(element, "driver", name="qemu", type="raw")
    add(element, "source", file=str(path))
    add(element, "target", dev=device, bus=bus)
    add(element, "readonly")


def scsi_controller(devices: ET.Element, model: str) -> None:
    """Add the controller that disks and CD drives at the bus scsi are at."""
    add(devices, "controller", type="scsi", index=0, model=model)


def guest_agent(devices: ET.Element) -> None:
    """Add the channel that a guest agent (``qemu-ga``) in the guest answers on; libvirt chooses its socket."""
    channel = add(devices, "channel", type="unix")
    add(channel, "source", mode="bind")
    add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")


def without_cpu_probe(root: ET.Element) -> None:
    """Keep libvirt from reading 258 CPU properties of the new QEMU one by one, each byte by byte.

    Measured with libvirt 9.0 and QEMU 7.2: a create takes 65 ms instead of 310. For emulated CPUs only: with KVM
    and host-model, what is read is what a live migration is later checked against.
    """
    capabilities = ET.SubElement(root, f"{{{QEMU_NAMESPACE}}}capabilities")
    ET.SubElement(capabilities, f"{{{QEMU_NAMESPACE}}}del", {"capability": "cpu-unavailable-features"})


def text(root: ET.Element) -> str:
    """Return the document."""
    return ET.tostring(root, encoding="unicode")

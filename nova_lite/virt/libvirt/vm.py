"""A VM's domain: an ordinary PC with virtio devices and a serial console."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from nova_lite.virt import refusals
from nova_lite.virt.driver import GuestSpec, LocalImage
from nova_lite.virt.libvirt import elements, screens
from nova_lite.virt.libvirt.disks import backing_format
from nova_lite.virt.libvirt.elements import add
from nova_lite.virt.libvirt.host_profile import TCG, HostProfile, cpu
from nova_lite.virt.libvirt.instances import Instance

DEFAULT_COMMAND_LINE = "root=/dev/vda console=ttyS0"


def has_disk(spec: GuestSpec) -> bool:
    """Say whether the VM has a disk of its own: not if it boots a kernel and nothing gives the disk a size."""
    return spec.image.kernel is None or spec.disk_gb > 0 or spec.image.virtual_size > 0


def command_line(spec: GuestSpec) -> str:
    """Return the kernel's command line: the server's, else the image's ``os_command_line``, else root on vda.

    A console on the serial port is always there, because the console log is read from it.
    """
    line = spec.command_line or spec.properties.get("os_command_line", "") or DEFAULT_COMMAND_LINE
    if not any(word.startswith("console=ttyS0") for word in line.split()):
        line += " console=ttyS0"
    return line


def rescue_spec(spec: GuestSpec, rescue: LocalImage) -> GuestSpec:
    """Return *spec* as it boots from *rescue*, on a disk of that image's own size."""
    return replace(spec, image=rescue, disk_gb=0)


def to_xml(spec: GuestSpec, instance: Instance, profile: HostProfile, rescue: LocalImage | None = None) -> str:
    """Return the domain XML of a VM.

    :param rescue: an image to boot from instead; its disk is then vda, and the VM's own vdb.
    :raises DriverError: a text in *spec* has a character that XML can't hold, or names a device that there is not.
    """
    booted = spec if rescue is None else rescue_spec(spec, rescue)
    name = "" if rescue is None else rescue.image_id
    root = elements.domain(profile.virt_type, spec, name, refusals.live_maximum(spec))
    _boot(root, booted, profile)
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    cpu(root, profile)
    add(root, "clock", offset="utc")
    elements.lifecycle(root)
    devices = add(root, "devices")
    add(devices, "emulator", profile.emulator)
    if has_disk(booted):
        disk = instance.disk if rescue is None else instance.rescue_disk
        elements.overlay_disk(devices, disk, booted.image.path, backing_format(booted.image))
    if rescue is not None and has_disk(spec):
        elements.overlay_disk(devices, instance.disk, spec.image.path, backing_format(spec.image), "vdb")
    if spec.config_drive is not None:
        elements.config_drive(devices, spec.config_drive)
    # A USB controller costs the guest's firmware and kernel time, and nothing here is plugged into it.
    add(devices, "controller", type="usb", model="none")
    for nic in spec.nics:
        elements.tap(devices, nic)
    elements.serial_console(devices, instance.console_log, instance.console_socket)
    if refusals.has_agent(spec):
        elements.guest_agent(devices)
    if refusals.has_screen(spec):
        screens.show(devices, spec.properties[refusals.VIDEO_PROPERTY], profile.screens)
    add(devices, "memballoon", model="virtio")
    rng = add(devices, "rng", model="virtio")
    add(rng, "backend", "/dev/urandom", model="random")
    if profile.virt_type == TCG and profile.skip_cpu_probe:
        elements.without_cpu_probe(root)
    return elements.text(root)


def _boot(root: ET.Element, spec: GuestSpec, profile: HostProfile) -> None:
    boot = add(root, "os")
    add(boot, "type", "hvm", arch="x86_64", machine=profile.machine)
    if spec.image.kernel is None:
        add(boot, "boot", dev="hd")
        return
    add(boot, "kernel", str(spec.image.kernel))
    if spec.image.ramdisk is not None:
        add(boot, "initrd", str(spec.image.ramdisk))
    add(boot, "cmdline", command_line(spec))

"""A VM's domain: an ordinary PC with a serial console, and virtio devices where its image does not ask for others."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

from nova_lite.virt import refusals
from nova_lite.virt.driver import GuestSpec, LocalImage
from nova_lite.virt.libvirt import elements, firmware, screens
from nova_lite.virt.libvirt.disks import ISO, backing_format
from nova_lite.virt.libvirt.elements import add
from nova_lite.virt.libvirt.hardware import VIRTIO, Hardware, read
from nova_lite.virt.libvirt.host_profile import TCG, HostProfile, cpu
from nova_lite.virt.libvirt.instances import Instance

DEFAULT_COMMAND_LINE = "root=/dev/{disk} console=ttyS0"


def has_disk(spec: GuestSpec) -> bool:
    """Say whether the VM has a disk of its own: not if it boots a kernel or a CD and nothing gives the disk a size."""
    if spec.image.disk_format == ISO:
        return spec.disk_gb > 0
    return spec.image.kernel is None or spec.disk_gb > 0 or spec.image.virtual_size > 0


def command_line(spec: GuestSpec) -> str:
    """Return the kernel's command line: the server's, else the image's ``os_command_line``, else root on the first disk.

    A console on the serial port is always there, because the console log is read from it.
    """
    line = spec.command_line or spec.properties.get("os_command_line", "") or _default_line(spec)
    if not any(word.startswith("console=ttyS0") for word in line.split()):
        line += " console=ttyS0"
    return line


def _default_line(spec: GuestSpec) -> str:
    # Linux calls a disk at any other bus sda, one at an IDE bus too.
    return DEFAULT_COMMAND_LINE.format(disk="vda" if read(spec.properties).disk_bus == VIRTIO else "sda")


def rescue_spec(spec: GuestSpec, rescue: LocalImage) -> GuestSpec:
    """Return *spec* as it boots from *rescue*, on a disk of that image's own size."""
    return replace(spec, image=rescue, disk_gb=0)


def to_xml(spec: GuestSpec, instance: Instance, profile: HostProfile, rescue: LocalImage | None = None) -> str:
    """Return the domain XML of a VM.

    :param rescue: an image to boot from instead; its disk is then vda, and the VM's own vdb.
    :raises DriverError: a text in *spec* has a character that XML can't hold, or names a device that there is not.
    """
    machine = firmware.choose(spec, profile.firmwares, profile.machine, rescue)
    hardware = read(spec.properties, has_ide=not machine.is_q35)
    booted = spec if rescue is None else rescue_spec(spec, rescue)
    name = "" if rescue is None else rescue.image_id
    root = elements.domain(profile.virt_type, spec, name, refusals.live_maximum(spec))
    boot = add(root, "os")
    variables = instance.variables(secure=machine.secure_boot) if rescue is None else instance.rescue_variables
    firmware.describe(boot, machine, variables)
    _boot(boot, booted, is_rescue=rescue is not None)
    elements.product(root, spec.server_id)
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    if machine.secure_boot:
        # Else the guest's system could write over the variables behind the firmware's back.
        add(features, "smm", state="on")
    cpu(root, profile)
    add(root, "clock", offset="utc")
    elements.lifecycle(root)
    devices = add(root, "devices")
    add(devices, "emulator", profile.emulator)
    if rescue is None:
        _disk(devices, instance.disk, spec, hardware, 0)
        count = _local_disks(devices, instance, spec, hardware)
    else:
        # As Nova's rescue: the VM's own root disk is there, its ephemeral disks and swap are away.
        _disk(devices, instance.rescue_disk, booted, hardware, 0)
        _disk(devices, instance.disk, spec, hardware, 1)
        count = 2
    _drives(devices, booted, hardware, count)
    # A USB controller costs the guest's firmware and kernel time, and nothing here is plugged into it.
    add(devices, "controller", type="usb", model="none")
    for nic in spec.nics:
        elements.tap(devices, nic, hardware.nic_model)
    elements.serial_console(devices, instance.console_log, instance.console_socket)
    if refusals.has_agent(spec):
        elements.guest_agent(devices)
    if refusals.has_screen(spec):
        screens.show(devices, spec.properties.get(refusals.VIDEO_PROPERTY, ""), profile.screens)
    add(devices, "memballoon", model="virtio")
    rng = add(devices, "rng", model="virtio")
    add(rng, "backend", "/dev/urandom", model="random")
    if machine.is_q35:
        firmware.spare_ports(devices)
    if profile.virt_type == TCG and profile.skip_cpu_probe:
        elements.without_cpu_probe(root)
    return elements.text(root)


def _disk(devices: ET.Element, path: Path, spec: GuestSpec, hardware: Hardware, index: int) -> None:
    """Add the disk that *spec* has, if it has one: on its image, or empty where that is a CD's."""
    name, bus = hardware.disk(index), hardware.disk_bus
    if not has_disk(spec):
        return
    if spec.image.disk_format == ISO:
        elements.plain_disk(devices, path, name, bus)
    else:
        elements.overlay_disk(devices, path, spec.image.path, backing_format(spec.image), name, bus)


def _local_disks(devices: ET.Element, instance: Instance, spec: GuestSpec, hardware: Hardware) -> int:
    """Add the ephemeral disks and the swap, after the root disk's name; return how many names there are by then."""
    paths = instance.local_disks(spec.disks)
    for index, path in enumerate(paths, 1):
        elements.raw_disk(devices, path, hardware.disk(index), hardware.disk_bus)
    return 1 + len(paths)


def _drives(devices: ET.Element, spec: GuestSpec, hardware: Hardware, disks: int) -> None:
    """Add the CD that *spec* boots from, and the config drive; a guest that knows no virtio disk finds it in a CD drive."""
    has_cd, is_config_cd = spec.image.disk_format == ISO, spec.config_drive is not None and hardware.disk_bus != VIRTIO
    hardware.check_room(disks, has_cd + is_config_cd)
    if has_cd:
        elements.cdrom(devices, spec.image.path, hardware.cdrom(disks), hardware.cdrom_bus)
    if spec.config_drive is not None and hardware.disk_bus == VIRTIO:
        elements.config_drive(devices, spec.config_drive)
    elif spec.config_drive is not None:
        name = hardware.config_cdrom(disks, beside_cd=has_cd)
        elements.config_drive(devices, spec.config_drive, name, hardware.cdrom_bus)
    if hardware.has_scsi:
        elements.scsi_controller(devices, hardware.scsi_model)


def _boot(boot: ET.Element, spec: GuestSpec, *, is_rescue: bool) -> None:
    if spec.image.kernel is None:
        # An installer's CD is booted until the disk can be; one that rescues must not be passed over for the disk.
        devices = ["hd"] if spec.image.disk_format != ISO else ["cdrom", "hd"] if is_rescue else ["hd", "cdrom"]
        for device in devices:
            add(boot, "boot", dev=device)
        return
    add(boot, "kernel", str(spec.image.kernel))
    if spec.image.ramdisk is not None:
        add(boot, "initrd", str(spec.image.ramdisk))
    add(boot, "cmdline", command_line(spec))

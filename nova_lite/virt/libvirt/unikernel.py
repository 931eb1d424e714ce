"""A unikernel's domain: one CPU to one program, virtio only; nothing that neither of them looks at."""

from __future__ import annotations

from nova_lite.compute.local_disks import letter
from nova_lite.virt.driver import DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt import elements
from nova_lite.virt.libvirt.disks import backing_format
from nova_lite.virt.libvirt.elements import add
from nova_lite.virt.libvirt.host_profile import TCG, HostProfile, cpu
from nova_lite.virt.libvirt.instances import Instance

BOOT_PROPERTY = "nova_lite_unikernel_boot"
"""Image property: ``kernel`` (multiboot, PVH or Linux boot protocol) or ``disk``; found out when it is not set."""

_ELF = b"\x7fELF"
_LINUX_MAGIC = (0x202, b"HdrS")
_MULTIBOOT_MAGIC = 0x1BADB002.to_bytes(4, "little")
_MULTIBOOT_REACH = 8192


def boots_from_disk(image: LocalImage, property_value: str = "") -> bool:
    """Say whether the image is a disk with a boot sector rather than something QEMU loads itself.

    Sources: https://www.gnu.org/software/grub/manual/multiboot/ and
    https://docs.kernel.org/arch/x86/boot.html

    :raises DriverError: the property has another value than ``kernel`` and ``disk``.
    """
    if property_value:
        if property_value not in ("kernel", "disk"):
            raise DriverError(f"{BOOT_PROPERTY} is {property_value!r:.40}; it must be kernel or disk")
        return property_value == "disk"
    if image.disk_format == "qcow2":
        return True
    with image.path.open("rb") as file:
        head = file.read(_MULTIBOOT_REACH)
    offset, magic = _LINUX_MAGIC
    return not (head.startswith(_ELF) or head[offset : offset + 4] == magic or _MULTIBOOT_MAGIC in head)


def to_xml(spec: GuestSpec, instance: Instance, profile: HostProfile, *, from_disk: bool) -> str:
    """Return the domain XML of a unikernel.

    :param from_disk: what :func:`boots_from_disk` said; passed in, so that this stays a function of its arguments.
    :raises DriverError: a text in *spec* has a character that XML can't hold.
    """
    root = elements.domain(profile.virt_type, spec)
    boot = add(root, "os")
    add(boot, "type", "hvm", arch="x86_64", machine=profile.machine)
    if from_disk:
        add(boot, "boot", dev="hd")
        add(boot, "bootmenu", enable="no")
    else:
        add(boot, "kernel", str(spec.image.path))
        if spec.image.ramdisk is not None:
            add(boot, "initrd", str(spec.image.ramdisk))
        if spec.command_line:
            add(boot, "cmdline", spec.command_line)
    features = add(root, "features")
    add(features, "acpi")
    cpu(root, profile)
    add(root, "clock", offset="utc")
    elements.lifecycle(root)
    devices = add(root, "devices")
    add(devices, "emulator", profile.emulator)
    if from_disk:
        elements.overlay_disk(devices, instance.disk, spec.image.path, backing_format(spec.image))
    for index, path in enumerate(instance.local_disks(spec.disks), 1):
        elements.raw_disk(devices, path, f"vd{letter(index)}", "virtio")
    if spec.config_drive is not None:
        elements.config_drive(devices, spec.config_drive)
    add(devices, "controller", type="usb", model="none")
    for nic in spec.nics:
        elements.tap(devices, nic)
    elements.serial_console(devices, instance.console_log, instance.console_socket)
    add(devices, "memballoon", model="none")
    if profile.virt_type == TCG and profile.skip_cpu_probe:
        elements.without_cpu_probe(root)
    return elements.text(root)

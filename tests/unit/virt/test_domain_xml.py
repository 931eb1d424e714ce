"""Domain XML: golden files for each kind, and hostile text that must stay text.

``GOLDEN_WRITE=1 pytest tests/unit/virt/test_domain_xml.py`` writes the golden files anew; read the difference.
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import IMAGES, SERVER_ID, guest_spec

from nova_lite.compute.local_disks import Ephemeral, LocalDisks
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError, GuestSpec, LocalImage
from nova_lite.virt.libvirt import container, identity, unikernel, vm
from nova_lite.virt.libvirt.container_process import ContainerProcess
from nova_lite.virt.libvirt.firmware import Firmwares
from nova_lite.virt.libvirt.host_profile import HostProfile
from nova_lite.virt.libvirt.instances import Instance

GOLDEN = Path(__file__).parent / "golden"
INSTANCE = Instance(Path("/state/instances") / SERVER_ID)
TCG = HostProfile("qemu", "/usr/bin/qemu-system-x86_64", skip_cpu_probe=True)
KVM = HostProfile("kvm", "/usr/bin/qemu-system-x86_64")
FIRM = HostProfile("kvm", "/usr/bin/qemu-system-x86_64", firmwares=Firmwares(("pc", "q35"), ("pc", "q35"), ("q35",)))
UEFI = {"hw_firmware_type": "uefi"}
PROCESS = ContainerProcess(
    ("/sbin/start", "--flag", "<a & b>"), (("PATH", "/usr/bin:/bin"), ("HOME", "/root")), "/srv", 100, 101
)
CD = LocalImage("cd", Path("/cache/install.iso"), "iso", 8 << 30)
DISK = LocalImage("i", Path("/cache/disk.qcow2"), "qcow2", 1 << 20)

DISKS = LocalDisks((Ephemeral(5), Ephemeral(1, "ext3")), 512)
RESCUE = LocalImage("rescue", Path("/cache/rescue.img"), "ami", 8 << 20, Path("/cache/kernel"), Path("/cache/ramdisk"))


def container_xml(spec: GuestSpec, process: ContainerProcess = PROCESS) -> str:
    return container.to_xml(spec, process, str(INSTANCE.container_root), "/state/libvirt/nova-lite-lxc", 1_065_536)


CASES = {
    "vm-kernel-tcg": lambda: vm.to_xml(guest_spec(VM, config_drive=Path("/state/c.iso")), INSTANCE, TCG),
    "vm-disk-kvm": lambda: vm.to_xml(guest_spec(VM, image=DISK), INSTANCE, KVM),
    "vm-all-asked": lambda: vm.to_xml(
        guest_spec(
            VM,
            image=DISK,
            properties={"hw_qemu_guest_agent": "yes", "hw_video_model": "virtio"},
            extra_specs={"nova_lite:max_vcpus": "4", "nova_lite:max_memory_mb": "1024"},
        ),
        INSTANCE,
        KVM,
    ),
    "vm-no-virtio": lambda: vm.to_xml(
        guest_spec(
            VM,
            image=DISK,
            properties={"hw_disk_bus": "ide", "hw_vif_model": "e1000"},
            config_drive=Path("/state/c.iso"),
        ),
        INSTANCE,
        KVM,
    ),
    "vm-scsi": lambda: vm.to_xml(guest_spec(VM, image=DISK, properties={"hw_disk_bus": "scsi"}), INSTANCE, KVM, RESCUE),
    "vm-iso": lambda: vm.to_xml(guest_spec(VM, image=CD), INSTANCE, KVM),
    "vm-rescue-iso": lambda: vm.to_xml(guest_spec(VM, image=DISK), INSTANCE, KVM, CD),
    "vm-rescue": lambda: vm.to_xml(guest_spec(VM, image=DISK), INSTANCE, TCG, RESCUE),
    "vm-uefi": lambda: vm.to_xml(guest_spec(VM, image=DISK, properties=UEFI), INSTANCE, FIRM),
    "vm-uefi-rescue": lambda: vm.to_xml(guest_spec(VM, image=DISK, properties=UEFI), INSTANCE, FIRM, RESCUE),
    "vm-q35-secure": lambda: vm.to_xml(
        guest_spec(VM, image=CD, properties=UEFI | {"os_secure_boot": "required"}, config_drive=Path("/state/c.iso")),
        INSTANCE,
        FIRM,
    ),
    "unikernel-tcg": lambda: unikernel.to_xml(
        guest_spec(UNIKERNEL, command_line="ip=10.0.0.5/24 name=demo"), INSTANCE, TCG, from_disk=False
    ),
    "unikernel-disk-kvm": lambda: unikernel.to_xml(guest_spec(UNIKERNEL, image=DISK), INSTANCE, KVM, from_disk=True),
    "container": lambda: container_xml(guest_spec(CONTAINER)),
    "vm-local-disks": lambda: vm.to_xml(
        guest_spec(VM, image=DISK, disks=DISKS, config_drive=Path("/state/c.iso")), INSTANCE, KVM
    ),
    "vm-local-disks-sata": lambda: vm.to_xml(
        guest_spec(
            VM,
            image=CD,
            disks=DISKS,
            config_drive=Path("/state/c.iso"),
            properties={"hw_disk_bus": "sata", "hw_cdrom_bus": "sata"},
        ),
        INSTANCE,
        KVM,
    ),
    "unikernel-local-disks": lambda: unikernel.to_xml(
        guest_spec(UNIKERNEL, disks=LocalDisks((Ephemeral(5),))), INSTANCE, TCG, from_disk=False
    ),
    "container-swap": lambda: container.to_xml(
        guest_spec(CONTAINER, disks=DISKS), PROCESS, "/root", "/launcher", 1_065_536, with_swap=True
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_definition_is_the_golden_one(name: str) -> None:
    made = ET.canonicalize(CASES[name](), strip_text=True)
    root = ET.fromstring(made)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode") + "\n"
    path = GOLDEN / f"{name}.xml"
    if os.environ.get("GOLDEN_WRITE"):
        path.write_text(text)
    assert ET.canonicalize(path.read_text(), strip_text=True) == made


WORDS = ("<x/>", "&amp;", "]]>", "'\"", "</name><devices>", "ü", "\U0001f600", "a\nb", "%s$(id)`id`")


def tags(document: str) -> list[str]:
    return [element.tag for element in ET.fromstring(document).iter()]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40) | st.sampled_from(WORDS))
def test_hostile_text_stays_text(word: str) -> None:
    for kind, make in (
        (VM, lambda spec: vm.to_xml(spec, INSTANCE, TCG)),
        (UNIKERNEL, lambda spec: unikernel.to_xml(spec, INSTANCE, TCG, from_disk=False)),
        (CONTAINER, container_xml),
    ):
        plain = make(guest_spec(kind, command_line="x"))
        # U+FFFE and U+FFFF are no XML characters; they must be refused, and nothing else.
        try:
            hostile = make(guest_spec(kind, name=word, hostname=word, project_id=word, command_line="x" + word))
        except DriverError:
            assert {"\ufffe", "\uffff"} & set(word)
            continue
        assert tags(hostile) == tags(plain)
    line = vm.command_line(guest_spec(VM, command_line="x" + word))
    try:
        document = ET.fromstring(vm.to_xml(guest_spec(VM, command_line="x" + word), INSTANCE, TCG))
    except DriverError:
        return
    # An XML parser reads a carriage return as a newline; nothing else changes.
    assert document.findtext("os/cmdline") == line


@pytest.mark.parametrize("bad", ["\0", "\x1b[31m", "\x08", "\ud800", "\uffff"])
def test_what_xml_can_not_hold_is_refused(bad: str) -> None:
    with pytest.raises(DriverError, match="U\\+"):
        vm.to_xml(guest_spec(VM, command_line=f"a{bad}b"), INSTANCE, TCG)


def test_the_serial_console_is_always_on_the_command_line() -> None:
    assert vm.command_line(guest_spec(VM)) == "root=/dev/vda console=ttyS0"
    assert vm.command_line(guest_spec(VM, command_line="quiet")) == "quiet console=ttyS0"
    own = guest_spec(VM, properties={"os_command_line": "console=ttyS0,115200 quiet"})
    assert vm.command_line(own) == "console=ttyS0,115200 quiet"


@pytest.mark.parametrize("name", ["hw_disk_bus", "hw_scsi_model", "hw_cdrom_bus", "hw_vif_model"])
def test_hardware_that_no_vm_has_is_refused_by_name(name: str) -> None:
    with pytest.raises(DriverError, match=f"{name} is 'xen'.*there are"):
        vm.to_xml(guest_spec(VM, image=DISK, properties={name: "xen"}), INSTANCE, KVM)


def test_a_cd_without_room_for_a_disk_is_all_that_there_is() -> None:
    document = vm.to_xml(guest_spec(VM, image=CD, disk_gb=0), INSTANCE, TCG)
    assert [disk.get("device") for disk in ET.fromstring(document).iterfind("devices/disk")] == ["cdrom"]


def test_a_rescue_has_the_root_disk_alone_beside_its_own() -> None:
    document = ET.fromstring(vm.to_xml(guest_spec(VM, image=DISK, disks=DISKS), INSTANCE, KVM, RESCUE))
    files = [str(source.get("file")).rpartition("/")[2] for source in document.iterfind("devices/disk/source")]
    assert files == ["disk.rescue", "disk"]


def test_an_ide_bus_has_room_for_four_drives() -> None:
    ide = {"hw_disk_bus": "ide"}
    fits = guest_spec(
        VM, image=DISK, disks=LocalDisks((Ephemeral(1),), 64), properties=ide, config_drive=Path("/c.iso")
    )
    document = ET.fromstring(vm.to_xml(fits, INSTANCE, KVM))
    assert [target.get("dev") for target in document.iterfind("devices/disk/target")] == ["hda", "hdb", "hdc", "hdd"]
    with pytest.raises(DriverError, match=r"IDE bus has room for 4 drives.*would have 5"):
        vm.to_xml(guest_spec(VM, image=DISK, disks=DISKS, properties=ide, config_drive=Path("/c.iso")), INSTANCE, KVM)


def test_a_kernel_without_a_disk_gets_none() -> None:
    image = LocalImage("i", Path("/cache/kernel"), "raw", 0, kernel=Path("/cache/kernel"))
    assert "disk" not in tags(vm.to_xml(guest_spec(VM, image=image, disk_gb=0), INSTANCE, TCG))


def test_a_unikernel_is_told_from_a_disk_by_its_first_bytes(tmp_path: Path) -> None:
    def image(head: bytes, disk_format: str = "raw") -> LocalImage:
        path = tmp_path / "image"
        path.write_bytes(head)
        return LocalImage("i", path, disk_format, len(head))

    assert not unikernel.boots_from_disk(image(b"\x7fELF" + bytes(100)))
    assert not unikernel.boots_from_disk(image(bytes(0x202) + b"HdrS" + bytes(100)))
    assert not unikernel.boots_from_disk(image(bytes(4096) + (0x1BADB002).to_bytes(4, "little")))
    assert unikernel.boots_from_disk(image(bytes(510) + b"\x55\xaa"))
    assert unikernel.boots_from_disk(image(b"", "qcow2"))
    assert unikernel.boots_from_disk(image(b"\x7fELF"), "disk")
    with pytest.raises(DriverError, match="kernel or disk"):
        unikernel.boots_from_disk(image(b""), "floppy")


def test_a_domain_is_ours_by_its_metadata_and_only_with_its_own_id() -> None:
    element = ET.tostring(identity.element(guest_spec(VM)), encoding="unicode")
    found = identity.parse(element, SERVER_ID)
    assert found == identity.GuestIdentity(SERVER_ID, VM, "project-1")
    assert identity.parse(element, "99999999-2222-4333-8444-555555555555") is None
    assert identity.parse("<other/>", SERVER_ID) is None
    assert identity.parse("no xml", SERVER_ID) is None


def test_a_container_keeps_no_capability_that_reaches_the_host() -> None:
    document = ET.fromstring(container_xml(guest_spec(CONTAINER, image=IMAGES[CONTAINER])))
    policy = document.find("features/capabilities")
    assert policy is not None
    assert policy.get("policy") == "deny"
    kept = {element.tag for element in policy}
    assert not kept & {
        "sys_admin",
        "sys_module",
        "sys_rawio",
        "sys_ptrace",
        "sys_time",
        "net_admin",
        "mknod",
        "mac_admin",
    }
    assert [element.get("target") for element in document.findall("idmap/*")] == ["1065536", "1065536"]
    sources = [element.find("source").attrib for element in document.findall("devices/filesystem")]
    assert [source["dir"] for source in sources if "dir" in source] == [str(INSTANCE.container_root)]

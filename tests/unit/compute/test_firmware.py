"""What an image's properties and a flavor say about firmware and machine, and which traits a host needs for it."""

from __future__ import annotations

import pytest

from nova_lite.compute import firmware, traits
from nova_lite.compute.firmware import DISABLED, OPTIONAL, REQUIRED, Firmware
from nova_lite.compute.kinds import CONTAINER, UNIKERNEL, VM
from nova_lite.compute.traits import Wanted
from nova_lite.errors import Invalid

UEFI = {"hw_firmware_type": "uefi"}
STRICT = {"os:secure_boot": "required"}


@pytest.mark.parametrize(
    ("properties", "specs", "wanted", "family"),
    [
        ({}, {}, Firmware(), ""),
        ({"hw_firmware_type": "BIOS", "hw_machine_type": "pc"}, {}, Firmware(machine="pc"), "pc"),
        (UEFI | {"hw_machine_type": "pc-q35-7.2"}, {}, Firmware(True, "pc-q35-7.2"), "q35"),
        ({"hw_machine_type": "pc-i440fx-7.2"}, {}, Firmware(machine="pc-i440fx-7.2"), "pc"),
        (UEFI | {"os_secure_boot": "required"}, {}, Firmware(True, "", REQUIRED), "q35"),
        (UEFI | {"os_secure_boot": "optional"}, {}, Firmware(True, "", OPTIONAL), ""),
        (UEFI | {"os_secure_boot": "optional"}, STRICT, Firmware(True, "", REQUIRED), "q35"),
        (UEFI | {"os_secure_boot": "optional"}, {"os:secure_boot": "disabled"}, Firmware(True, "", DISABLED), ""),
        (UEFI, STRICT, Firmware(True, "", REQUIRED), "q35"),
        ({"os_secure_boot": "optional"}, {}, Firmware(False, "", OPTIONAL), ""),
    ],
)
def test_what_is_asked_for(properties: dict[str, str], specs: dict[str, str], wanted: Firmware, family: str) -> None:
    read = firmware.read(properties, specs)
    assert (read, read.family) == (wanted, family)


@pytest.mark.parametrize(
    ("kind", "properties", "specs", "words"),
    [
        (VM, {"hw_firmware_type": "coreboot"}, {}, "hw_firmware_type is 'coreboot'; there are bios, uefi"),
        (VM, {"hw_machine_type": "virt"}, {}, "hw_machine_type is 'virt'"),
        (VM, {"hw_machine_type": "pc-q35-7.2 x"}, {}, "hw_machine_type"),
        (VM, UEFI | {"os_secure_boot": "yes"}, {}, "os_secure_boot is 'yes'; there are disabled, optional, required"),
        (
            VM,
            {"os_secure_boot": "required"},
            {},
            "(image property os_secure_boot=required) needs an image with hw_firmware_type",
        ),
        (VM, {}, STRICT, "(extra spec os:secure_boot=required) needs an image with hw_firmware_type=uefi"),
        (VM, UEFI | {"hw_machine_type": "pc"}, STRICT, "needs hw_machine_type=q35"),
        (
            VM,
            UEFI | {"os_secure_boot": "disabled"},
            STRICT,
            "os_secure_boot=disabled and the flavor os:secure_boot=required",
        ),
        (VM, UEFI | {"kernel_id": "k"}, STRICT, "no kernel of kernel_id"),
        (UNIKERNEL, UEFI, {}, "makes a unikernel"),
        (CONTAINER, UEFI, {}, "makes a container"),
    ],
)
def test_what_can_never_be_is_named(kind: str, properties: dict[str, str], specs: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid) as caught:
        firmware.check(kind, properties, specs)
    assert words in caught.value.message


def test_what_only_vms_have_is_passed_over_for_others() -> None:
    firmware.check(UNIKERNEL, {"hw_machine_type": "virt"}, STRICT)
    assert firmware.wanted(CONTAINER, {"hw_machine_type": "q35"}, STRICT) == Wanted()


def test_the_traits_of_its_host() -> None:
    assert firmware.wanted(VM, {}, {}) == Wanted()
    found = firmware.wanted(VM, UEFI | {"os_secure_boot": "required", "hw_machine_type": "q35"}, {})
    assert set(found.required) == {traits.UEFI, traits.SECURE_BOOT, traits.MACHINE_Q35}
    assert "(image property hw_firmware_type=uefi)" in found.required[traits.UEFI]
    assert set(firmware.wanted(VM, UEFI, STRICT).required) == {traits.UEFI, traits.SECURE_BOOT}
    assert set(firmware.wanted(VM, UEFI | {"os_secure_boot": "optional"}, {}).required) == {traits.UEFI}


def test_traits_that_are_named() -> None:
    specs = {
        f"trait:{traits.UEFI}": "required",
        f"trait_one:{traits.MACHINE_Q35}": "forbidden",
        "trait:CUSTOM_X": "required",
    }
    found = firmware.wanted(CONTAINER, {f"trait:{traits.MACHINE_PC}": "required"}, specs)
    assert set(found.required) == {traits.UEFI, traits.MACHINE_PC}
    assert found.forbidden == {traits.MACHINE_Q35}
    assert found.allows({traits.UEFI, traits.MACHINE_PC})
    assert not found.allows({traits.UEFI, traits.MACHINE_PC, traits.MACHINE_Q35})
    assert found.lacking({traits.UEFI, traits.MACHINE_PC}) == ""
    assert "with CUSTOM_MACHINE_TYPE_Q35" in found.lacking({traits.UEFI, traits.MACHINE_PC, traits.MACHINE_Q35})
    assert found.says().startswith("without UEFI") and found.says().endswith("or with CUSTOM_MACHINE_TYPE_Q35")

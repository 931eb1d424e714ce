"""Which machines and firmware a host's VMs can have, by what libvirt says, and what one VM gets of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import guest_spec

from nova_lite.compute import traits
from nova_lite.virt.driver import VM, DriverError, LocalImage
from nova_lite.virt.libvirt import firmware
from nova_lite.virt.libvirt.firmware import Firmwares, Machine

HOST = """<capabilities><guest><os_type>hvm</os_type><arch name="i686"><machine>isapc</machine></arch></guest>
  <guest><os_type>hvm</os_type><arch name="x86_64"><machine>pc-i440fx-7.2</machine><machine canonical="pc-i440fx-7.2">pc</machine>
  <machine>pc-q35-7.2</machine><machine canonical="pc-q35-7.2">q35</machine></arch></guest></capabilities>"""
ALL = Firmwares(("pc-i440fx-7.2", "pc", "pc-q35-7.2", "q35"), ("pc", "q35"), ("q35",))
DISK = LocalImage("i", Path("/cache/disk.qcow2"), "qcow2", 1 << 20)
KERNEL = replace(DISK, kernel=Path("/cache/kernel"))
UEFI = {"hw_firmware_type": "uefi"}


def domain(firmwares: str = "efi", secure: str = "yes no", supported: str = "yes") -> str:
    """Return what libvirt 9 says of a machine, in short."""
    first, second = ("".join(f"<value>{word}</value>" for word in words.split()) for words in (firmwares, secure))
    return f"""<domainCapabilities><os supported="{supported}"><enum name="firmware">{first}</enum>
      <loader supported="yes"><value>/usr/share/OVMF/OVMF_CODE_4M.fd</value><enum name="secure">{second}</enum></loader>
    </os></domainCapabilities>"""


@pytest.mark.parametrize(
    ("domains", "uefi", "secure"),
    [
        ({"pc": domain(secure="no"), "q35": domain()}, ("pc", "q35"), ("q35",)),
        ({"pc": domain(secure="no"), "q35": domain(secure="no")}, ("pc", "q35"), ()),
        ({"pc": domain(""), "q35": domain("")}, (), ()),
        ({"pc": domain("bios"), "q35": domain(supported="no")}, (), ()),
        ({"pc": "<domainCapabilities/>"}, (), ()),
        ({}, (), ()),
    ],
)
def test_what_libvirt_says(domains: dict[str, str], uefi: tuple[str, ...], secure: tuple[str, ...]) -> None:
    assert firmware.read(HOST, domains) == Firmwares(ALL.machines, uefi, secure)


def test_traits_and_what_is_missing() -> None:
    assert set(ALL.traits()) == set(traits.WORDS)
    assert ALL.missing() == {}
    assert Firmwares().traits() == (traits.MACHINE_PC,)
    assert set(Firmwares().missing()) == {"vm.uefi", "vm.secure_boot"}
    assert "ovmf" in Firmwares().missing()["vm.uefi"]


@pytest.mark.parametrize(
    ("properties", "machine"),
    [
        ({}, Machine("pc")),
        ({"hw_machine_type": "q35"}, Machine("q35", is_q35=True)),
        ({"hw_machine_type": "pc-i440fx-7.2"}, Machine("pc-i440fx-7.2")),
        (UEFI, Machine("pc", uefi=True)),
        (UEFI | {"hw_machine_type": "pc-q35-7.2"}, Machine("pc-q35-7.2", is_q35=True, uefi=True)),
        (UEFI | {"os_secure_boot": "required"}, Machine("q35", True, True, True)),
        (UEFI | {"os_secure_boot": "optional"}, Machine("q35", True, True, True)),
        (UEFI | {"os_secure_boot": "optional", "hw_machine_type": "pc"}, Machine("pc", uefi=True)),
        ({"os_secure_boot": "optional"}, Machine("pc")),
    ],
)
def test_what_one_gets(properties: dict[str, str], machine: Machine) -> None:
    assert firmware.choose(guest_spec(VM, image=DISK, properties=properties), ALL, "pc") == machine


def test_optional_secure_boot_where_there_is_none() -> None:
    spec = guest_spec(VM, image=DISK, properties=UEFI | {"os_secure_boot": "optional"})
    assert firmware.choose(spec, replace(ALL, secure_boot=()), "pc") == Machine("pc", uefi=True)
    assert firmware.choose(spec, ALL, "pc", KERNEL) == Machine("pc", uefi=True)


@pytest.mark.parametrize(
    ("properties", "host", "rescue", "words"),
    [
        (UEFI, Firmwares(), None, "ovmf"),
        (UEFI | {"os_secure_boot": "required"}, replace(ALL, secure_boot=()), None, "secure boot"),
        (UEFI | {"os_secure_boot": "required"}, ALL, KERNEL, "kernel_id"),
        ({"hw_machine_type": "pc-q35-9.9"}, ALL, None, "hw_machine_type is 'pc-q35-9.9'"),
        ({"hw_machine_type": "microvm"}, ALL, None, "hw_machine_type is 'microvm'"),
    ],
)
def test_what_this_host_has_not(
    properties: dict[str, str], host: Firmwares, rescue: LocalImage | None, words: str
) -> None:
    with pytest.raises(DriverError) as caught:
        firmware.choose(guest_spec(VM, image=DISK, properties=properties), host, "pc", rescue)
    assert words in caught.value.message

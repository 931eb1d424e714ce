"""Which screens a host's VMs have, by what libvirt says of its QEMU and what the operator wants."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt import screens
from nova_lite.virt.libvirt.screens import Screens


def capabilities(graphics: str = "vnc spice", cards: str = "vga virtio qxl", supported: str = "yes") -> str:
    """Return what libvirt 9 says, in short."""
    types, models = ("".join(f"<value>{word}</value>" for word in words.split()) for words in (graphics, cards))
    return f"""<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><devices>
      <graphics supported="{supported}"><enum name="type">{types}</enum></graphics>
      <video supported="yes"><enum name="modelType">{models}</enum></video>
    </devices></domainCapabilities>"""


def test_both_where_there_are_both() -> None:
    assert screens.read(capabilities(), ("vnc", "spice")) == Screens(models=("vga", "virtio", "qxl"))


@pytest.mark.parametrize(
    ("seen", "wanted", "no_vnc", "no_spice"),
    [
        (capabilities("sdl vnc"), ("vnc", "spice"), "", "the QEMU of its host has no spice"),
        (capabilities(), ("vnc",), "", "[libvirt] screens of its host leaves spice out"),
        (capabilities(), ("spice",), "[libvirt] screens of its host leaves vnc out", ""),
        (
            capabilities(supported="no"),
            ("vnc", "spice"),
            "the QEMU of its host has no vnc",
            "the QEMU of its host has no spice",
        ),
        (
            "<domainCapabilities/>",
            ("vnc", "spice"),
            "the QEMU of its host has no vnc",
            "the QEMU of its host has no spice",
        ),
    ],
)
def test_what_is_missing_says_why(seen: str, wanted: tuple[str, ...], no_vnc: str, no_spice: str) -> None:
    found = screens.read(seen, wanted)
    assert (found.missing("vnc"), found.missing("spice")) == (no_vnc, no_spice)


def shown(model: str, seen: Screens) -> ET.Element:
    devices = ET.Element("devices")
    screens.show(devices, model, seen)
    return devices


def test_a_screen_is_shown_by_what_there_is_and_never_on_the_network() -> None:
    for seen, types in (
        (Screens(), ["vnc", "spice"]),
        (Screens(no_spice="none"), ["vnc"]),
        (Screens(no_vnc="none"), ["spice"]),
        (Screens("none", "none"), []),
    ):
        devices = shown("vga", seen)
        assert [graphics.get("type") for graphics in devices.findall("graphics")] == types
        assert {listen.get("type") for listen in devices.iterfind("graphics/listen")} <= {"socket"}
        assert len(devices.findall("channel[@type='spicevmc']")) == types.count("spice")
        assert len(devices.findall("video")) == 1


def test_a_card_that_this_host_has_not_is_refused() -> None:
    with pytest.raises(DriverError, match=r"no video card .qxl. here; there are vga, virtio$"):
        shown("qxl", screens.read(capabilities(cards="vga virtio"), ("vnc",)))

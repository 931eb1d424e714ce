"""How QEMU is to be run on a host is found out without leaving anything there, whenever the one who asks dies."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from driver_fixtures import NEEDS_LIBVIRT, until
from test_driver_connection import OwnLibvirtd, libvirtd  # noqa: F401

from nova_lite.virt.abilities import Change
from nova_lite.virt.libvirt import elements, profile_source
from nova_lite.virt.libvirt.connection import Connection
from nova_lite.virt.libvirt.guest_events import GuestEvents
from nova_lite.virt.libvirt.profile_source import ProfileSource

pytestmark = NEEDS_LIBVIRT


def find(own: OwnLibvirtd, directory: Path) -> ProfileSource:
    connection = Connection(f"qemu+unix:///system?socket={own.socket}", 60.0)
    return ProfileSource(connection, "qemu", "", directory / "accelerator.json", ())


def test_no_domain_is_ever_defined_for_it(libvirtd: OwnLibvirtd, tmp_path: Path) -> None:  # noqa: F811
    changes: list[Change] = []
    events = GuestEvents(f"qemu+unix:///system?socket={libvirtd.socket}", changes.append)
    events.start()
    until(lambda: changes == [Change(None, None)])  # listened to
    source = find(libvirtd, tmp_path)
    profile = source.get()
    assert profile.virt_type == "qemu"
    # Events come in the order of what they tell: a domain that is made and removed now closes the list.
    marker = source._connection.call("mark", define_and_undefine)
    until(lambda: changes[-1] == Change(marker, None))
    events.stop()
    assert changes == [Change(None, None), Change(marker, None)]


def test_the_shortcut_is_used_where_libvirt_knows_it_alone(
    libvirtd: OwnLibvirtd,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find(libvirtd, tmp_path).get().skip_cpu_probe is True

    ask = elements.without_cpu_probe

    def unknown(root: ET.Element) -> None:
        ask(root)
        for element in root.iter():
            if element.get("capability"):
                element.set("capability", "no-such-capability")

    monkeypatch.setattr(profile_source.elements, "without_cpu_probe", unknown)
    assert find(libvirtd, tmp_path).get().skip_cpu_probe is False


def define_and_undefine(connection: object) -> str:
    root = ET.Element("domain", {"type": "qemu"})
    elements.add(root, "name", "nl-test-marker")
    elements.add(root, "memory", 16, unit="MiB")
    elements.add(elements.add(root, "os"), "type", "hvm", arch="x86_64", machine="pc")
    domain = connection.defineXML(elements.text(root))  # type: ignore[attr-defined]
    uuid = str(domain.UUIDString())
    domain.undefine()
    return uuid

"""Real guests that somebody else defined become ours without being stopped, and are never given another disk."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import (  # noqa: E402, F401
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    make_driver,
    make_spec,
    says,
    state,
    until,
)

import nova_lite.conf  # noqa: E402
from nova_lite.cmd import manage_host  # noqa: E402
from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.virt.driver import CONTAINER, VM, DriverError, GuestNotFound  # noqa: E402

pytestmark = NEEDS_LIBVIRT


@pytest.fixture
def stranger(images: Path) -> Iterator[tuple[str, str]]:
    """Run a VM as virt-install might have made it, and give its name and UUID; end it if nobody has."""
    ident = str(uuid.uuid4())
    name = f"nlt-foreign-{ident[:8]}"
    connection = libvirt.open("qemu:///system")
    domain = connection.defineXML(
        f"<domain type='qemu'><name>{name}</name><uuid>{ident}</uuid><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64'>hvm</type><kernel>{images}/tiny/tiny-kernel</kernel>"
        f"<initrd>{images}/tiny/tiny-ramdisk</initrd><cmdline>console=ttyS0 no_timer_check</cmdline></os>"
        "<features><acpi/></features><devices><serial type='pty'/></devices></domain>"
    )
    domain.create()
    yield name, ident
    try:
        domain = connection.lookupByUUIDString(ident)
    except libvirt.libvirtError:
        return
    if domain.isActive():
        domain.destroy()
    domain.undefine()


def test_a_running_vm_is_adopted_and_goes_on(driver, make_spec, stranger, state: Path) -> None:
    name, ident = stranger
    number = libvirt.open("qemu:///system").lookupByName(name).ID()
    seen = driver.describe(name)
    assert (seen["uuid"], seen["kind"], seen["vcpus"], seen["memory_mb"]) == (ident, VM, 1, 128)
    assert (seen["server_id"], seen["power"], seen["persistent"]) == (None, PowerState.RUNNING, True)
    with pytest.raises(DriverError, match=ident):
        driver.adopt(name, str(uuid.uuid4()))
    for _ in range(2):
        driver.adopt(name, ident)
    assert libvirt.open("qemu:///system").lookupByName(name).ID() == number, "it was started anew"
    assert (ident, VM) in [(guest.server_id, guest.kind) for guest in driver.observe()]
    assert driver.describe(name)["server_id"] == ident
    spec = replace(make_spec(VM), server_id=ident)
    until(lambda: b"login" in says(driver, spec))
    driver.pause(ident)
    driver.unpause(ident)
    with socket.socket(socket.AF_UNIX) as line:
        # Its terminal is read into the log; who sits there sees what it writes, and types.
        line.connect(str(driver.console_target(ident, "serial").unix_path))
        line.settimeout(120)
        line.sendall(b"\r")
        seen = b""
        while b"login" not in seen:
            seen += line.recv(4096)
    for call in (lambda: driver.rebuild(spec), lambda: driver.resize(spec), lambda: driver.rescue(spec, spec.image)):
        with pytest.raises(DriverError, match="adopted"):
            call()
    before = says(driver, spec)
    driver.reboot(spec, hard=True, grace_s=0)
    assert driver.recover(spec) == PowerState.RUNNING
    assert not (state / "instances" / ident / "disk").exists(), "it was given a disk of ours"
    until(lambda: len(says(driver, spec)) > len(before))
    driver.destroy(ident)
    with pytest.raises(GuestNotFound):
        driver.describe(name)


def test_an_adopted_guest_is_let_go_and_goes_on(driver, stranger, state: Path) -> None:
    name, ident = stranger
    driver.disown(ident)
    driver.adopt(name, ident)
    number = libvirt.open("qemu:///system").lookupByName(name).ID()
    for _ in range(2):
        driver.disown(ident)
        assert driver.describe(name)["server_id"] is None
        assert ident not in [guest.server_id for guest in driver.observe()]
    domain = libvirt.open("qemu:///system").lookupByName(name)
    assert (domain.isActive(), domain.ID()) == (1, number)
    assert "urn:nova-lite" not in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    assert not (state / "instances" / ident).exists()
    driver.adopt(name, ident)
    assert driver.power(ident) == PowerState.RUNNING
    driver.destroy(ident)
    driver.disown(ident)


def test_a_cleaned_host_has_its_strangers_again(driver, stranger, make_spec, state: Path) -> None:
    name, ident = stranger
    driver.adopt(name, ident)
    spec = make_spec(VM)
    driver.spawn(spec)
    number = libvirt.open("qemu:///system").lookupByName(name).ID()
    conf = nova_lite.conf.load([], {"state_path": str(state), "libvirt.virt_type": "qemu"})
    failures: list[str] = []
    for keep_disks in (True, False):
        manage_host._end_guests(conf, failures, keep_disks=keep_disks)
        assert failures == []
        domain = libvirt.open("qemu:///system").lookupByName(name)
        assert (domain.isActive(), domain.ID()) == (1, number)
    assert driver.describe(name)["server_id"] is None
    assert [guest for guest in driver.observe() if guest.server_id == spec.server_id] == []


def test_what_was_made_here_is_not_let_go(driver, make_spec) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    with pytest.raises(DriverError, match="made here"):
        driver.disown(spec.server_id)
    assert driver.power(spec.server_id) == PowerState.RUNNING
    driver.destroy(spec.server_id)


def test_a_guest_that_does_not_run_is_not_adopted(driver, stranger) -> None:
    name, ident = stranger
    libvirt.open("qemu:///system").lookupByName(name).destroy()
    with pytest.raises(DriverError, match="start it"):
        driver.adopt(name, ident)
    assert ident not in [guest.server_id for guest in driver.observe()]
    with pytest.raises(GuestNotFound):
        driver.adopt("nlt-nobody", ident)


def test_a_container_is_adopted(driver, make_spec) -> None:
    image = make_spec.container_image("true")
    ident = str(uuid.uuid4())
    name = f"nlt-foreign-{ident[:8]}"
    domain = libvirt.open("lxc:///system").defineXML(
        f"<domain type='lxc'><name>{name}</name><uuid>{ident}</uuid><memory unit='MiB'>64</memory>"
        "<os><type>exe</type><init>/bin/sh</init><initarg>-c</initarg>"
        "<initarg>while :; do echo tick; sleep 0.3; done</initarg></os>"
        f"<devices><filesystem type='mount'><source dir='{image.rootfs}'/><target dir='/'/></filesystem>"
        "<console type='pty'/></devices></domain>"
    )
    domain.create()
    try:
        assert driver.describe(name)["kind"] == CONTAINER
        driver.adopt(name, ident)
        spec = replace(make_spec(CONTAINER), server_id=ident)
        until(lambda: b"tick" in says(driver, spec))
        driver.reboot(spec, hard=True, grace_s=0)
        assert driver.power(ident) == PowerState.RUNNING
        driver.destroy(ident)
        assert ident not in [guest.server_id for guest in driver.observe()]
    finally:
        with suppress(libvirt.libvirtError):
            domain.destroy()
            domain.undefine()

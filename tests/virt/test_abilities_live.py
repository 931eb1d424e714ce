"""Real guests are given more and less vCPUs and memory while they run."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import re
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import (  # noqa: E402, F401
    KINDS,
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
from spice_seat import COPY, Channel  # noqa: E402
from spice_seat import Seat as SpiceSeat  # noqa: E402

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.spice import Channel as Kind  # noqa: E402
from nova_lite.spice import Refusal  # noqa: E402
from nova_lite.virt.abilities import ConsoleTarget  # noqa: E402
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError  # noqa: E402

pytestmark = NEEDS_LIBVIRT


def totals(driver, spec) -> list[int]:
    return [int(number) for number in re.findall(rb"MemTotal: +(\d+) kB", says(driver, spec))]


def test_a_container_is_resized_at_once(driver, make_spec) -> None:
    spec = make_spec(CONTAINER, image=make_spec.container_image("while :; do sleep 0.3; cat /proc/meminfo; done"))
    driver.spawn(spec)
    until(lambda: 65536 in totals(driver, spec))
    for _ in range(2):
        driver.resize_live(replace(spec, vcpus=2, memory_mb=128))
    until(lambda: 131072 in totals(driver, spec))
    domain = libvirt.open("lxc:///system").lookupByUUIDString(spec.server_id)
    assert domain.schedulerParameters()["vcpu_quota"] == 200_000
    driver.resize_live(spec)
    assert domain.schedulerParameters()["vcpu_quota"] == 100_000
    driver.stop(spec.server_id, 0)
    with pytest.raises(DriverError, match="running"):
        driver.resize_live(spec)


def test_a_container_keeps_the_memory_that_it_holds(driver, make_spec) -> None:
    # A shell's variable of 48 MB, which nothing can be made of but memory.
    command = "held=$(head -c 48000000 /dev/zero | tr '\\0' x); echo hol''ds; sleep 1000; echo $held"
    image = make_spec.container_image(command)
    for applet in ("head", "tr"):
        (image.rootfs / "bin" / applet).symlink_to("/bin/busybox")
    spec = make_spec(CONTAINER, memory_mb=256, image=image)
    driver.spawn(spec)
    until(lambda: b"holds" in says(driver, spec))
    with pytest.raises(DriverError, match="hold more"):
        driver.resize_live(replace(spec, memory_mb=24))
    driver.resize_live(replace(spec, memory_mb=224))
    assert driver.power(spec.server_id) == PowerState.RUNNING


class Seat:
    """Somebody at a console."""

    def __init__(self, target: ConsoleTarget) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(str(target.unix_path))
        self.seen = b""

    def wait(self, text: bytes) -> None:
        while text not in self.seen:
            piece = self.socket.recv(4096)
            assert piece, self.seen
            self.seen += piece

    def type(self, text: bytes, answer: bytes) -> None:
        self.seen = b""
        self.socket.sendall(text)
        self.wait(answer)


def test_a_vm_is_resized_within_what_was_reserved(driver, make_spec) -> None:
    room = {"nova_lite:max_vcpus": "2", "nova_lite:max_memory_mb": "256"}
    spec = make_spec(VM, memory_mb=192, extra_specs=room)
    driver.spawn(spec)
    until(lambda: b"login" in says(driver, spec))
    domain = libvirt.open("qemu:///system").lookupByUUIDString(spec.server_id)
    assert domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE) == 1
    seat = Seat(driver.console_target(spec.server_id, "serial"))
    seat.type(b"\r", b"login:")
    seat.type(b"tiny\r", b"assword:")
    seat.type(b"gotiny\r", b"$")
    seat.type(b"su -\r", b"assword:")
    seat.type(b"gotiny\r", b"#")
    seat.type(b"c=/sys/devices/system/cpu; modprobe virtio_balloon; echo lo''aded\r", b"loaded")
    for _ in range(2):
        driver.resize_live(replace(spec, vcpus=2, memory_mb=256))
    assert domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE) == 2
    seat.type(b"until [ -d $c/cpu1 ]; do sleep 1; done; ls -d $c/cpu1\r", b"\n/sys/devices/system/cpu/cpu1")
    with pytest.raises(DriverError, match="max_vcpus"):
        driver.resize_live(replace(spec, vcpus=3))
    assert domain.schedulerParameters()["global_quota"] < 0
    for _ in range(2):
        driver.resize_live(replace(spec, vcpus=1, memory_mb=160))
    assert domain.info()[2] // 1024 == 160
    # Emulated vCPUs are not unplugged; together they get no more time than one.
    assert domain.schedulerParameters()["global_quota"] == 100_000
    assert driver._need(spec.server_id)[0].domains.size(spec.server_id) == (1, 160)
    driver.resize_live(replace(spec, vcpus=2, memory_mb=160))
    assert domain.schedulerParameters()["global_quota"] < 0
    assert b"loaded" in says(driver, spec), "the log stopped while somebody was at the console"
    seat.socket.close()
    again = Seat(driver.console_target(spec.server_id, "serial"))
    again.type(b"echo ag''ain\r", b"again")


def test_a_vm_without_a_balloon_says_so(driver, make_spec) -> None:
    spec = make_spec(VM, extra_specs={"nova_lite:max_memory_mb": "256"})
    driver.spawn(spec)
    with pytest.raises(DriverError, match="virtio_balloon"):
        driver.resize_live(spec)


def test_a_unikernel_and_a_container_have_a_serial_console(driver, make_spec) -> None:
    unikernel = make_spec(UNIKERNEL)
    driver.spawn(unikernel)
    Seat(driver.console_target(unikernel.server_id, "serial")).socket.close()
    spec = make_spec(CONTAINER, image=make_spec.container_image("echo shell; exec sh -i"))
    driver.spawn(spec)
    until(lambda: b"shell" in says(driver, spec))
    for _ in range(2):
        first = Seat(driver.console_target(spec.server_id, "serial"))
        second = Seat(driver.console_target(spec.server_id, "serial"))
        for seat in (first, second):  # has been let in once it gets an answer
            seat.type(b"\r", b"# ")
        first.type(b"echo he''llo\r", b"hello")
        second.wait(b"hello")
        first.socket.close()
        second.socket.close()
    assert says(driver, spec).count(b"hello") == 2
    driver.stop(spec.server_id, 0)
    with pytest.raises(DriverError, match="start it"):
        driver.console_target(spec.server_id, "serial")
    driver.start(spec)
    Seat(driver.console_target(spec.server_id, "serial")).type(b"echo ane''w\r", b"anew")


@pytest.mark.parametrize("model", ["", "virtio", "qxl"])
def test_a_vm_has_a_screen(driver, make_spec, model: str) -> None:
    spec = make_spec(VM, properties={"hw_video_model": model} if model else {})
    driver.spawn(spec)
    Seat(driver.console_target(spec.server_id, "novnc")).wait(b"RFB 003.008\n")
    target = driver.console_target(spec.server_id, "spice-html5")
    assert target.channels and not target.exclusive
    screen = SpiceSeat(str(target.unix_path))
    assert {(kind, 0) for kind in (Kind.DISPLAY, Kind.INPUTS, Kind.CURSOR)} <= screen.offered
    display, (width, height) = screen.look()
    assert width >= 640 and height >= 400
    display.until(COPY)
    stranger = Channel(str(target.unix_path))
    assert stranger.link(screen.session ^ 1, Kind.INPUTS) == Refusal.BAD_CONNECTION_ID
    # What comes second takes it over, as its user has a token of their own.
    SpiceSeat(str(target.unix_path)).close()
    screen.main.ended()
    driver.suspend(spec.server_id)
    driver.resume(spec)
    again = SpiceSeat(str(driver.console_target(spec.server_id, "spice-html5").unix_path))
    assert again.look()[1][0] >= 640
    again.close()


def test_a_host_may_show_screens_by_one_protocol_alone(driver, make_spec, state: Path) -> None:
    asked = make_spec(VM, properties={"hw_video_model": "vga"})
    with_vnc = make_driver(state, **{"libvirt.screens": ["vnc"]})
    assert "leaves spice out" in with_vnc.capabilities().missing["vm.console.spice-html5"]
    with_vnc.spawn(asked)
    Seat(with_vnc.console_target(asked.server_id, "novnc")).wait(b"RFB 003.008\n")
    with pytest.raises(DriverError, match="leaves spice out"):
        with_vnc.console_target(asked.server_id, "spice-html5")
    assert "vm.console.spice-html5" not in driver.capabilities().missing
    with pytest.raises(DriverError, match="a hard reboot gives it"):
        driver.console_target(asked.server_id, "spice-html5")
    driver.reboot(asked, hard=True, grace_s=0)
    SpiceSeat(str(driver.console_target(asked.server_id, "spice-html5").unix_path)).close()


def test_a_screen_that_is_not_there_is_refused(driver, make_spec) -> None:
    spec = make_spec(VM, properties={"hw_video_model": "none"})
    driver.spawn(spec)
    for kind in ("novnc", "spice-html5"):
        with pytest.raises(DriverError, match="hw_video_model"):
            driver.console_target(spec.server_id, kind)
    with pytest.raises(DriverError, match="video card"):
        driver.spawn(make_spec(VM, properties={"hw_video_model": "voodoo"}))

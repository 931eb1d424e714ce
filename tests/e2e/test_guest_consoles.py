"""Remote consoles of real guests, through the front door's proxy and the host's relay."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import spice_seat
from oci_variant import with_program
from private_host import PATIENCE, wait_for
from real_cloud import ENDPOINT, KINDS, Cloud, fetch
from test_distributed import distributed

from nova_lite.cli import attach
from nova_lite.cli.faults import CommandError
from nova_lite.spice import Channel

CAPS_LOCK = 0x3A
ECHO = ["/bin/sh", "-c", 'echo ready; while read line; do echo "got $line"; done']


def open_console(cloud: Cloud, server_id: str, protocol: str = "serial", kind: str = "serial") -> str:
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    path = f"/compute/v2.1/servers/{server_id}/remote-consoles"
    answer = cloud.ask("POST", path, body, user="demo", headers={"OpenStack-API-Version": "compute 2.6"})
    assert answer.status == 200, (answer, cloud.tail())
    return str(answer.body["remote_console"]["url"])


class Seat:
    """Somebody at a console."""

    def __init__(self, url: str) -> None:
        self.line = attach.Line(url)
        self.line._socket.settimeout(1)
        self.seen = b""

    def until(self, wanted: bytes, limit: float = 40, nudge: bytes = b"") -> None:
        """Read until *wanted* is there; *nudge* is typed each second meanwhile."""
        deadline = time.monotonic() + PATIENCE * limit
        while wanted not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if nudge:
                self.line.write(nudge)
            piece = self.line.read() if self._ready() else b""
            assert piece is not None, (self.seen, self.line.reason)
            self.seen += piece

    def _ready(self) -> bool:
        import select

        return self.line.pending() or bool(select.select([self.line], [], [], 1)[0])

    def ended(self) -> bool:
        """Tell whether the console is closed."""
        return self._ready() and self.line.read() is None


def upload(cloud: Cloud, name: str, archive: Path) -> str:
    body = {"name": name, "disk_format": "raw", "container_format": "docker"}
    image_id = str(cloud.ask("POST", "/image/v2/images", body, user="demo").body["id"])
    octets = {"Content-Type": "application/octet-stream"}
    path = f"/image/v2/images/{image_id}/file"
    assert cloud.ask("PUT", path, archive.read_bytes(), user="demo", headers=octets).status == 204
    return image_id


@pytest.fixture(scope="module")
def echo_archive(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    entry = next(item for item in json.loads(images.read_text()) if item["name"] == "busybox")
    archive = tmp_path_factory.mktemp("oci") / "echo.tar"
    with_program(images.parent / entry["file"], archive, ECHO)
    return archive


@pytest.fixture
def make(cloud: Cloud) -> Iterator[Callable[..., str]]:
    """Make servers, and delete them after the test."""
    made: list[str] = []

    def one(name: str, kind: str, **more: object) -> str:
        made.append(cloud.create(name, kind, **more))
        cloud.await_status(made[-1], "ACTIVE")
        return made[-1]

    yield one
    cloud.delete(made)


def sit_at_a_vm(cloud: Cloud, server_id: str) -> Seat:
    seat = Seat(open_console(cloud, server_id))
    seat.until(b"login:", 60, nudge=b"\r")
    seat.line.write(b"nobody-of-this-name\r")
    seat.until(b"nobody-of-this-name", 20)
    seat.until(b"assword:", 20)
    return seat


def test_a_vms_getty_answers_and_the_last_who_comes_stays(cloud: Cloud, make: Callable[..., str]) -> None:
    server_id = make("console-vm", "vm")
    first = sit_at_a_vm(cloud, server_id)
    second = Seat(open_console(cloud, server_id))
    wait_for("the first to be sent away", first.ended, 10)
    second.until(b"login:", 30, nudge=b"\r")
    assert "nobody-of-this-name" in cloud.console(server_id), "the log has what was seen"
    late = open_console(cloud, server_id)
    assert cloud.act(server_id, **{"os-stop": None}).status == 202
    cloud.await_status(server_id, "SHUTOFF")
    wait_for("the console of a stopped guest to end", second.ended, 10)
    with pytest.raises(CommandError, match="409"):
        attach.Line(late)


def test_a_container_reads_what_is_typed(cloud: Cloud, make: Callable[..., str], echo_archive: Path) -> None:
    server_id = make("console-container", "container", imageRef=upload(cloud, "echo", echo_archive))
    seats = [Seat(open_console(cloud, server_id)) for _ in range(2)]
    for seat in seats:  # who came a moment too late types it again
        seat.until(b"got hello there", nudge=b"hello there\n")
    cloud.await_console(server_id, "got hello there")
    assert cloud.act(server_id, **{"os-stop": None}).status == 202
    wait_for("its console to end", seats[0].ended, 30)


def test_a_unikernels_line_is_there(cloud: Cloud, make: Callable[..., str]) -> None:
    server_id = make("console-unikernel", "unikernel")
    seat = Seat(open_console(cloud, server_id))
    seat.line.write(b"it does not read\r")
    assert "console-unikernel" in fetch(cloud.address(server_id))
    assert not seat.ended()
    seat.line.close()


def test_a_screen_speaks_rfb(cloud: Cloud, make: Callable[..., str]) -> None:
    server_id = make("console-screen", "vm")
    path = parse_qs(urlsplit(open_console(cloud, server_id, "vnc", "novnc")).query)["path"][0]
    seat = Seat("ws" + ENDPOINT.removeprefix("http") + path)
    seat.until(b"RFB 003.008\n")
    seat.line.write(b"RFB 003.008\n")
    seat.until(b"RFB 003.008\n\x01\x01")
    seat.line.write(b"\x01")
    seat.until(b"\x01\x01" + bytes(4))
    seat.line.write(b"\x01")
    seat.until(b"QEMU")


def test_a_screen_speaks_spice_on_all_its_channels(cloud: Cloud, make: Callable[..., str]) -> None:
    server_id = make("console-spice", "vm")
    place = spice_seat.websocket(open_console(cloud, server_id, "spice", "spice-html5"), ENDPOINT)
    seat = spice_seat.Seat(place)
    display, (width, height) = seat.look()
    assert width >= 640 and height >= 400
    copy = display.until(spice_seat.COPY)
    assert struct.unpack_from("<5i", copy)[:3] == (0, 0, 0), "the first surface, from its corner"
    inputs = seat.open(Channel.INPUTS)
    inputs.until(spice_seat.INPUTS_INIT)
    seat.open(Channel.CURSOR)
    cloud.await_console(server_id, "login:")
    seat.type(inputs, CAPS_LOCK)
    # The guest's own keyboard driver lights its lamp; it has put all of them out when it came up.
    while not struct.unpack("<H", inputs.until(spice_seat.MODIFIERS))[0] & 4:
        pass
    stranger = spice_seat.Channel(place)
    with pytest.raises(spice_seat.Ended, match="Token not found"):
        stranger.link(0, Channel.MAIN)
    stranger = spice_seat.Channel(place)
    with pytest.raises(spice_seat.Ended, match="Token not found"):
        stranger.link(seat.session, Channel.DISPLAY)
    assert cloud.act(server_id, **{"os-stop": None}).status == 202
    cloud.await_status(server_id, "SHUTOFF")
    display.ended()
    with pytest.raises(CommandError, match="404"):
        attach.Line(place)


@pytest.mark.timeout(600)
def test_from_another_process_over_the_bus(images: Path, echo_archive: Path) -> None:
    with distributed(images, "postgresql") as (cloud, _broker):
        image = upload(cloud, "echo", echo_archive)
        ids = {
            kind: cloud.create(f"far-{kind}", kind, **({"imageRef": image} if kind == "container" else {}))
            for kind in KINDS
        }
        for server_id in ids.values():
            cloud.await_status(server_id, "ACTIVE", 60)
        seat = Seat(open_console(cloud, ids["container"]))
        seat.line.write(b"hello there\n")
        seat.until(b"got hello there")
        sit_at_a_vm(cloud, ids["vm"]).line.close()
        url = open_console(cloud, ids["unikernel"])
        attach.Line(url).close()
        with pytest.raises(CommandError, match="404"):
            attach.Line(url)
        cloud.delete(ids.values(), 60)

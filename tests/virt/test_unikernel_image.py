"""Build `hello-unikernel`, boot it under a bare QEMU, and talk to it over a real tap device.

Each guest has a network namespace of its own. Whatever must send from inside it is a verb of unikernel_station.py, which is run
there as a program.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "devstack" / "images" / "unikernel"
STATION = Path(__file__).with_name("unikernel_station.py")
SIZE_LIMIT = 200_000
GUEST_IP = "10.0.0.5"
STATION_IP = "10.0.0.1"
GUEST_MAC = "fa:16:3e:00:00:05"
COMMAND_LINE = f"ip={GUEST_IP}/24 gw={STATION_IP} name=demo-unikernel quiet"
TAP = "tap0"

PC = ("-M", "pc")
Q35 = ("-M", "q35")
TRANSITIONAL = ("-device", f"virtio-net-pci,netdev=net,mac={GUEST_MAC}")
LEGACY = ("-device", f"virtio-net-pci,netdev=net,mac={GUEST_MAC},disable-modern=on,rx_queue_size=1024")
MODERN = ("-device", f"virtio-net-pci,netdev=net,mac={GUEST_MAC},disable-legacy=on,host_mtu=1450")
BEHIND_PORT = (
    "-device",
    "pcie-root-port,id=slot0,chassis=1",
    "-device",
    f"virtio-net-pci,netdev=net,mac={GUEST_MAC},bus=slot0",
)


def _missing() -> str | None:
    """Give the reason why no guest can be built and booted here, or None."""
    if os.geteuid() != 0:
        return "needs root for a network namespace and a tap device"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    absent = [name for name in ("qemu-system-x86_64", "gcc", "make", "ip") if shutil.which(name) is None]
    return f"needs {', '.join(absent)}" if absent else None


pytestmark = pytest.mark.skipif(_missing() is not None, reason=str(_missing()))


@dataclass(frozen=True)
class Guest:
    """A running QEMU; `console` is the file behind its serial port."""

    pid: int
    namespace: str
    console: Path

    def station(self, verb: str, *arguments: str) -> dict[str, Any]:
        """Run a verb of the station in the guest's namespace and give its findings. Raises CalledProcessError."""
        command = ["ip", "netns", "exec", self.namespace, sys.executable, str(STATION)]
        command += [TAP, STATION_IP, GUEST_IP, GUEST_MAC, verb, *arguments]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=300)
        findings: dict[str, Any] = json.loads(done.stdout)
        return findings

    def least_share(self, seconds: float) -> float:
        """Give the least share of a processor that it has used of some spans of time; on a loaded machine it comes to rest later."""
        shares: list[float] = []
        while len(shares) < 10 and min(shares, default=1.0) >= 0.05:
            before, began = self.cpu_seconds(), time.monotonic()
            time.sleep(seconds)
            shares.append((self.cpu_seconds() - before) / (time.monotonic() - began))
        return min(shares)

    def cpu_seconds(self) -> float:
        """Give the processor time that QEMU has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _build(out: Path) -> Path:
    subprocess.run(["make", "-s", "-C", str(SOURCES), f"OUT={out}"], check=True, capture_output=True, timeout=300)
    return out / "hello-unikernel"


@contextmanager
def _namespace() -> Iterator[str]:
    """Make a network namespace with the tap device and the station's address in it, and remove it at the end."""
    name = f"uk-{os.getpid()}-{random.randrange(1 << 24):06x}"
    inside = ["ip", "-n", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run([*inside, "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, "tuntap", "add", "dev", TAP, "mode", "tap"], check=True)
        subprocess.run([*inside, "address", "add", f"{STATION_IP}/24", "dev", TAP], check=True)
        subprocess.run([*inside, "link", "set", TAP, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def _qemu(namespace: str, arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as errors:
        command = ["ip", "netns", "exec", namespace, "qemu-system-x86_64", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def _wait_for_line(process: subprocess.Popen[bytes], console: Path, log: Path) -> None:
    """Wait until the console holds a whole line. Raises AssertionError after 120 s or when QEMU ends."""
    began = time.monotonic()
    while time.monotonic() - began < 120:
        if console.exists() and b"\n" in console.read_bytes():
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.002)
    raise AssertionError(f"no line on the console; QEMU said: {log.read_text()}")


@contextmanager
def _guest(image: Path, folder: Path, hardware: tuple[str, ...], command_line: str = COMMAND_LINE) -> Iterator[Guest]:
    console, log = folder / "console", folder / "qemu.log"
    arguments = ["-nodefaults", "-no-reboot", "-display", "none", "-accel", "tcg", "-m", "16", *hardware]
    arguments += ["-serial", f"file:{console}", "-kernel", str(image), "-append", command_line]
    if "-device" in hardware:
        arguments += ["-netdev", f"tap,id=net,ifname={TAP},script=no,downscript=no"]
    with ExitStack() as stack:
        namespace = stack.enter_context(_namespace())
        process = stack.enter_context(_qemu(namespace, arguments, log))
        _wait_for_line(process, console, log)
        yield Guest(process.pid, namespace, console)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the image."""
    return _build(tmp_path_factory.mktemp("unikernel"))


@pytest.fixture(scope="module")
def guest(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Boot one guest that the tests share: that it bears them all, one after another, is part of what is tested."""
    with _guest(image, tmp_path_factory.mktemp("guest"), (*PC, *TRANSITIONAL)) as running:
        yield running


def _assert_serves(guest: Guest) -> None:
    assert guest.station("ping", "56") == {"answered": [True]}
    page = guest.station("fetch", "GET", "/")
    assert page["status"] == 200
    assert page["body"].startswith("Hello from demo-unikernel, a unikernel of ")


def test_image_is_small_and_reproducible(image: Path, tmp_path: Path) -> None:
    first = image.read_bytes()
    assert first[:5] == b"\x7fELF\x01"
    assert len(first) < SIZE_LIMIT
    second = _build(tmp_path / "another-place")
    assert second.read_bytes() == first
    assert [entry.name for entry in second.parent.iterdir()] == ["hello-unikernel"]


def test_protocols_hold_under_sanitizers(tmp_path: Path) -> None:
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    hosted = ["gcc", "-fsanitize=address,undefined", "-o", str(tmp_path / "probe"), str(probe)]
    if subprocess.run(hosted, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the C library's headers and GCC's sanitizers (libc6-dev)")
    command = ["make", "-s", "-C", str(SOURCES), f"OUT={tmp_path}", "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_console_has_one_line(guest: Guest) -> None:
    expected = f"hello-unikernel: demo-unikernel up at {GUEST_IP}/24 gw {STATION_IP} mac {GUEST_MAC}\r\n"
    assert guest.console.read_bytes().decode() == expected


def test_arp(guest: Guest) -> None:
    assert guest.station("arp", GUEST_IP) == {"mac": GUEST_MAC}
    assert guest.station("arp", "10.0.0.6") == {"mac": None}


def test_ping(guest: Guest) -> None:
    assert guest.station("ping", "0", "1", "56", "1471", "1472") == {"answered": [True] * 5}


def test_http(guest: Guest) -> None:
    page = guest.station("fetch", "GET", "/")
    assert (page["status"], page["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    assert page["headers"]["content-length"] == str(len(page["body"]))
    assert page["headers"]["connection"] == "close"
    assert page["body"].startswith("Hello from demo-unikernel, a unikernel of ")
    health = guest.station("fetch", "GET", "/health")
    assert (health["status"], health["body"]) == (200, "ok")
    assert guest.station("fetch", "GET", "/nothing")["status"] == 404
    assert guest.station("fetch", "POST", "/")["status"] == 405
    assert guest.station("fetch", "DELETE", "/health")["status"] == 405
    head = guest.station("fetch", "HEAD", "/")
    assert (head["status"], head["body"]) == (200, "")
    assert head["headers"]["content-length"] == str(len(page["body"]))


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("nonsense\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno field\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHalf: a request", 400),
        ("GET /" + "a" * 3000 + " HTTP/1.1\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\nX: " + "a" * 20000 + "\r\n\r\n", 431),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nX: " + "a" * 10000 + "\r\n\r\n", 200),
    ],
)
def test_http_requests_by_hand(guest: Guest, request_text: str, status: int) -> None:
    answer = guest.station("raw", request_text)["answer"]
    assert answer.startswith(f"HTTP/1.1 {status} ")


def test_many_requests(guest: Guest) -> None:
    assert guest.station("in-a-row", "200") == {"good": 200}


def test_concurrent_connections(guest: Guest) -> None:
    assert guest.station("at-once", "100") == {"good": 100}


def test_idle_connections_cost_nothing(guest: Guest) -> None:
    """Hold more connections open than the guest has places for, and ask on each of them in the end."""
    assert guest.station("at-once", "400") == {"good": 400}


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft")
def test_lost_segments(guest: Guest) -> None:
    """Lose segments each way: the kernel's TCP sends again, and so must the guest's."""
    assert guest.station("while-dropping", "24") == {"good": 24, "lost_both_ways": True}


def test_hostile_frames(guest: Guest) -> None:
    before = guest.console.read_bytes()
    assert guest.station("storm", "20000")["sent"] == 20000
    _assert_serves(guest)
    assert guest.station("arp", GUEST_IP) == {"mac": GUEST_MAC}
    assert guest.console.read_bytes() == before


def test_ring_indices_wrap(guest: Guest) -> None:
    """Exchange more frames than a ring's 16-bit index can count."""
    findings = guest.station("flood", "70000")
    assert findings["sent"] >= 70000
    assert findings["answered"] >= 0.99 * findings["sent"]
    _assert_serves(guest)


def test_idle_guest_takes_no_cpu(guest: Guest, record_testsuite_property: Any) -> None:
    time.sleep(3)
    share = guest.least_share(4)
    record_testsuite_property("idle_cpu_share", share)
    assert share < 0.05


@pytest.mark.parametrize(
    "hardware",
    [(*PC, *LEGACY), (*PC, *MODERN), (*Q35, *TRANSITIONAL), (*Q35, *BEHIND_PORT)],
    ids=["pc-legacy", "pc-modern", "q35-transitional", "q35-behind-port"],
)
def test_other_hardware(image: Path, tmp_path: Path, hardware: tuple[str, ...]) -> None:
    with _guest(image, tmp_path, hardware) as running:
        _assert_serves(running)
        assert running.station("in-a-row", "50") == {"good": 50}
        findings = running.station("flood", "3000")
        assert findings["answered"] >= 0.99 * findings["sent"]
        assert running.console.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize(
    ("command_line", "hardware", "complaint"),
    [
        ("name=x", TRANSITIONAL, "no ip=ADDRESS/PREFIX on the command line"),
        ("ip=10.0.0.500/24", TRANSITIONAL, "malformed ip="),
        ("ip=10.0.0.5", TRANSITIONAL, "malformed ip="),
        ("ip=10.0.0.5/24 gw=here", TRANSITIONAL, "malformed gw="),
        ("ip=10.0.0.5/24", (), "no virtio network device"),
    ],
)
def test_says_what_is_wrong_and_idles(
    image: Path, tmp_path: Path, command_line: str, hardware: tuple[str, ...], complaint: str
) -> None:
    with _guest(image, tmp_path, (*PC, *hardware), command_line) as running:
        text = running.console.read_bytes().decode()
        assert text.startswith(f"hello-unikernel: {complaint}")
        assert text.endswith("; idle\r\n")
        assert running.least_share(1) < 0.05

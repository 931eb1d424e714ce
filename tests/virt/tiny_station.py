"""A station for the tiny image: QEMU with its console, a network with DHCP and a metadata service, config drives."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "devstack/images/build.sh"
JSON_READER = ROOT / "devstack/images/tiny/rootfs/lib/tiny/json"
PROMPT_LIMIT = 6.0
"""Seconds of a processor until the login prompt. A loaded machine may be slow, so the clock on the wall is no measure."""
INSTANCE = "8a4dd0d3-5c1c-4ab5-9a45-3e7f7fd2c1de"
PATIENCE = 180.0

NEEDS_QEMU = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("qemu-system-x86_64"), reason="needs root and QEMU"
)


def run(*argv: str | Path) -> str:
    """Run a program to its end and return what it printed; CalledProcessError when it fails."""
    done = subprocess.run(argv, check=True, text=True, capture_output=True, timeout=540)
    return str(done.stdout)


def copy(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target


@dataclass(frozen=True)
class Images:
    """The built images: where they are and what images.json says of each."""

    directory: Path
    index: dict[str, dict[str, Any]]

    def path(self, name: str) -> Path:
        return self.directory / str(self.index[name]["file"])


@pytest.fixture(scope="session")
def images() -> Images:
    """Build tiny, or take it from the cache of an earlier run."""
    out = Path(os.environ.get("NOVA_LITE_IMAGES", "/tmp/nova-lite-test-images"))
    run(BUILD, "--out", out, "tiny")
    entries = json.loads((out / "images.json").read_text())
    return Images(out, {entry["name"]: entry for entry in entries})


class Guest:
    """A QEMU process under emulation, its serial console and its QMP socket."""

    def __init__(self, namespace: str, directory: Path, arguments: list[str | Path]) -> None:
        self._console = b""
        self._lock = threading.Lock()
        self._qmp = directory / "qmp"
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace, "qemu-system-x86_64"),
                *("-M", "pc", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio"),
                *("-no-reboot", "-qmp", f"unix:{self._qmp},server=on,wait=off"),
                *map(str, arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            with self._lock:
                self._console += chunk

    def cpu_seconds(self) -> float:
        """Return what QEMU has used of the processor, which other load on the machine hardly changes."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def console(self) -> str:
        with self._lock:
            return self._console.decode(errors="replace").replace("\r", "")

    def wait_for(self, pattern: str, patience: float = PATIENCE) -> float:
        """Wait until the console matches and return the seconds since QEMU began."""
        until = time.monotonic() + patience
        while not re.search(pattern, self.console):
            assert time.monotonic() < until, f"no {pattern!r} on the console:\n{self.console}"
            assert self.process.poll() is None, f"QEMU ended:\n{self.console}"
            time.sleep(0.02)
        return time.monotonic() - self.begun

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def qmp(self, command: str, **arguments: object) -> None:
        """Run one QMP command; AssertionError when QEMU refuses it."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self._qmp))
            stream = connection.makefile("rw")
            stream.readline()
            for execute, given in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": execute, "arguments": given}) + "\n")
                stream.flush()
                # Events come in between.
                while not {"return", "error"} & (answer := json.loads(stream.readline())).keys():
                    pass
                assert "error" not in answer, answer

    def press_power_button(self) -> float:
        """Send the ACPI power button and return the seconds until QEMU has ended by itself."""
        begun = time.monotonic()
        self.qmp("system_powerdown")
        self.process.wait(timeout=PATIENCE)
        return time.monotonic() - begun

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=60)


class Lan:
    """A network namespace with a bridge, dnsmasq, and a metadata service that can be filled and emptied."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.name = f"nltiny-{os.getpid()}"
        self._stack = stack
        self._taps = 0
        run("ip", "netns", "add", self.name)
        stack.callback(run, "ip", "netns", "del", self.name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("addr", "add", "10.77.0.1/24", "dev", "br0")
        self.ip("addr", "add", "169.254.169.254/32", "dev", "br0")
        self.ip("link", "set", "br0", "up")
        self.metadata = directory / "metadata"
        (self.metadata / "openstack").mkdir(parents=True)
        self.start(
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=br0"),
            *(
                "--bind-interfaces",
                "--pid-file",
                "--no-ping",
                "--log-facility=-",
                f"--dhcp-leasefile={directory}/leases",
            ),
            *("--dhcp-range=10.77.0.10,10.77.0.99,1h", "--dhcp-option=option:mtu,1400"),
            *("--dhcp-option=option:dns-server,10.77.0.53", "--dhcp-option=option:domain-search,example.org"),
            "--dhcp-option=121,169.254.169.254/32,10.77.0.1,10.99.0.0/16,10.77.0.2,0.0.0.0/0,10.77.0.1",
            "--dhcp-option=3,10.77.0.200",
        )
        self.start(
            *(sys.executable, "-m", "http.server", "80", "--bind", "169.254.169.254"),
            *("--directory", str(self.metadata)),
        )

    def ip(self, *argv: str) -> None:
        run("ip", "-n", self.name, *argv)

    def start(self, *argv: str) -> None:
        """Run a server in the namespace until the lan ends."""
        with (self.directory / f"{Path(argv[0]).name}.log").open("w") as log:
            process = subprocess.Popen(["ip", "netns", "exec", self.name, *argv], stdout=log, stderr=log)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def tap(self) -> str:
        """Make a tap on the bridge and return its name."""
        self._taps += 1
        tap = f"tap{self._taps}"
        self.ip("tuntap", "add", tap, "mode", "tap")
        self.ip("link", "set", tap, "master", "br0", "up")
        return tap

    def nic(self) -> list[str | Path]:
        """Give QEMU's arguments for a network card on the bridge."""
        tap = self.tap()
        mac = f"fa:16:3e:00:00:{self._taps:02x}"
        return ["-nic", f"tap,ifname={tap},script=no,downscript=no,model=virtio-net-pci,mac={mac}"]

    def ssh(self, guest: Guest, user: str, key: Path | None, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest over ssh, as the console tells its address."""
        address = re.findall(r"eth0 (10\.77\.0\.\d+)/24", guest.console)[-1]
        identity = ["-i", str(key)] if key else []
        argv = ["ip", "netns", "exec", self.name, "dbclient", "-y", "-y", *identity, f"{user}@{address}", command]
        home = {**os.environ, "HOME": str(self.directory)}
        until = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                argv, text=True, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, env=home
            )
            # The server starts beside the login prompt, not before it.
            if "Connection refused" not in done.stderr or time.monotonic() > until:
                return done
            time.sleep(0.2)


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    with ExitStack() as stack:
        yield Lan(tmp_path_factory.mktemp("lan"), stack)


@dataclass(frozen=True)
class Key:
    private: Path
    public: str


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    private = tmp_path_factory.mktemp("key") / "id"
    run("dropbearkey", "-t", "ed25519", "-f", private)
    public = next(x for x in run("dropbearkey", "-y", "-f", private).splitlines() if x.startswith("ssh-"))
    return Key(private, public)


def write_metadata(directory: Path, hostname: str, key: Key | None, user_data: str) -> None:
    """Write openstack/latest as Nova does: one line of JSON, the key, if any, with its newline."""
    latest = directory / "openstack/latest"
    latest.mkdir(parents=True, exist_ok=True)
    meta = {
        "uuid": INSTANCE,
        "admin_pass": 'q"uo\\te',
        "public_keys": {"my key": f"{key.public}\n"} if key else {},
        "keys": [{"name": "my key", "type": "ssh", "data": f"{key.public}\n"}] if key else [],
        "hostname": f"{hostname}.novalocal",
        "name": "a name, with \u00fcml\u00e4uts",
        "launch_index": 0,
        "availability_zone": "nova",
        "random_seed": "A/+\\" * 170,
        "project_id": "f0e1",
        "devices": [],
        "dedicated_cpus": [],
    }
    # The metadata last and at once: a guest that finds them looks for user data then.
    (latest / "user_data").write_text(user_data)
    (latest / "meta_data.part").write_text(json.dumps(meta))
    (latest / "meta_data.part").rename(latest / "meta_data.json")


SCRIPT = "#!/bin/sh\necho user-data-ran-as-$(id -un)-on-$(hostname)\necho x >>/run/times\n"


def iso_config_drive(directory: Path, hostname: str, key: Key, user_data: str = SCRIPT) -> Path:
    write_metadata(directory / "content", hostname, key, user_data)
    iso = directory / "config.iso"
    run("genisoimage", "-quiet", "-V", "config-2", "-J", "-r", "-o", iso, directory / "content")
    return iso


def vfat_config_drive(directory: Path, hostname: str, key: Key, user_data: str = SCRIPT) -> Path:
    write_metadata(directory / "content", hostname, key, user_data)
    image = directory / "config.vfat"
    run("mformat", "-C", "-i", image, "-v", "config-2", "-T", "4096", "-h", "16", "-s", "16", "::")
    run("mcopy", "-s", "-i", image, directory / "content/openstack", "::")
    return image


def drive(path: Path, file_format: str = "raw", kind: str = "virtio") -> list[str | Path]:
    options = ",media=cdrom,readonly=on" if kind == "ide" else ""
    return ["-drive", f"file={path},if={kind},format={file_format}{options}"]


def direct_boot(images: Images) -> list[str | Path]:
    """QEMU's arguments for tiny as a compute host boots it, with the least memory that the image admits."""
    tiny = images.index["tiny"]
    return [
        *("-uuid", INSTANCE, "-m", str(tiny["min_ram"]), "-kernel", images.path("tiny-kernel")),
        *("-initrd", images.path("tiny-ramdisk"), "-append", tiny["properties"]["os_command_line"]),
    ]


@pytest.fixture
def boot(lan: Lan, tmp_path: Path) -> Iterator[Callable[[list[str | Path]], Guest]]:
    """Boot guests that end with the test."""
    with ExitStack() as stack:

        def start(arguments: list[str | Path]) -> Guest:
            guest = Guest(lan.name, tmp_path, arguments)
            stack.callback(guest.end)
            return guest

        yield start


@pytest.fixture(scope="module")
def configured(images: Images, lan: Lan, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest with data disk, config drive and network, which several tests look at."""
    directory = tmp_path_factory.mktemp("configured")
    disk = copy(images.path("tiny"), directory / "disk")
    iso = iso_config_drive(directory, "demo-vm", key)
    guest = Guest(lan.name, directory, [*direct_boot(images), *drive(disk), *drive(iso), *lan.nic()])
    try:
        yield guest
    finally:
        guest.end()

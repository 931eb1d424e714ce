"""A host of a test's own on this machine: a network namespace, and in it a libvirtd with directories of its own.

So a cloud of a test never meets another cloud's bridges, guests or address ranges, whatever runs on the machine.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import children

CLONE_NEWNET = 0x40000000
PRIVATE = (
    "/run/libvirt",
    "/run/netns",
    "/var/lib/libvirt",
    "/etc/libvirt",
    "/var/log/libvirt",
    "/var/cache/libvirt",
)
ENTER = """
set -e
d=$1
for path in {private}; do
    mkdir -p "$path"
    mount --bind "$d/host$path" "$path"
done
# A sysfs of this network namespace; libvirt fails where cgroup v1 and v2 are mounted together, be it below another mount.
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
mkdir "$d/cgroup"
mount --rbind /sys/fs/cgroup "$d/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$d/cgroup" /sys/fs/cgroup
umount -l "$d/cgroup"
virtlogd --daemon --pid-file "$d/virtlogd.pid"
exec tini -s -- libvirtd --pid-file "$d/libvirtd.pid"
"""
_LIBC = ctypes.CDLL(None, use_errno=True)


PATIENCE = 3
LEAST_S = 90.0
"""How much longer things may take than on a machine with nothing else to do, and how long all may: the suite's workers run side by side.
What must happen within a time is measured by its test, not by a wait."""


def wait_for(what: str, look: Callable[[], object], limit: float, pause: float = 0.05) -> None:
    """Call *look* until it returns something true. :raises AssertionError: it did not within :data:`PATIENCE` times *limit* seconds, or ``LEAST_S``."""
    limit = max(PATIENCE * limit, LEAST_S)
    deadline = time.monotonic() + limit
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {limit:.0f} s"
        time.sleep(pause)


def pass_down(path: Path) -> Path:
    """Make a directory that QEMU's unprivileged user may pass, and return it."""
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    path.chmod(0o711)
    return path


class PrivateHost:
    """A host: ``state`` is where a cloud on it may keep its files. Call :meth:`remove` at the end."""

    def __init__(self) -> None:
        self.name = f"nle-{secrets.token_hex(3)}"
        self.directory = pass_down(Path(tempfile.mkdtemp(prefix=f"{self.name}-")))
        self.state = pass_down(self.directory / "state")
        self._daemon: subprocess.Popen[bytes] | None = None
        run(["ip", "netns", "add", self.name])
        run(["ip", "-n", self.name, "link", "set", "lo", "up"])
        for path in PRIVATE:
            pass_down(Path(f"{self.directory}/host{path}"))
        # The settings alone: below them libvirt keeps the domains of the machine.
        for file in Path("/etc/libvirt").iterdir():
            if file.is_file():
                shutil.copy2(file, f"{self.directory}/host/etc/libvirt")
        # What QEMU can do, or it would be asked for 2 s.
        for known in Path("/var/cache/libvirt/qemu/capabilities").glob("*.xml"):
            with suppress(FileNotFoundError):  # the machine's libvirtd may be writing it anew
                shutil.copy2(known, pass_down(Path(f"{self.directory}/host/var/cache/libvirt/qemu/capabilities")))

    def start(self) -> None:
        """Start virtlogd and libvirtd and wait until both drivers answer."""
        script = ENTER.format(private=" ".join(PRIVATE))
        line = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--propagation", "private"]
        with (self.directory / "libvirtd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*line, "sh", "-c", script, "sh", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # an interrupt of the tests must not end what they are to clean up with
            )
        for uri in ("qemu:///system", "lxc:///system"):
            wait_for(f"libvirtd ({uri})", lambda uri=uri: self._answers(uri), 40)  # type: ignore[misc]

    def _answers(self, uri: str) -> bool:
        assert self._daemon is not None
        assert self._daemon.poll() is None, (self.directory / "libvirtd.log").read_text()[-2000:]
        return self.run("virsh", "-q", "-c", uri, "uri", check=False).returncode == 0

    @property
    def libvirtd(self) -> int:
        """Return libvirtd's pid."""
        return int((self.directory / "libvirtd.pid").read_text())

    def kill_libvirtd(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """``kill -9`` libvirtd and start it again, after *meanwhile*, in the same namespaces; its guests go on."""
        assert self._daemon is not None
        keeper = (self.directory / "virtlogd.pid").read_text().strip()
        os.kill(self.libvirtd, signal.SIGKILL)
        self._daemon.wait(60)
        meanwhile()
        line = ["nsenter", f"--target={keeper}", "--mount", "--net", "--wd=/", "--", "tini", "-s", "--"]
        with (self.directory / "libvirtd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*line, "libvirtd", "--pid-file", str(self.directory / "libvirtd.pid")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        for uri in ("qemu:///system", "lxc:///system"):
            wait_for(f"libvirtd ({uri})", lambda uri=uri: self._answers(uri), 40)  # type: ignore[misc]

    def line(self, argv: Sequence[str]) -> list[str]:
        """Return *argv* as it is run on this host."""
        assert self._daemon is not None
        return ["nsenter", f"--target={self._daemon.pid}", "--mount", "--net", "--wd=/", "--", *argv]

    def run(self, *argv: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a program on this host to its end."""
        return run(self.line(argv), check=check, timeout=timeout)

    def domains(self) -> list[str]:
        """Return the names of all of libvirt's domains, running or not."""
        found: list[str] = []
        for uri in ("qemu:///system", "lxc:///system"):
            found += self.run("virsh", "-q", "-c", uri, "list", "--all", "--name").stdout.split()
        return found

    def links(self) -> list[str]:
        """Return the names of all network devices but lo."""
        shown = run(["ip", "-n", self.name, "-br", "link"]).stdout
        return sorted(row.split()[0].partition("@")[0] for row in shown.splitlines() if not row.startswith("lo "))

    def pids(self) -> list[int]:
        """Return the processes in this host's network namespace."""
        return [int(word) for word in run(["ip", "netns", "pids", self.name]).stdout.split()]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let the calling thread, and what it starts meanwhile, be in this host's network."""
        with within(Path("/run/netns", self.name)):
            yield

    def remove(self) -> None:
        """End every process of this host (they are known by its network) and remove its files."""
        with suppress(subprocess.SubprocessError):
            self._end(signal.SIGTERM, 10)
            self._end(signal.SIGKILL, 10)
        if self._daemon is not None:
            self._daemon.wait(60)
        run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: int, limit: float) -> None:
        mine = {os.getpid()}
        deadline = time.monotonic() + limit
        # A container is in a network of its own, and outlives its controller.
        ours = descendants(set(self.pids()) - mine)
        for pid in ours:
            thaw(pid)
        for pid in ours:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while set(self.pids()) - mine and time.monotonic() < deadline:
            if self._daemon is not None:
                self._daemon.poll()
            time.sleep(0.05)


def descendants(pids: Iterable[int]) -> list[int]:
    """Return *pids* and all that they started."""
    found = list(pids)
    for pid in found:
        found += [child for child in children(pid) if child not in found]
    return found


def thaw(pid: int) -> None:
    """Let a process go on whose cgroup (v1) is frozen: as it is, it would not even take SIGKILL."""
    with suppress(OSError):
        groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        state = Path("/sys/fs/cgroup/freezer" + groups.get("freezer", "/none"), "freezer.state")
        if state.read_text().strip() != "THAWED":
            state.write_text("THAWED")


@contextmanager
def within(path: Path) -> Iterator[None]:
    """Let the calling thread, and what it starts meanwhile, be in the network namespace *path*."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(path)
        yield
    finally:
        _set_network(before)
        os.close(before)


def enter(path: Path) -> None:
    """Move the calling thread into the network namespace *path*."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set_network(descriptor)
    finally:
        os.close(descriptor)


def _set_network(descriptor: int) -> None:
    if _LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(argv: Sequence[str], *, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it says is text."""
    done = subprocess.run(
        argv,
        capture_output=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{list(argv)} said {done.returncode}: {done.stdout}{done.stderr}")
    return done

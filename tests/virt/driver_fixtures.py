"""What the tests of the libvirt driver share: guest images, a bridge, specs of each kind, a driver whose guests are removed."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

import nova_lite.conf
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, GuestSpec, LocalImage, Nic
from nova_lite.virt.libvirt.driver import LibvirtDriver

ROOT = Path(__file__).parents[2]
KINDS = (VM, UNIKERNEL, CONTAINER)


def reachable(uri: str) -> bool:
    """Say whether libvirtd answers there, and whether we are root."""
    try:
        libvirt.open(uri).close()
    except libvirt.libvirtError:
        return False
    return os.geteuid() == 0


NEEDS_LIBVIRT = [
    pytest.mark.needs("libvirt"),
    pytest.mark.skipif(
        not reachable("qemu:///system") or not reachable("lxc:///system"), reason="no libvirtd for root"
    ),
]


def until(what: Callable[[], bool], seconds: float = 180.0) -> None:
    """Wait for it; on a loaded machine an emulated guest may take minutes."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def images() -> Path:
    """Build the guest images once per machine; build.sh keeps them by content."""
    out = Path(os.environ.get("NOVA_LITE_TEST_IMAGES", "/var/tmp/nova-lite-test-images"))
    subprocess.run(["bash", str(ROOT / "devstack/images/build.sh"), "--out", str(out)], check=True, timeout=540)
    return out


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that QEMU's user can pass, which pytest's own temporary directories do not allow."""
    path = Path(f"/var/tmp/nlt-{uuid.uuid4().hex[:8]}")
    path.mkdir(mode=0o711)
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def driver(state: Path) -> Iterator[LibvirtDriver]:
    made = make_driver(state)
    yield made
    instances = state / "instances"
    for entry in instances.glob("*-*") if instances.exists() else ():
        made.destroy(entry.name)


def make_driver(state: Path, **overrides: object) -> LibvirtDriver:
    options = {"state_path": str(state), "libvirt.virt_type": "qemu", "compute.shutdown_timeout": 0.5}
    return LibvirtDriver(nova_lite.conf.load([], options | overrides))


@pytest.fixture
def bridge() -> Iterator[str]:
    name = f"nltb{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield name
    for link in os.listdir("/sys/class/net"):
        if os.path.exists(f"/sys/class/net/{link}/master") and os.readlink(f"/sys/class/net/{link}/master").endswith(
            name
        ):
            subprocess.run(["ip", "link", "delete", link], check=False)
    subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def make_spec(images: Path, bridge: str, state: Path) -> Callable[[str], GuestSpec]:
    """Give specs of each kind, with a tap on the bridge where QEMU wants one, as the host layer makes it."""

    def make(kind: str, **changes: object) -> GuestSpec:
        suffix = uuid.uuid4().hex[:6]
        device = f"nltt{suffix}"
        if kind != CONTAINER:
            subprocess.run(["ip", "tuntap", "add", "dev", device, "mode", "tap"], check=True)
            subprocess.run(["ip", "link", "set", device, "master", bridge, "up"], check=True)
        mac = "fa:16:3e:" + ":".join(suffix[i : i + 2] for i in (0, 2, 4))
        nic = Nic("port", mac, device, bridge, 1400, ("10.9.8.7/24",), "10.9.8.1", ("10.9.8.2",))
        spec = GuestSpec(
            server_id=str(uuid.uuid4()),
            name="test",
            hostname="testhost",
            project_id="project",
            user_id="user",
            kind=kind,
            vcpus=1,
            memory_mb=128 if kind == VM else 64,
            disk_gb=1,
            image=local_image(kind),
            nics=(nic,),
            command_line="ip=10.9.8.7/24 gw=10.9.8.1 name=testhost" if kind == UNIKERNEL else "",
            properties={"os_command_line": "console=ttyS0 quiet no_timer_check tsc=reliable"} if kind == VM else {},
        )
        return replace(spec, **changes)  # type: ignore[arg-type]

    def local_image(kind: str) -> LocalImage:
        if kind == VM:
            disk = images / "tiny/tiny.img"
            return LocalImage(
                "vm", disk, "raw", disk.stat().st_size, images / "tiny/tiny-kernel", images / "tiny/tiny-ramdisk"
            )
        if kind == UNIKERNEL:
            return LocalImage("uk", images / "hello-unikernel/hello-unikernel", "raw", 0)
        return container_image(
            "echo ready; cat /etc/hostname; trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done"
        )

    def container_image(command: str) -> LocalImage:
        rootfs = state / "cache-rootfs"
        if not rootfs.exists():
            for folder in ("bin", "etc", "tmp", "dev", "proc", "sys"):
                (rootfs / folder).mkdir(parents=True)
            shutil.copy("/bin/busybox", rootfs / "bin/busybox")
            for applet in (
                "sh",
                "cat",
                "sleep",
                "id",
                "unshare",
                "ip",
                "dd",
                "mount",
                "ls",
                "seq",
                "mknod",
                "hostname",
                "grep",
            ):
                (rootfs / "bin" / applet).symlink_to("/bin/busybox")
        return LocalImage(
            "c", rootfs, "raw", 0, rootfs=rootfs, config={"Cmd": ["sh", "-c", command], "Env": ["GREETING=<&>"]}
        )

    make.container_image = container_image  # type: ignore[attr-defined]
    return make


def says(driver: LibvirtDriver, spec: GuestSpec) -> bytes:
    return driver.console(spec.server_id, 65_536)


def kill_an_agent(state: Path, spec: GuestSpec, call: str, delay: float) -> None:
    """Have a process of its own run *call*, on the driver ``d`` and ``spec``, and ``kill -9`` it *delay* seconds later."""
    script = f"""
import pickle, sys
from pathlib import Path
import nova_lite.conf
from nova_lite.virt.libvirt.driver import LibvirtDriver
options = {{"state_path": {str(state)!r}, "libvirt.virt_type": "qemu", "compute.shutdown_timeout": 0}}
d = LibvirtDriver(nova_lite.conf.load([], options))
spec = pickle.load(sys.stdin.buffer)
d.capabilities()
print("go", flush=True)
{call}
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, cwd=ROOT) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pickle.dumps(spec))
        child.stdin.close()
        assert child.stdout.readline() == b"go\n"
        time.sleep(delay)
        child.kill()

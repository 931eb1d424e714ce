"""The smaller parts: the filter, the boot sector, ids that become paths, id ranges, bounded calls to libvirt."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import SERVER_ID, guest_spec

from nova_lite.virt.driver import CONTAINER, VM, DriverError, DriverTimeout, GuestNotFound, LocalImage
from nova_lite.virt.libvirt import accelerator, container_root, disks, launcher_install, seccomp
from nova_lite.virt.libvirt.connection import Connection, DriverAbsent
from nova_lite.virt.libvirt.container_process import ContainerProcess
from nova_lite.virt.libvirt.container_root import ContainerLimits
from nova_lite.virt.libvirt.instances import Instances

X86_64 = 0xC000003E
ALLOW, EPERM = 0x7FFF0000, 0x00050001
NEWUSER, NEWNS = 0x10000000, 0x00020000


def run_filter(program: bytes, number: int, architecture: int = X86_64, argument: int = 0) -> int:
    """Interpret a classic BPF program as the kernel does, for the instructions that filters are made of."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, argument, *([0] * 5))
    rows = list(struct.iter_unpack("=HBBI", program))
    word, at = 0, 0
    while True:
        code, on_true, on_false, constant = rows[at]
        at += 1
        if code == 0x20:
            (word,) = struct.unpack_from("=I", data, constant)
        elif code == 0x06:
            return constant
        else:
            test = {0x15: word == constant, 0x35: word >= constant, 0x45: bool(word & constant)}[code]
            at += on_true if test else on_false


def test_the_filter_refuses_what_it_lists_and_nothing_else() -> None:
    program = seccomp.program(deny_bpf=True)
    assert run_filter(program, 170) == 0x00050000, "sethostname, which is said to have worked"
    for number in set(range(500)) - {170}:
        wanted = EPERM if number in {*seccomp.DENIED.values(), 321} else ALLOW
        assert run_filter(program, number) == wanted, number
    assert run_filter(seccomp.program(deny_bpf=False), 321) == ALLOW


def test_the_filter_refuses_other_ways_in() -> None:
    program = seccomp.program(deny_bpf=True)
    assert run_filter(program, 1, architecture=0x40000003) == EPERM  # i386
    assert run_filter(program, 1 | 0x40000000) == EPERM  # x32
    assert run_filter(program, 272, argument=NEWUSER | NEWNS) == EPERM
    assert run_filter(program, 272, argument=NEWNS) == ALLOW


@pytest.mark.skipif(shutil.which("gcc") is None, reason="cannot run on this machine: no gcc")
def test_the_boot_sector_is_its_source(tmp_path: Path) -> None:
    source = Path(__file__).parent / "boot_sector.S"
    subprocess.run(["gcc", "-m32", "-c", source, "-o", tmp_path / "b.o"], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", tmp_path / "b", tmp_path / "b.o"]
    subprocess.run(link, check=True)
    assert (tmp_path / "b").read_bytes() == accelerator.BOOT_SECTOR


@pytest.mark.parametrize(
    "bad", ["", "..", "../x", "/", SERVER_ID.upper().replace("1", "A"), SERVER_ID + "/..", SERVER_ID + "\n"]
)
def test_only_a_uuid_becomes_a_path(tmp_path: Path, bad: str) -> None:
    with pytest.raises(DriverError):
        Instances(tmp_path).at(bad)


def test_removal_is_whole_and_can_be_repeated(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    instances = Instances(tmp_path / "instances")
    path = instances.at(SERVER_ID).path
    path.mkdir(parents=True)
    (path / "link").symlink_to("/etc")
    (path / "file").write_text("x")
    (tmp_path / "instances" / f".removed-{SERVER_ID}").mkdir()
    for _ in range(2):
        instances.remove(SERVER_ID)
    assert list((tmp_path / "instances").iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_a_disk_is_never_smaller_than_its_image() -> None:
    image = LocalImage("i", Path("/x"), "qcow2", (1 << 30) + 1)
    with pytest.raises(DriverError, match="2 GiB"):
        disks.size_bytes(guest_spec(VM, image=image, disk_gb=1))
    assert disks.size_bytes(guest_spec(VM, image=image, disk_gb=0)) == (1 << 30) + 512
    with pytest.raises(DriverError, match="vmdk"):
        disks.backing_format(LocalImage("i", Path("/x"), "vmdk", 1))


@pytest.mark.skipif(
    shutil.which("mke2fs", path="/usr/sbin:/sbin") is None, reason="cannot run on this machine: no mke2fs"
)
def test_a_range_of_ids_is_kept_and_shared_with_nobody(tmp_path: Path) -> None:
    instances = Instances(Path("/var/tmp") / tmp_path.name / "instances")
    limits = ContainerLimits(1_000_000, 100, 1, "/bin/true", 4096)
    process = ContainerProcess(("/bin/sh",), ())
    ids = [SERVER_ID.replace("1111", f"{number}111") for number in range(2, 5)]
    try:
        first = [container_root.prepare(instances, guest_spec(CONTAINER, server_id=i), process, limits) for i in ids]
        assert sorted(first) == [1_000_000, 1_065_536, 1_131_072]
        again = [container_root.prepare(instances, guest_spec(CONTAINER, server_id=i), process, limits) for i in ids]
        assert again == first
        instances.remove(ids[0])
        assert container_root.prepare(instances, guest_spec(CONTAINER), process, limits) == first[0]
    finally:
        shutil.rmtree(instances.root.parent)


def test_the_launcher_is_installed_whole_and_knows_its_place(tmp_path: Path) -> None:
    path = tmp_path / "libvirt" / "nova-lite-lxc"
    for _ in range(2):
        launcher_install.install(path, tmp_path / "it's here")
    assert path.stat().st_mode & 0o777 == 0o755
    assert path.read_text().startswith(f"#!{sys.executable} -IS\n")
    assert repr(str(tmp_path / "it's here")) in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["nova-lite-lxc"]


def test_a_call_that_hangs_is_given_up_and_holds_up_no_other() -> None:
    connection = Connection("test:///default", 60.0)
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    release = threading.Event()
    start = time.monotonic()
    with pytest.raises(DriverTimeout, match="0 s"):
        connection.call("hang", lambda conn: release.wait(60), timeout=0.2)
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    assert time.monotonic() - start < 30, "it waited for the one that hangs"
    release.set()


def test_a_libvirt_that_hangs_altogether_costs_a_bounded_number_of_threads() -> None:
    connection = Connection("test:///default", 0.3)
    before, release = threading.active_count(), threading.Event()
    begun: list[int] = []
    while len(begun) < 32:  # one that is given up before it has begun does not count
        with pytest.raises(DriverTimeout):
            connection.call("hang", lambda conn: (begun.append(1), release.wait(60)), timeout=0.05)
    with pytest.raises(DriverTimeout, match="earlier"):
        connection.call("one more", lambda conn: conn.numOfDomains())
    assert threading.active_count() <= before + 32
    release.set()
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connection.call("count", lambda conn: conn.numOfDomains(), 60.0) == 1


def test_errors_are_of_our_own_kind() -> None:
    connection = Connection("test:///default", 60.0)
    with pytest.raises(GuestNotFound):
        connection.call("find", lambda conn: conn.lookupByUUIDString(SERVER_ID))
    with pytest.raises(DriverAbsent):
        Connection("nothing:///system", 5.0).call("open", lambda conn: conn.numOfDomains())
    with pytest.raises(ZeroDivisionError):
        connection.call("divide", lambda conn: 1 // 0)


def test_a_lost_connection_is_opened_anew() -> None:
    connection = Connection("test:///default", 60.0)
    connection.call("close", lambda conn: conn.close())
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1

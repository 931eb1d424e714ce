"""Ephemeral disks and swap as files: what the host's own tools find in them, and what is made, kept and grown."""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import guest_spec

from nova_lite.compute.local_disks import Ephemeral, LocalDisks
from nova_lite.virt.driver import VM, DriverError
from nova_lite.virt.libvirt import disks, fat32, local_disks
from nova_lite.virt.libvirt.instances import Instance

GIB = 1 << 30
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="disks are made as QEMU's user, which root alone can become")


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A directory that QEMU's user can pass, which pytest's own temporary directories do not allow."""
    path = Path(f"/var/tmp/nlt-{uuid.uuid4().hex[:8]}")
    path.mkdir(mode=0o711)
    path.chmod(0o711)
    yield Instance(path)
    shutil.rmtree(path)


def found_in(path: Path) -> dict[str, str]:
    """Return what ``blkid`` sees in a file, without its cache."""
    command = ["blkid", "-p", "-o", "export", str(path)]
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def make(instance: Instance, *ephemerals: Ephemeral, swap_mb: int = 0, default: str = "", os_type: str = "") -> None:
    spec = guest_spec(VM, disks=LocalDisks(ephemerals, swap_mb), properties={"os_type": os_type} if os_type else {})
    local_disks.make(instance, spec, default)


@NEEDS_ROOT
@pytest.mark.parametrize("wanted", ["ext2", "ext3", "ext4", "vfat"])
def test_an_ephemeral_disk_has_its_filesystem_and_name_and_is_sparse(wanted: str, instance: Instance) -> None:
    make(instance, Ephemeral(1, wanted), Ephemeral(2, wanted))
    for index, size in enumerate((1, 2)):
        path = instance.ephemeral_disk(index)
        seen = found_in(path)
        assert (seen["TYPE"], seen["LABEL"].lower()) == (wanted, f"ephemeral{index}")
        status = path.stat()
        assert status.st_size == size * GIB and status.st_blocks * 512 < 100 << 20
        assert status.st_mode & 0o777 == 0o600
    assert not list(instance.path.glob("*.part"))


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("default", "os_type", "filesystem"),
    [("", "", "vfat"), ("", "linux", "ext4"), ("", "windows", "vfat"), ("ext3", "linux", "ext3"), ("ext2", "", "ext2")],
)
def test_the_default_filesystem_is_novas(default: str, os_type: str, filesystem: str, instance: Instance) -> None:
    make(instance, Ephemeral(1), default=default, os_type=os_type)
    assert found_in(instance.ephemeral_disk(0))["TYPE"] == filesystem


@NEEDS_ROOT
def test_swap_is_made_anew_in_another_size_only(instance: Instance) -> None:
    make(instance, swap_mb=64)
    assert (found_in(instance.swap_disk)["TYPE"], instance.swap_disk.stat().st_size) == ("swap", 64 << 20)
    first = instance.swap_disk.stat().st_ino
    make(instance, swap_mb=64)
    assert instance.swap_disk.stat().st_ino == first
    make(instance, swap_mb=32)
    assert (found_in(instance.swap_disk)["TYPE"], instance.swap_disk.stat().st_size) == ("swap", 32 << 20)
    make(instance)
    assert not list(instance.path.iterdir())


@NEEDS_ROOT
def test_what_is_in_an_ephemeral_disk_stays_and_a_half_made_one_is_made_anew(instance: Instance) -> None:
    part = instance.path / "disk.eph0.part"
    part.write_bytes(b"half")
    make(instance, Ephemeral(1))
    assert not part.exists()
    path = instance.ephemeral_disk(0)
    with path.open("r+b") as file:
        file.seek(GIB // 2)
        file.write(b"mine")
    larger = guest_spec(VM, disks=LocalDisks((Ephemeral(2),)))
    local_disks.check_growth(instance, larger)
    for _ in range(2):
        local_disks.grow(instance, larger)
        local_disks.make(instance, larger, "")
    with path.open("rb") as file:
        file.seek(GIB // 2)
        assert file.read(4) == b"mine"
    assert path.stat().st_size == 2 * GIB
    with pytest.raises(DriverError, match="ephemeral disk 0 has 2 GiB and can't be made smaller"):
        local_disks.check_growth(instance, guest_spec(VM, disks=LocalDisks((Ephemeral(1),))))


@NEEDS_ROOT
def test_a_program_that_is_not_there_is_named_with_its_package(instance: Instance, monkeypatch) -> None:
    monkeypatch.setattr(local_disks, "_LIMITS", ("env", "PATH=/usr/bin:/bin"))
    with pytest.raises(DriverError, match="mkswap is missing on the host; it needs the package util-linux"):
        make(instance, swap_mb=64)


@NEEDS_ROOT
def test_qemu_img_that_is_not_there_is_named_with_its_package(instance: Instance) -> None:
    programs = instance.path / "programs"
    programs.mkdir()
    (programs / "setpriv").symlink_to(str(shutil.which("setpriv")))
    with pytest.raises(DriverError, match="qemu-img is missing on the host; it needs the package qemu-utils"):
        disks.run_qemu_img(["qemu-img", "--version"], "made", limits=("env", f"PATH={programs}"))


@NEEDS_ROOT
def test_a_disk_that_no_file_can_hold_is_refused(instance: Instance) -> None:
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (GIB // 2, most[1]))
    try:
        with pytest.raises(DriverError, match="could not be made: File too large"):
            make(instance, Ephemeral(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    make(instance, Ephemeral(1))
    assert instance.ephemeral_disk(0).stat().st_size == GIB


@pytest.mark.parametrize("size", [GIB, 9 * GIB, 40 * GIB, fat32.LARGEST])
def test_a_fat_volume_fills_its_disk_and_says_so_the_same_everywhere(size: int, tmp_path: Path) -> None:
    path = tmp_path / "volume"
    with path.open("w+b") as file:
        fat32.write(file, size, "ephemeral0")
    seen = found_in(path)
    assert (seen["TYPE"], seen["VERSION"], seen["LABEL"].lower()) == ("vfat", "FAT32", "ephemeral0")
    with path.open("rb") as file:
        head = file.read(4096)
        assert head[:1024] == head[6 * 512 : 8 * 512]  # the copy
        per_cluster, reserved, fats = struct.unpack_from("<BHB", head, 13)
        sectors, fat_sectors = struct.unpack_from("<II", head, 32)
        free = struct.unpack_from("<I", head, 512 + 488)[0]
        assert sectors == size // 512
        clusters = (sectors - reserved - fats * fat_sectors) // per_cluster
        assert free == clusters - 1 and 65_525 <= clusters < 0x0FFFFFF5
        assert (clusters + 2) * 4 <= fat_sectors * 512

"""What is written beside a file, as large as a disk, does not stay where it came to nothing."""

from __future__ import annotations

import errno
import os
import tarfile
from pathlib import Path

import pytest

from nova_lite.virt import delivery, oci_archive
from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt import container_disk, container_root


def test_an_archive_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, target = tmp_path / "layer", tmp_path / "archive"
    layer.write_bytes(b"layer" * 1000)
    add = tarfile.TarFile.addfile

    def full(self: tarfile.TarFile, entry: tarfile.TarInfo, file: object = None) -> None:
        if entry.size == 5000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(self, entry, file)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match="No space"):
        oci_archive.write(target, layer, {})
    assert [path.name for path in tmp_path.iterdir()] == ["layer"]


def test_a_disk_that_could_not_be_grown(tmp_path: Path) -> None:
    data = tmp_path / "data.img"
    data.write_bytes(b"no filesystem" * 1000)
    with pytest.raises(DriverError):
        container_disk.grow(data, 1 << 20)
    assert [path.name for path in tmp_path.iterdir()] == ["data.img"]


def test_what_is_put_in_place_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, target, synced = tmp_path / "part", tmp_path / "target", []
    part.write_bytes(b"new")
    target.write_bytes(b"old")
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), target.read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    delivery.put_in_place(part, target)
    assert synced == [(str(part), b"old")]
    assert target.read_bytes() == b"new"
    assert not part.exists()


@pytest.mark.parametrize(
    ("hostname", "named"),
    [
        ("web", "web"),
        ("a" * 64, "a" * 64),
        ("web." + "sub." * 20 + "example.org", "web"),
        ("a" * 255, "a" * 64),
    ],
)
def test_a_name_that_the_kernel_takes(hostname: str, named: str) -> None:
    assert container_root.node_name(hostname) == named

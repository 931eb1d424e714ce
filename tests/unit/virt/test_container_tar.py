"""A container's root as a tar file is no larger than what the container can have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from nova_lite.virt.libvirt import container_tar

MIB = 1 << 20


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """A directory with a disk of 2 MiB on an image of 1 MiB, and a root that nobody has mounted."""
    lower, made = tmp_path / "lower", tmp_path / "instance"
    for directory in (lower, made / "rootfs"):
        directory.mkdir(parents=True)
        (directory / "program").write_bytes(bytes(MIB))
    with (made / "data.img").open("wb") as file:
        file.truncate(2 * MIB)
    plan = {"lower": str(lower), "data": "data.img", "uid_base": os.getuid(), "id_count": 65_536}
    (made / "container.json").write_text(json.dumps(plan))
    return made


def write(instance: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", str(container_tar.__file__), str(instance), str(instance / "layer"), ""]
    return subprocess.run(program, check=False, capture_output=True, text=True, timeout=120)


def test_a_root_that_fills_its_disk(instance: Path) -> None:
    (instance / "rootfs/full").write_bytes(bytes(2 * MIB - 8192))
    os.link(instance / "rootfs/full", instance / "rootfs/once-more")
    assert write(instance).returncode == 0
    with tarfile.open(instance / "layer") as archive:
        assert archive.getnames() == ["full", "once-more", "program"]


@pytest.mark.parametrize("sizes", [(1 << 40,), (2 * MIB, 2 * MIB)])
def test_files_with_holes_do_not_fill_the_hosts_disk(instance: Path, sizes: tuple[int, ...]) -> None:
    for number, size in enumerate(sizes):
        with (instance / f"rootfs/holes{number}").open("wb") as file:
            file.truncate(size)
    done = write(instance)
    assert done.returncode != 0
    assert "holes" in done.stderr.splitlines()[-1]
    assert (instance / "layer").stat().st_size < 4 * MIB

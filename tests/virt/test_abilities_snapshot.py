"""Images of real guests, running and stopped, are whole and boot again."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import (  # noqa: E402, F401
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    kill_an_agent,
    make_spec,
    says,
    state,
    until,
)

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.host.oci import Limits, unpack  # noqa: E402
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError, GuestSpec, LocalImage  # noqa: E402

pytestmark = NEEDS_LIBVIRT


def info(path: Path) -> dict:
    command = ["qemu-img", "info", "-f", "qcow2", "--output=json", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def vm_on_a_disk(make_spec, images: Path) -> GuestSpec:
    disk = images / "tiny/tiny-disk.qcow2"
    return make_spec(VM, image=LocalImage("disk", disk, "qcow2", info(disk)["virtual-size"]))


def test_an_image_of_a_vm_is_flat_and_boots(driver, make_spec, images: Path, state: Path, tmp_path: Path) -> None:
    spec = vm_on_a_disk(make_spec, images)
    driver.spawn(spec)
    until(lambda: b"login" in says(driver, spec))
    target = state / "image"
    for _ in range(2):
        made = driver.snapshot(spec, target)
        assert driver.power(spec.server_id) == PowerState.RUNNING
    assert (made.disk_format, made.container_format, made.size) == ("qcow2", "bare", target.stat().st_size)
    driver.pause(spec.server_id)
    driver.snapshot(spec, target)
    assert driver.power(spec.server_id) == PowerState.PAUSED
    driver.unpause(spec.server_id)
    live = shutil.copy(target, state / "live")
    driver.stop(spec.server_id, 0)
    driver.snapshot(spec, target)
    for path in (Path(live), target):
        assert "backing-filename" not in info(path)
        assert info(path)["virtual-size"] == 1 << 30
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(path)], check=True)
        os.chmod(path, 0o644)
    again = make_spec(VM, image=LocalImage("again", Path(live), "qcow2", 1 << 30))
    driver.spawn(again)
    until(lambda: b"login" in says(driver, again))
    assert not list((state / "instances" / spec.server_id).glob("snapshot*"))


def test_a_vm_of_kernel_and_disk_becomes_a_qcow2(driver, make_spec, state: Path) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    made = driver.snapshot(spec, state / "image")
    assert made.disk_format == "qcow2"
    assert info(made.path)["virtual-size"] == 1 << 30


def test_an_image_of_a_unikernel_is_the_one_that_it_booted(driver, make_spec, state: Path) -> None:
    spec = make_spec(UNIKERNEL)
    driver.spawn(spec)
    made = driver.snapshot(spec, state / "image")
    assert made.path.read_bytes() == spec.image.path.read_bytes()
    assert made.disk_format == "raw"


@pytest.mark.parametrize("running", [True, False])
def test_a_container_becomes_an_oci_archive_that_runs(driver, make_spec, state: Path, running: bool) -> None:
    script = "echo kept > /kept; rm /tmp/gone; mkdir -p /srv/a; echo written; sleep 1000"
    image = make_spec.container_image(script)
    (image.rootfs / "tmp/gone").write_text("x")
    spec = make_spec(CONTAINER, image=image)
    driver.spawn(spec)
    until(lambda: b"written" in says(driver, spec))
    if not running:
        driver.stop(spec.server_id, 0)
    for _ in range(2):
        made = driver.snapshot(spec, state / "image")
    assert driver.power(spec.server_id) == (PowerState.RUNNING if running else PowerState.SHUTDOWN)
    assert made.container_format == "docker"
    unpacked = state / "unpacked"
    unpacked.mkdir(mode=0o700)
    config = unpack(made.path, unpacked, Limits(1 << 30, 10_000, 60))
    root = unpacked / "rootfs"
    assert (root / "kept").read_text() == "kept\n"
    assert not (root / "tmp/gone").exists()
    assert {path.stat().st_uid for path in (root, root / "kept", root / "bin/busybox", root / "srv/a")} == {0}
    assert (root / "bin/sh").is_symlink()
    assert config["Cmd"][:2] == ["sh", "-c"]
    again = make_spec(CONTAINER, image=replace(image, rootfs=root, config=config | {"Cmd": ["cat", "/kept"]}))
    driver.spawn(again)
    until(lambda: b"kept" in says(driver, again))


def test_a_container_with_a_file_of_holes_runs_on_and_fills_no_disk(driver, make_spec, state: Path) -> None:
    command = "dd if=/dev/zero of=/holes bs=1 count=1 seek=400G; echo made; sleep 1000"
    spec = make_spec(CONTAINER, image=make_spec.container_image(command))
    driver.spawn(spec)
    until(lambda: b"made" in says(driver, spec))
    with pytest.raises(DriverError, match="holes"):
        driver.snapshot(spec, state / "image")
    assert driver.power(spec.server_id) == PowerState.RUNNING
    assert not list((state / "instances" / spec.server_id).glob("snapshot*"))


def test_a_paused_container_stays_paused(driver, make_spec, state: Path) -> None:
    spec = make_spec(CONTAINER)
    driver.spawn(spec)
    driver.pause(spec.server_id)
    driver.snapshot(spec, state / "image")
    assert driver.power(spec.server_id) == PowerState.PAUSED


@pytest.mark.parametrize("kind", [VM, CONTAINER])
@pytest.mark.parametrize("delay", [0.05, 0.15, 0.4])
def test_an_agent_that_dies_in_a_snapshot_leaves_a_guest_that_runs(
    kind: str, delay: float, driver, make_spec, state: Path
) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    call = f"while True: d.snapshot(spec, Path({str(state)!r}, 'image'))"
    kill_an_agent(state, spec, call, delay)
    driver.recover(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING
    driver.snapshot(spec, state / "image")
    assert driver.power(spec.server_id) == PowerState.RUNNING
    assert not list((state / "instances" / spec.server_id).glob("snapshot*"))

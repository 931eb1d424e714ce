"""Real guests are rescued and brought back, shelved, interrupted; what can't be had is refused with who has it."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import (  # noqa: E402, F401
    KINDS,
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    make_spec,
    says,
    state,
    until,
)

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, DriverError, GuestNotFound, LocalImage  # noqa: E402

pytestmark = NEEDS_LIBVIRT


def virtual_size(path: Path) -> int:
    command = ["qemu-img", "info", "-f", "qcow2", "--output=json", str(path)]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["virtual-size"])


def rescue_image(make_spec, images: Path, how: str) -> LocalImage:
    if how == "kernel":
        return replace(make_spec(VM).image, image_id="rescue")
    disk = images / "tiny/tiny-disk.qcow2"
    return LocalImage("rescue", disk, "qcow2", virtual_size(disk))


@pytest.mark.parametrize("how", ["disk", "kernel"])
def test_a_vm_is_rescued_with_its_own_disk_as_the_second(how: str, driver, make_spec, images, state: Path) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    before = (state / "instances" / spec.server_id / "disk").stat().st_ino
    image = rescue_image(make_spec, images, how)
    for _ in range(2):
        driver.rescue(spec, image)
        assert driver.power(spec.server_id) == PowerState.RUNNING
        assert set(driver.stats(spec.server_id).disks) == {"vda", "vdb"}
    until(lambda: b"login" in says(driver, spec))
    made = driver.snapshot(spec, state / "image")
    assert virtual_size(made.path) == 1 << 30, "not the own disk's image"
    for _ in range(2):
        driver.unrescue(spec)
        assert driver.power(spec.server_id) == PowerState.RUNNING
        assert set(driver.stats(spec.server_id).disks) == {"vda"}
    files = state / "instances" / spec.server_id
    assert (files / "disk").stat().st_ino == before
    assert not (files / "disk.rescue").exists()


def test_a_container_is_rescued_with_its_own_root_inside(driver, make_spec, state: Path) -> None:
    spec = make_spec(
        CONTAINER, image=make_spec.container_image("cat /mended; echo broken > /file; echo up; sleep 1000")
    )
    driver.spawn(spec)
    until(lambda: b"up" in says(driver, spec))
    # The rescue image has a link where the own root shall be: it must not lead anywhere.
    root = spec.image.rootfs.with_name("rescue-rootfs")
    subprocess.run(["cp", "-a", str(spec.image.rootfs), str(root)], check=True)
    (root / "mnt").symlink_to("/var/tmp")
    script = "echo rescued; cat /mnt/own/file; echo mended by rescue > /mnt/own/mended; ls /mnt; sleep 1000"
    image = LocalImage("rescue", root, "raw", 0, rootfs=root, config={"Cmd": ["sh", "-c", script]})
    for _ in range(2):
        driver.rescue(spec, image)
    until(lambda: b"own" in says(driver, spec))
    assert b"rescued\r\nbroken" in says(driver, spec)
    assert says(driver, spec).count(b"rescued") == 1, "it was rescued twice"
    assert not Path("/var/tmp/own").exists()
    made = driver.snapshot(spec, state / "image")
    listed = subprocess.run(["tar", "-xOf", str(made.path)], check=True, capture_output=True).stdout
    assert b"mended by rescue" in listed, "not the own root's image"
    for _ in range(2):
        driver.unrescue(spec)
    until(lambda: says(driver, spec).count(b"mended by rescue") == 1)
    assert not (state / "instances" / spec.server_id / "data.rescue").exists()


def test_a_rescued_guest_can_be_destroyed_and_rebuilt(driver, make_spec, images, state: Path) -> None:
    for kind, image in ((VM, rescue_image(make_spec, images, "disk")), (CONTAINER, None)):
        spec = make_spec(kind)
        driver.spawn(spec)
        driver.rescue(spec, image or replace(spec.image, image_id="rescue"))
        driver.rebuild(spec)
        assert not list((state / "instances" / spec.server_id).glob("*.rescue"))
        driver.rescue(spec, image or replace(spec.image, image_id="rescue"))
        driver.destroy(spec.server_id)
        assert not (state / "instances" / spec.server_id).exists()


@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_a_rescue_that_was_put_away_leaves_no_disk(kind: str, driver, make_spec, images, state: Path) -> None:
    spec = make_spec(kind)
    image = rescue_image(make_spec, images, "disk") if kind == VM else replace(spec.image, image_id="rescue")
    rescue = state / "instances" / spec.server_id / ("disk.rescue" if kind == VM else "data.rescue")
    driver.spawn(spec)
    driver.rescue(spec, image)
    driver.start(spec)  # it runs: nothing is to be done
    assert rescue.exists()
    driver.stop(spec.server_id, 0.0)
    driver.start(spec)
    assert not rescue.exists()
    assert driver.power(spec.server_id) == PowerState.RUNNING


@pytest.mark.parametrize("kind", KINDS)
def test_a_shelved_guest_leaves_its_console_log_alone(kind: str, driver, make_spec, state: Path) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    until(lambda: len(says(driver, spec)) > 0)
    for _ in range(2):
        driver.stop_and_remove(spec.server_id)
    assert all(path.name.startswith("console.log") for path in (state / "instances" / spec.server_id).iterdir())
    assert len(says(driver, spec)) > 0
    with pytest.raises(GuestNotFound):
        driver.power(spec.server_id)
    driver.spawn(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING
    driver.destroy(spec.server_id)
    assert not (state / "instances" / spec.server_id).exists()


def test_an_interrupt_reaches_the_kernel(driver, make_spec) -> None:
    line = "console=ttyS0 no_timer_check tsc=reliable unknown_nmi_panic"
    spec = make_spec(VM, properties={"os_command_line": line})
    driver.spawn(spec)
    until(lambda: b"login" in says(driver, spec))
    driver.pause(spec.server_id)
    driver.crash_dump(spec.server_id)  # it comes when the guest goes on
    assert driver.power(spec.server_id) == PowerState.PAUSED
    assert b"Kernel panic" not in says(driver, spec)
    driver.unpause(spec.server_id)
    until(lambda: b"Kernel panic - not syncing: NMI" in says(driver, spec))
    driver.stop(spec.server_id, 0)
    with pytest.raises(DriverError, match="running guest"):
        driver.crash_dump(spec.server_id)


def test_a_password_needs_an_agent_that_answers(driver, make_spec) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    with pytest.raises(DriverError, match="hw_qemu_guest_agent"):
        driver.set_password(spec.server_id, "root", "secret-1")
    other = make_spec(VM, properties=dict(spec.properties) | {"hw_qemu_guest_agent": "yes"})
    driver.spawn(other)
    start = time.monotonic()
    with pytest.raises(DriverError, match="qemu-ga") as refused:
        driver.set_password(other.server_id, "root", "secret-1")
    assert time.monotonic() - start < 60
    assert "secret-1" not in refused.value.message


def test_what_a_kind_can_not_have_is_refused(driver, make_spec) -> None:
    missing = driver.capabilities().missing
    unikernel, container = make_spec(UNIKERNEL), make_spec(CONTAINER)
    driver.spawn(unikernel)
    driver.spawn(container)
    refused = {
        "unikernel.rescue": lambda: driver.rescue(unikernel, unikernel.image),
        "unikernel.resize_live": lambda: driver.resize_live(unikernel),
        "unikernel.set_password": lambda: driver.set_password(unikernel.server_id, "root", "x"),
        "container.set_password": lambda: driver.set_password(container.server_id, "root", "x"),
        "container.crash_dump": lambda: driver.crash_dump(container.server_id),
    }
    for name, call in refused.items():
        assert name in missing
        with pytest.raises(DriverError, match=r"VM|container"):
            call()

"""Real guests of each kind are resized, confirmed, reverted and rebuilt, each twice, and cut off half-way."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

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
    kill_an_agent,
    make_spec,
    says,
    state,
    until,
)

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.virt.driver import CONTAINER, VM, DriverError, GuestNotFound  # noqa: E402
from nova_lite.virt.libvirt import disks  # noqa: E402

pytestmark = NEEDS_LIBVIRT
GIB = 1 << 30


def size(driver, spec) -> tuple[int, int]:
    return driver._need(spec.server_id)[0].domains.size(spec.server_id)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resize_is_taken_back_and_done_again_and_confirmed(kind: str, driver, make_spec, state: Path) -> None:
    small = make_spec(kind)
    large = replace(small, vcpus=2, memory_mb=small.memory_mb + 32, disk_gb=2)
    driver.spawn(small)
    files = state / "instances" / small.server_id
    for _ in range(2):
        driver.resize(large)
        assert driver.power(small.server_id) == PowerState.RUNNING
        assert size(driver, small) == (2, large.memory_mb)
    if kind == VM:
        assert disks.virtual_size(files / "disk") == 2 * GIB
    if kind == CONTAINER:
        assert (files / "data.img").stat().st_size == 2 * GIB
    for _ in range(2):
        driver.revert_resize(small)
        assert driver.power(small.server_id) == PowerState.RUNNING
        assert size(driver, small) == (1, small.memory_mb)
    if kind == VM:
        assert disks.virtual_size(files / "disk") == GIB
    if kind == CONTAINER:
        assert (files / "data.img").stat().st_size == GIB
    driver.resize(large)
    assert [path for path in files.iterdir() if ".before" in path.name or ".none" in path.name]
    for _ in range(2):
        driver.confirm_resize(small.server_id)
        assert driver.power(small.server_id) == PowerState.RUNNING
    assert not [path for path in files.iterdir() if ".before" in path.name or ".none" in path.name]
    if kind in (VM, CONTAINER):
        with pytest.raises(DriverError, match="smaller"):
            driver.resize(small)
    assert size(driver, small) == (2, large.memory_mb)
    driver.destroy(small.server_id)
    assert not files.exists()


def test_a_resize_of_nothing_is_an_error(driver, make_spec) -> None:
    spec = make_spec(CONTAINER)
    for action in (lambda: driver.resize(spec), lambda: driver.confirm_resize(spec.server_id)):
        with pytest.raises(GuestNotFound):
            action()


def test_a_container_sees_its_larger_disk_and_keeps_or_loses_what_it_wrote(driver, make_spec) -> None:
    image = make_spec.container_image(
        "cat /count; echo x >> /count; echo end$(wc -l < /count) size=$(df -m / | tail -1); sleep 1000"
    )
    for applet in ("df", "tail", "wc"):
        (image.rootfs / "bin" / applet).symlink_to("/bin/busybox")
    small = make_spec(CONTAINER, image=image)
    driver.spawn(small)
    until(lambda: b"end1" in says(driver, small))
    large = replace(small, disk_gb=3)
    driver.resize(large)
    until(lambda: b"end2" in says(driver, small))
    until(lambda: b"\n" in says(driver, small).split(b"end2")[1])
    shown = int(says(driver, small).split(b"end2")[1].split()[1])
    assert 2800 < shown <= 3072
    driver.revert_resize(small)
    # Back to what was written before the resize: one line, so the next start counts two again.
    until(lambda: says(driver, small).count(b"end2") == 2)
    driver.rebuild(small)
    until(lambda: says(driver, small).count(b"end1") == 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rebuild_begins_anew(kind: str, driver, make_spec, state: Path) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    files = state / "instances" / spec.server_id
    own = files / ("data.img" if kind == CONTAINER else "disk")
    before = own.stat().st_mtime_ns if own.exists() else 0
    for _ in range(2):
        driver.rebuild(spec)
        assert driver.power(spec.server_id) == PowerState.RUNNING
    if before:
        assert own.stat().st_mtime_ns != before
    until(lambda: len(says(driver, spec)) > 0)


def test_a_rebuild_from_another_image(driver, make_spec) -> None:
    spec = make_spec(CONTAINER)
    driver.spawn(spec)
    until(lambda: b"ready" in says(driver, spec))
    driver.rebuild(replace(spec, image=make_spec.container_image("echo another; sleep 1000")))
    until(lambda: b"another" in says(driver, spec))


@pytest.mark.parametrize("kind", [VM, CONTAINER])
@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.5])
def test_an_agent_that_dies_in_a_resize_is_no_harm(kind: str, delay: float, driver, make_spec, state: Path) -> None:
    small = make_spec(kind)
    driver.spawn(small)
    large = replace(small, memory_mb=small.memory_mb + 32, disk_gb=2)
    kill_an_agent(state, large, "d.resize(spec)", delay)
    driver.resize(large)
    assert driver.power(small.server_id) == PowerState.RUNNING
    assert size(driver, small)[1] == large.memory_mb
    driver.revert_resize(small)
    assert size(driver, small)[1] == small.memory_mb
    assert driver.power(small.server_id) == PowerState.RUNNING


def all_said(driver, spec) -> bytes:
    """Return what a guest said that has ended, when nothing of it has come for a second: another process writes it down."""
    seen = says(driver, spec)
    while True:
        time.sleep(1)
        before, seen = seen, says(driver, spec)
        if seen == before:
            return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_is_to_be_stopped_never_runs_meanwhile(kind: str, driver, make_spec) -> None:
    small = make_spec(kind)
    large = replace(small, vcpus=2, memory_mb=small.memory_mb + 32)
    driver.spawn(small)
    until(lambda: len(says(driver, small)) > 0)
    driver.stop(small.server_id, 0)
    said = all_said(driver, small)
    for _ in range(2):
        driver.resize(large, run=False)
    for _ in range(2):
        driver.revert_resize(small, run=False)
    for _ in range(2):
        driver.rebuild(small, run=False)
    assert driver.power(small.server_id) == PowerState.SHUTDOWN
    assert says(driver, small) == said
    driver.start(large)
    assert size(driver, small) == (2, large.memory_mb)

"""The fake driver has all of the abilities, refuses as the real one does, and each may be asked for twice."""

from __future__ import annotations

import json
import socket
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import guest_spec

from nova_lite.compute.transitions import PowerState
from nova_lite.virt import abilities, refusals
from nova_lite.virt.driver import CONTAINER, KINDS, UNIKERNEL, VM, DriverError, GuestNotFound, GuestSpec
from nova_lite.virt.fake import FakeDriver
from nova_lite.virt.fake_abilities import foreign_uuid


def started(kind: str, **changes: object) -> tuple[FakeDriver, GuestSpec]:
    driver, spec = FakeDriver(), guest_spec(kind, **changes)
    driver.spawn(spec)
    return driver, spec


def test_it_has_every_ability() -> None:
    protocols = ("Snapshots", "Rescues", "Resizes", "ResizesLive", "ShelvesDisks", "Dumps", "SetsPasswords", "Consoles")
    for name in (*protocols, "Adopts"):
        assert isinstance(FakeDriver(), getattr(abilities, name)), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_resize_is_confirmed_or_taken_back(kind: str) -> None:
    driver, small = started(kind)
    large = replace(small, vcpus=4, memory_mb=512, disk_gb=3)
    for _ in range(2):
        driver.resize(large)
        assert driver.stats(small.server_id).memory_mb == 512
    assert driver.inventory().disk_free_gb == driver.capacity.disk_free_gb - 3
    for _ in range(2):
        driver.revert_resize(small)
        assert driver.stats(small.server_id).memory_mb == 256
    driver.resize(large)
    for _ in range(2):
        driver.confirm_resize(small.server_id)
    with pytest.raises(DriverError, match="smaller"):
        driver.resize(small)
    with pytest.raises(GuestNotFound):
        FakeDriver().resize(large)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rebuild_runs_whatever_it_was_doing(kind: str) -> None:
    driver, spec = started(kind)
    driver.stop(spec.server_id, 0)
    for _ in range(2):
        driver.rebuild(spec)
        assert driver.power(spec.server_id) == PowerState.RUNNING
    driver.lose(spec.server_id)
    driver.rebuild(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING


def test_a_start_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process may die between any two things that it writes; then nobody boots a guest for the second time that runs already."""
    spec = guest_spec(VM)
    driver = FakeDriver(database=tmp_path / "guests.db")
    driver.spawn(spec)
    driver.rescue(spec, replace(spec.image, image_id="rescue"))
    keep = driver._keep

    def die(server_id: str, name: str, value: object) -> None:
        keep(server_id, name, value)
        if name == "started":
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(driver, "_keep", die)
        with pytest.raises(KeyboardInterrupt):
            driver.unrescue(spec)
    again = FakeDriver(database=tmp_path / "guests.db")
    assert again.console(spec.server_id, 9999).count(b"started") == 2
    for _ in range(2):
        again.unrescue(spec)
        assert again.console(spec.server_id, 9999).count(b"started") == 3


@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_a_rescue_and_its_end(kind: str) -> None:
    driver, spec = started(kind)
    for _ in range(2):
        driver.rescue(spec, replace(spec.image, image_id="rescue"))
    assert driver.console(spec.server_id, 9999).count(b"started") == 2
    for _ in range(2):
        driver.unrescue(spec)
    assert driver.console(spec.server_id, 9999).count(b"started") == 3


def test_snapshots_are_what_they_say(tmp_path: Path) -> None:
    driver, spec = started(VM)
    made = driver.snapshot(spec, tmp_path / "image")
    assert (made.disk_format, made.container_format) == ("ami", "ami")
    assert made.size == made.path.stat().st_size
    plain = replace(spec, image=replace(spec.image, disk_format="qcow2", kernel=None, ramdisk=None))
    assert driver.snapshot(plain, tmp_path / "image").container_format == "bare"
    driver, spec = started(CONTAINER)
    made = driver.snapshot(replace(spec, image=replace(spec.image, config={"Cmd": ["x"]})), tmp_path / "image")
    assert made.container_format == "docker"
    with tarfile.open(made.path) as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        digest = index["manifests"][0]["digest"].removeprefix("sha256:")
        manifest = json.load(archive.extractfile(f"blobs/sha256/{digest}"))  # type: ignore[arg-type]
        assert len(manifest["layers"]) == 1


def test_a_live_resize_stays_within_what_was_reserved() -> None:
    driver, spec = started(VM)
    with pytest.raises(DriverError, match="max_vcpus"):
        driver.resize_live(replace(spec, vcpus=3))
    room = {refusals.MAX_VCPUS: "4", refusals.MAX_MEMORY_MB: "1024"}
    driver, spec = started(VM, extra_specs=room)
    for _ in range(2):
        driver.resize_live(replace(spec, vcpus=4, memory_mb=1000))
    assert driver.stats(spec.server_id).memory_mb == 1000
    driver.stop(spec.server_id, 0)
    with pytest.raises(DriverError, match="running"):
        driver.resize_live(spec)
    driver, spec = started(CONTAINER)
    driver.resize_live(replace(spec, memory_mb=99_999))
    with pytest.raises(DriverError, match="number"):
        FakeDriver().spawn(guest_spec(VM, extra_specs={refusals.MAX_VCPUS: "many"}))


def test_a_shelved_guest_leaves_its_console() -> None:
    driver, spec = started(VM)
    for _ in range(2):
        driver.stop_and_remove(spec.server_id)
    assert driver.observe() == []
    assert driver.console(spec.server_id, 999).count(b"started") == 1
    driver.spawn(spec)
    assert driver.console(spec.server_id, 999).count(b"started") == 2
    driver.destroy(spec.server_id)
    with pytest.raises(GuestNotFound):
        driver.console(spec.server_id, 999)


def test_what_a_kind_can_not_have_is_refused_with_who_has_it() -> None:
    driver = FakeDriver()
    missing = driver.capabilities().missing
    for kind in KINDS:
        spec = guest_spec(kind, server_id=guest_spec(kind).server_id[:-1] + str(KINDS.index(kind)))
        driver.spawn(spec)
        ident = spec.server_id
        calls = {
            "rescue": lambda spec=spec: driver.rescue(spec, spec.image),
            "resize_live": lambda spec=spec: driver.resize_live(spec),
            "crash_dump": lambda ident=ident: driver.crash_dump(ident),
            "set_password": lambda ident=ident: driver.set_password(ident, "root", "secret"),
            "console.novnc": lambda ident=ident: driver.console_target(ident, "novnc"),
            "console.spice-html5": lambda ident=ident: driver.console_target(ident, "spice-html5"),
        }
        for ability, call in calls.items():
            if f"{kind}.{ability}" in missing:
                with pytest.raises(DriverError) as refused:
                    call()
                assert refused.value.code == "driver.unsupported"
                assert any(word in refused.value.message for word in ("VM", "container", "running"))
    assert f"{UNIKERNEL}.rescue" in missing


def test_passwords_screens_and_interrupts_are_what_the_image_asked_for() -> None:
    driver, spec = started(VM, properties={"hw_video_model": "none"})
    for call in (
        lambda: driver.set_password(spec.server_id, "root", "secret"),
        lambda: driver.console_target(spec.server_id, "novnc"),
        lambda: driver.console_target(spec.server_id, "spice-html5"),
    ):
        with pytest.raises(DriverError, match="hw_"):
            call()
    driver, spec = started(VM, properties={"hw_qemu_guest_agent": "yes"})
    driver.set_password(spec.server_id, "root", "secret")
    driver.pause(spec.server_id)
    driver.crash_dump(spec.server_id)
    driver.unpause(spec.server_id)
    assert b"NMI" in driver.console(spec.server_id, 100)
    for kind, greeting, said, answer in (
        ("serial", b"fake console\r\n", b"hello", b"hello"),
        ("novnc", b"RFB 003.008\n", b"RFB 003.008\n", b"\1\1"),
    ):
        target = driver.console_target(spec.server_id, kind)
        with socket.create_connection((target.host, target.port), timeout=60) as connection:
            assert connection.recv(100) == greeting
            connection.sendall(said)
            assert connection.recv(100) == answer
    driver.stop(spec.server_id, 0)
    with pytest.raises(DriverError, match="start it"):
        driver.console_target(spec.server_id, "serial")


def test_a_stranger_is_adopted_under_its_own_uuid() -> None:
    driver = FakeDriver()
    driver.add_foreign("other")
    seen = driver.describe("other")
    ident = str(seen["uuid"])
    assert ident == foreign_uuid("other")
    with pytest.raises(DriverError, match="UUID"):
        driver.adopt("other", guest_spec(VM).server_id)
    for _ in range(2):
        driver.adopt("other", ident)
    assert driver.power(ident) == PowerState.RUNNING
    assert [guest.server_id for guest in driver.observe()] == [ident]
    with pytest.raises(GuestNotFound):
        driver.describe("nobody")

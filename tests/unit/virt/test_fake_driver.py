"""The fake driver keeps the protocol's promises and has its knobs."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guest_specs import guest_spec

import nova_lite.conf
from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import CONTAINER, KINDS, UNIKERNEL, VM, Driver, DriverError, GuestNotFound, Inventory
from nova_lite.virt.fake import FakeDriver, Faults, Latency
from nova_lite.virt.load import load_driver


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_lives_through_every_action_twice(kind: str) -> None:
    driver, spec = FakeDriver(), guest_spec(kind)
    ident = spec.server_id
    assert isinstance(driver, Driver)
    steps = [
        (lambda: driver.spawn(spec), PowerState.RUNNING),
        (lambda: driver.pause(ident), PowerState.PAUSED),
        (lambda: driver.unpause(ident), PowerState.RUNNING),
        (lambda: driver.suspend(ident), PowerState.PAUSED if kind == CONTAINER else PowerState.SHUTDOWN),
        (lambda: driver.resume(spec), PowerState.RUNNING),
        (lambda: driver.stop(ident, 1), PowerState.SHUTDOWN),
        (lambda: driver.start(spec), PowerState.RUNNING),
        (lambda: driver.reboot(spec, hard=True, grace_s=0), PowerState.RUNNING),
    ]
    for step, power in steps:
        for _ in range(2):
            step()
            assert driver.power(ident) == power
    assert [(g.server_id, g.power, g.kind) for g in driver.observe()] == [(ident, PowerState.RUNNING, kind)]
    assert driver.stats(ident).nics == {"nltap1": (0, 0)}
    assert driver.console(ident, 1000).count(b"started") == 4
    for _ in range(2):
        driver.destroy(ident)
    for question in (driver.power, driver.stats, driver.pause, lambda i: driver.console(i, 1)):
        with pytest.raises(GuestNotFound):
            question(ident)
    assert driver.recover(spec) == PowerState.NOSTATE


def test_guests_outlive_the_process_where_a_file_keeps_them(tmp_path: Path) -> None:
    conf = nova_lite.conf.load([], {"state_path": str(tmp_path), "fake.persist": True, "fake.vcpus": 3})
    FakeDriver.from_conf(conf).spawn(guest_spec(VM))
    again = FakeDriver.from_conf(conf)
    assert again.recover(guest_spec(VM)) == PowerState.RUNNING
    assert again.inventory().vcpus == 3
    again.reboot_host()
    assert again.power(guest_spec(VM).server_id) == PowerState.SHUTDOWN


def test_faults_come_when_they_are_asked_for() -> None:
    driver = FakeDriver(faults=Faults(next_errors={"spawn": ["once"]}))
    with pytest.raises(DriverError, match="once"):
        driver.spawn(guest_spec(VM))
    assert driver.observe() == []
    driver.faults = Faults(rate=1.0, actions=frozenset({"spawn"}), after=True)
    with pytest.raises(DriverError):
        driver.spawn(guest_spec(VM))
    assert len(driver.observe()) == 1, "the answer was lost, not the work"
    driver.faults.unreachable = True
    with pytest.raises(DriverError):
        driver.observe()


def test_chance_repeats_with_its_seed() -> None:
    def outcomes(seed: int) -> list[bool]:
        driver, seen = FakeDriver(faults=Faults(rate=0.5), seed=seed), []
        for _ in range(50):
            try:
                driver.observe()
                seen.append(True)
            except DriverError:
                seen.append(False)
        return seen

    assert outcomes(1) == outcomes(1)
    assert outcomes(1) != outcomes(2)


def test_latency_and_capacity() -> None:
    driver = FakeDriver(
        capacity=Inventory(2, 100, 10, 10), latency=Latency(0, actions={"spawn": 0.05}), kinds=(UNIKERNEL,)
    )
    start = time.monotonic()
    driver.spawn(guest_spec(UNIKERNEL))
    assert time.monotonic() - start >= 0.05
    assert driver.inventory() == Inventory(2, 100, 10, 9)
    assert VM in driver.capabilities().missing
    with pytest.raises(DriverError):
        driver.spawn(guest_spec(VM))


def test_what_happens_behind_the_drivers_back() -> None:
    driver, spec = FakeDriver(), guest_spec(VM)
    driver.add_foreign("other")
    driver.spawn(spec)
    driver.crash(spec.server_id)
    assert driver.power(spec.server_id) == PowerState.CRASHED
    with pytest.raises(DriverError):
        driver.pause(spec.server_id)
    with pytest.raises(DriverError, match="saved"):
        driver.resume(spec)
    driver.start(spec)
    driver.power_off(spec.server_id)
    driver.lose(spec.server_id)
    assert [guest.server_id for guest in driver.observe()] == [None]


def test_many_threads_and_many_guests() -> None:
    driver = FakeDriver()

    def work() -> None:
        for _ in range(100):
            spec = replace(guest_spec(VM), server_id=str(uuid.uuid4()))
            driver.spawn(spec)
            driver.stop(spec.server_id, 0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [guest.power for guest in driver.observe()] == [PowerState.SHUTDOWN] * 800


def test_the_configuration_names_the_driver(tmp_path: Path) -> None:
    conf = nova_lite.conf.load([], {"state_path": str(tmp_path), "compute.driver": "fake"})
    assert isinstance(load_driver(conf), FakeDriver)
    pytest.importorskip("libvirt")
    conf = nova_lite.conf.load([], {"state_path": str(tmp_path), "compute.driver": "libvirt"})
    assert isinstance(load_driver(conf), Driver)

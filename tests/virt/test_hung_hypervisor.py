"""A hypervisor that hangs: a QEMU that is stopped answers nothing, nor does a libvirtd that is; one guest is not the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import command_lines

pytest.importorskip("libvirt")

from driver_fixtures import NEEDS_LIBVIRT, bridge, images, make_driver, make_spec, state, until  # noqa: F401
from test_driver_connection import OwnLibvirtd, libvirtd  # noqa: F401

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import UNIKERNEL, VM, DriverTimeout, GuestSpec
from nova_lite.virt.libvirt.connection import Connection
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT
CALL_TIMEOUT_S = 8.0


@pytest.fixture
def driver(state: Path) -> Iterator[LibvirtDriver]:  # noqa: F811
    made = make_driver(state, **{"libvirt.call_timeout": CALL_TIMEOUT_S})
    yield made
    patient = make_driver(state)
    for entry in (state / "instances").glob("*-*"):
        patient.destroy(entry.name)


def qemu_of(server_id: str) -> int:
    """Return the process that runs a guest."""
    for pid, line in command_lines():
        words = line.split(b"\0")
        if server_id.encode() in words or any(server_id.encode() in word and b"guest=" in word for word in words):
            return pid
    raise AssertionError(f"no process of {server_id}")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # it was ended meanwhile, as some of this is about


def powers(driver: LibvirtDriver) -> dict[str | None, PowerState]:
    return {guest.server_id: guest.power for guest in driver.observe()}


def test_a_guest_that_hangs_is_unknown_and_the_others_go_on(
    driver: LibvirtDriver,
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    hung, well = make_spec(UNIKERNEL), make_spec(UNIKERNEL)
    patient = make_driver(state)
    patient.spawn(hung)
    patient.spawn(well)
    with stopped(qemu_of(hung.server_id)):
        began = time.monotonic()
        with pytest.raises(DriverTimeout):
            driver.pause(hung.server_id)
        # What is asked next costs nothing of libvirtd's, however often.
        for _ in range(3):
            with pytest.raises(DriverTimeout):
                driver.pause(hung.server_id)
        assert time.monotonic() - began < 3 * CALL_TIMEOUT_S, "only the first has waited"
        assert driver.power(hung.server_id) is PowerState.NOSTATE
        assert powers(driver)[hung.server_id] is PowerState.NOSTATE
        began = time.monotonic()
        driver.pause(well.server_id)
        assert driver.power(well.server_id) is PowerState.PAUSED
        driver.unpause(well.server_id)
        driver.stats(well.server_id)
        assert time.monotonic() - began < 4 * CALL_TIMEOUT_S, "none of the four has waited"
    # It goes on: what was asked of it has been done meanwhile, and it is seen again.
    until(lambda: driver.power(hung.server_id) is not PowerState.NOSTATE)
    driver.unpause(hung.server_id)
    assert powers(driver)[hung.server_id] is PowerState.RUNNING


def test_a_guest_that_hangs_can_be_ended(
    driver: LibvirtDriver,
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    state: Path,  # noqa: F811
) -> None:
    spec = make_spec(VM)
    patient = make_driver(state, **{"libvirt.call_timeout": 120.0})
    patient.spawn(spec)
    with stopped(qemu_of(spec.server_id)):
        with pytest.raises(DriverTimeout):
            driver.pause(spec.server_id)
        # libvirt waits some seconds for SIGTERM before it takes SIGKILL, which a stopped process does not escape.
        patient.reboot(spec, hard=True, grace_s=0.0)
    until(lambda: driver.power(spec.server_id) is PowerState.RUNNING)
    with stopped(qemu_of(spec.server_id)):
        patient.stop(spec.server_id, 1.0)
        assert patient.power(spec.server_id) is PowerState.SHUTDOWN


def test_a_libvirtd_that_hangs_costs_its_callers_their_time_and_no_more(libvirtd: OwnLibvirtd) -> None:  # noqa: F811
    connection = Connection(f"test+unix:///default?socket={libvirtd.socket}", 60.0)
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    assert libvirtd.process is not None
    destroyed = threading.Event()
    with stopped(libvirtd.process.pid):
        before = threading.active_count()
        for _ in range(6):
            began = time.monotonic()
            with pytest.raises(DriverTimeout):
                connection.call("count", lambda conn: (conn.numOfDomains(), destroyed.set()), 1.0)
            assert time.monotonic() - began < 10
        assert threading.active_count() <= before + 6
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    until(lambda: threading.active_count() <= before)


def test_a_libvirtd_that_hangs_and_is_killed_lets_its_callers_go(libvirtd: OwnLibvirtd) -> None:  # noqa: F811
    connection = Connection(f"test+unix:///default?socket={libvirtd.socket}", 60.0)
    assert connection.call("count", lambda conn: conn.numOfDomains()) == 1
    assert libvirtd.process is not None
    before = threading.active_count()
    os.kill(libvirtd.process.pid, signal.SIGSTOP)
    with pytest.raises(DriverTimeout):
        connection.call("count", lambda conn: conn.numOfDomains(), 1.0, guest="one")
    assert connection.is_stuck("one")
    libvirtd.kill()
    until(lambda: threading.active_count() <= before)
    assert not connection.is_stuck("one")
    libvirtd.start()
    assert connection.call("count", lambda conn: conn.numOfDomains(), guest="one") == 1

"""libvirt's events for real: guests that die, are killed or vanish are told of, whatever becomes of libvirtd."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

import libvirt
from driver_fixtures import (  # noqa: F401
    KINDS,
    NEEDS_LIBVIRT,
    bridge,
    driver,
    images,
    make_spec,
    state,
    until,
)
from test_driver_connection import OwnLibvirtd, libvirtd  # noqa: F401
from test_hung_hypervisor import stopped

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.abilities import Change, TellsChanges
from nova_lite.virt.driver import CONTAINER, VM, GuestSpec
from nova_lite.virt.libvirt.driver import LibvirtDriver
from nova_lite.virt.libvirt.guest_events import GuestEvents

pytestmark = NEEDS_LIBVIRT
ENDED = (PowerState.SHUTDOWN, PowerState.CRASHED, None)


class Told:
    """What a driver has told so far."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, change: Change) -> None:
        self.changes.append(change)

    def of(self, server_id: str | None) -> list[PowerState | None]:
        return [change.power for change in self.changes if change.server_id == server_id]

    def missed(self) -> int:
        return len(self.of(None))


@pytest.fixture
def told(driver: LibvirtDriver) -> Iterator[Told]:  # noqa: F811
    assert isinstance(driver, TellsChanges)
    heard = Told()
    leave = driver.watch(heard)
    until(lambda: heard.missed() == 2)  # both addresses are listened to
    yield heard
    leave()


def process_of(driver: LibvirtDriver, spec: GuestSpec) -> int:  # noqa: F811
    guests = driver._by_kind[spec.kind]
    if spec.kind == CONTAINER:
        view = guests.domains.view(spec.server_id)
        assert view is not None
        return view.pid
    name = guests.domains.on(spec.server_id, "name", lambda domain: domain.name())
    return int(Path(f"/run/libvirt/qemu/{name}.pid").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_is_killed_is_told_of_at_once(
    driver: LibvirtDriver,  # noqa: F811
    told: Told,
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    kind: str,
) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    until(lambda: PowerState.RUNNING in told.of(spec.server_id))
    os.kill(process_of(driver, spec), signal.SIGKILL)
    # Nobody but libvirt's events could tell. It takes a second or two to clear up after a container whose controller was killed.
    until(lambda: told.of(spec.server_id)[-1] in ENDED)
    # What is told is so already: a look finds it.
    assert driver.power(spec.server_id) in (PowerState.SHUTDOWN, PowerState.CRASHED)


def test_a_container_that_ends_by_itself_is_told_of(
    driver: LibvirtDriver,  # noqa: F811
    told: Told,
    make_spec: Callable[..., GuestSpec],  # noqa: F811
) -> None:
    spec = make_spec(CONTAINER, image=make_spec.container_image("sleep 1"))  # type: ignore[attr-defined]
    driver.spawn(spec)
    until(lambda: told.of(spec.server_id)[-1:] == [PowerState.SHUTDOWN])


def test_what_our_own_calls_do_is_told_too_and_who_left_hears_nothing(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
) -> None:
    heard, gone = Told(), Told()
    leave, leave_at_once = driver.watch(heard), driver.watch(gone)
    until(lambda: heard.missed() == 2 and gone.missed() == 2)
    leave_at_once()
    spec = make_spec(VM)
    driver.spawn(spec)
    driver.pause(spec.server_id)
    driver.unpause(spec.server_id)
    driver.destroy(spec.server_id)
    until(lambda: heard.of(spec.server_id)[-1:] == [None])
    assert PowerState.PAUSED in heard.of(spec.server_id)
    assert PowerState.SHUTDOWN in heard.of(spec.server_id)
    assert gone.of(spec.server_id) == []
    leave()


def cycle(own: OwnLibvirtd) -> str:
    """End and begin the test driver's one guest; return its id."""
    connection = libvirt.open(f"test+unix:///default?socket={own.socket}")
    domain = connection.lookupByName("test")
    domain.destroy()
    domain.create()
    found: str = domain.UUIDString()
    connection.close()
    return found


def test_a_libvirtd_that_dies_is_listened_to_again(libvirtd: OwnLibvirtd) -> None:  # noqa: F811
    told = Told()
    events = GuestEvents(f"test+unix:///default?socket={libvirtd.socket}", told)
    events.start()
    for life in range(1, 4):
        until(lambda life=life: told.missed() == life)  # type: ignore[misc]
        told_before = len(told.changes)
        guest = cycle(libvirtd)
        until(lambda before=told_before: len(told.changes) >= before + 2)  # type: ignore[misc]
        assert told.of(guest)[-2:] == [PowerState.SHUTDOWN, PowerState.RUNNING]
        libvirtd.kill()
        libvirtd.start()
    events.stop()


def test_a_libvirtd_that_hangs_holds_up_nobody_and_is_heard_when_it_goes_on(libvirtd: OwnLibvirtd) -> None:  # noqa: F811
    uri = f"test+unix:///default?socket={libvirtd.socket}"
    told, late = Told(), Told()
    events, another = GuestEvents(uri, told), GuestEvents(uri, late)
    events.start()
    until(lambda: told.missed() == 1)
    assert libvirtd.process is not None
    with stopped(libvirtd.process.pid):
        began = time.monotonic()
        another.start()
        time.sleep(0.5)
        assert late.missed() == 0
        assert time.monotonic() - began < 30.0
    until(lambda: late.missed() == 1)
    guest = cycle(libvirtd)
    until(lambda: PowerState.RUNNING in told.of(guest) and PowerState.RUNNING in late.of(guest))
    # One that hangs and is killed lets its listeners go, who come back.
    os.kill(libvirtd.process.pid, signal.SIGSTOP)
    libvirtd.kill()
    libvirtd.start()
    until(lambda: told.missed() == 2 and late.missed() == 2)
    events.stop()
    another.stop()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == f"events of {uri}"])


def test_a_storm_of_events_costs_little(libvirtd: OwnLibvirtd) -> None:  # noqa: F811
    told = Told()
    events = GuestEvents(f"test+unix:///default?socket={libvirtd.socket}", told)
    events.start()
    until(lambda: told.missed() == 1)
    script = "".join("suspend test\nresume test\n" for _ in range(500))
    before = time.process_time()
    subprocess.run(
        ["virsh", "-q", "-c", f"test+unix:///default?socket={libvirtd.socket}"],
        input=script,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: len(told.changes) >= 1001)
    assert time.process_time() - before < 2.0
    events.stop()

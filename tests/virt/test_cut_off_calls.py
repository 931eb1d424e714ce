"""What an agent that died had asked of libvirt, or had not yet asked, is no harm to the next one's call."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import NEEDS_LIBVIRT, bridge, driver, images, make_driver, make_spec, state, until  # noqa: F401

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import CONTAINER, VM, GuestSpec
from nova_lite.virt.libvirt import container_limits
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT


class Died(BaseException):
    """The agent's process ends here."""


def test_a_save_that_is_under_way_already_is_success(driver, make_spec) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    began, outcomes = threading.Barrier(2), []

    def suspend() -> None:
        began.wait()
        try:
            driver.suspend(spec.server_id)
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=suspend) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == []
    assert driver.power(spec.server_id) == PowerState.SHUTDOWN
    driver.resume(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING


def test_a_container_that_goes_on_already_is_success(driver, make_spec) -> None:
    spec = make_spec(CONTAINER)
    driver.spawn(spec)
    driver.pause(spec.server_id)
    guests, _ = driver._need(spec.server_id)
    for _ in range(2):
        guests.domains.go_on(spec.server_id, "unpause")
    assert driver.power(spec.server_id) == PowerState.RUNNING


def rescue(driver: LibvirtDriver, spec: GuestSpec) -> None:
    driver.rescue(spec, replace(spec.image, image_id="rescue"))


def unrescue(driver: LibvirtDriver, spec: GuestSpec) -> None:
    driver.unrescue(spec)


def resize(driver: LibvirtDriver, spec: GuestSpec) -> None:
    driver.resize(replace(spec, memory_mb=spec.memory_mb * 2))


@pytest.mark.parametrize("call", [rescue, unrescue, resize])
def test_what_libvirt_can_not_set_is_set_by_the_next_attempt(
    call: Callable[[LibvirtDriver, GuestSpec], None], driver, make_spec, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent dies when the container has just been started: it may still make user namespaces, and nobody reads its console."""
    spec = make_spec(CONTAINER)
    driver.spawn(spec)
    if call is unrescue:
        rescue(driver, spec)
    with monkeypatch.context() as patched:
        patched.setattr(container_limits, "apply", _die)
        with pytest.raises(Died):
            call(driver, spec)
    assert namespaces(driver, spec) != "0"
    call(make_driver(state), spec)
    assert namespaces(driver, spec) == "0"
    until(lambda: is_read(state / "instances" / spec.server_id / "console.lock"))


def _die(*_arguments: object) -> None:
    raise Died


def namespaces(driver: LibvirtDriver, spec: GuestSpec) -> str:
    """Return how many user namespaces may be made inside the container."""
    _, view = driver._need(spec.server_id)
    first = container_limits.first_process(view.pid)
    line = ["nsenter", "--user", f"--target={first}", "--", "cat", "/proc/sys/user/max_user_namespaces"]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def is_read(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

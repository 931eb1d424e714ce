"""A guest's end that an agent's death has cut off, wherever it was, leaves nothing once it is asked for again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from driver_fixtures import KINDS, NEEDS_LIBVIRT, bridge, driver, images, make_spec, state  # noqa: F401

from nova_lite.virt.driver import CONTAINER, GuestSpec
from nova_lite.virt.libvirt import guest_cgroups
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT
PLACES = ("/run/libvirt/lxc", "/run/libvirt/qemu", "/var/log/libvirt/lxc", "/var/log/libvirt/qemu", "/etc/libvirt/qemu")


def kept(server_id: str) -> list[str]:
    """Return what libvirt and the kernel have of a guest."""
    files = [path for place in PLACES for path in Path(place).glob(f"*{server_id}*")]
    return [str(path) for path in (*guest_cgroups.of(server_id), *files)]


@pytest.mark.parametrize("kind", KINDS)
def test_after_libvirt_has_forgotten_it(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    kind: str,
) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    guests, view = driver._need(spec.server_id)
    guests.kill(view)
    guests.remove(spec.server_id)
    assert driver._find(spec.server_id) is None
    assert kept(spec.server_id) != []  # here the agent died
    driver.destroy(spec.server_id)
    assert kept(spec.server_id) == []


@pytest.mark.parametrize("kind", KINDS)
def test_libvirt_starts_it_after_it_was_looked_at(
    driver: LibvirtDriver,  # noqa: F811
    make_spec: Callable[..., GuestSpec],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    spec = make_spec(kind)
    driver.spawn(spec)
    driver.stop(spec.server_id, 0.0)
    stale = [driver._find(spec.server_id)]
    driver.start(spec)  # what a dead agent has asked for
    look = driver._find
    monkeypatch.setattr(driver, "_find", lambda server_id: stale.pop() if stale else look(server_id))
    driver.destroy(spec.server_id)
    assert stale == []
    assert look(spec.server_id) is None
    assert kept(spec.server_id) == []
    assert not driver._instances.at(spec.server_id).path.exists()


@pytest.fixture
def lost(make_spec: Callable[..., GuestSpec]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:  # noqa: F811
    """A frozen process in the groups that libvirt_lxc makes, of a container that libvirt does not know."""
    server_id = make_spec(CONTAINER).server_id
    freezer = guest_cgroups.ROOT / "freezer"
    if not freezer.is_dir():
        pytest.skip("no freezer of cgroup v1")
    groups = [
        freezer / "machine" / f"lxc-1-nl-{server_id}.libvirt-lxc",
        guest_cgroups.ROOT / f"pids/nova-lite/nl-{server_id}",
    ]
    process = subprocess.Popen(["sleep", "600"])
    for group in groups:
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text(str(process.pid))
    (groups[0] / "freezer.state").write_text("FROZEN")
    yield server_id, process
    if (groups[0] / "freezer.state").exists():
        (groups[0] / "freezer.state").write_text("THAWED")
    process.kill()
    process.wait()
    for group in groups:
        if group.exists():
            group.rmdir()


def test_a_process_that_libvirt_has_lost_is_ended(
    driver: LibvirtDriver,  # noqa: F811
    lost: tuple[str, subprocess.Popen[bytes]],
) -> None:
    server_id, process = lost
    assert len(guest_cgroups.of(server_id)) == 2
    driver.destroy(server_id)
    assert process.wait(60) == -signal.SIGKILL
    assert guest_cgroups.of(server_id) == []

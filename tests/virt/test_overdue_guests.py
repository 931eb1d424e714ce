"""Real guests of which an action was done too late: its deadline has ended it, and what it had begun is undone on its host.

The cloud is the one of the functional tests, with the libvirt driver in the fake one's place. The driver hangs where it is in the middle of
an action, or when it is done; its deadline passes; then it goes on.
"""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libvirt")

from compute_cloud import ask
from driver_fixtures import NEEDS_LIBVIRT, bridge, images, make_spec, state  # noqa: F401
from libvirt_cloud import IMAGES, close, make_cloud
from sqlalchemy import func, select, update
from whole_cloud import WholeCloud

from nova_lite.agent import service
from nova_lite.compute.transitions import PowerState
from nova_lite.db import held_operations, operations
from nova_lite.db.models import Allocation, Operation, Server
from nova_lite.db.models import Image as ImageRow
from nova_lite.db.types import epoch
from nova_lite.virt.driver import CONTAINER, VM, GuestSpec
from nova_lite.virt.libvirt import kept_disks
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = [*NEEDS_LIBVIRT, pytest.mark.timeout(300)]

SLOW = pytest.mark.slow
"""For a long run by hand: the other of the two moments costs much and is much like the one."""
GIB = 1 << 30


class Hang:
    """A call that hangs once, before or after it is done."""

    def __init__(self, call: Callable[..., Any], moment: str) -> None:
        self._call, self._moment = call, moment
        self._again = False
        self.reached, self.gate = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        first, self._again = not self._again, True
        if first and self._moment == "before":
            self._wait()
        result = self._call(*arguments, **named)
        if first and self._moment == "after":
            self._wait()
        return result

    def _wait(self) -> None:
        self.reached.set()
        self.gate.wait(120)


class Overdue:
    """A cloud on this machine's libvirt, one server in it, and what hangs."""

    def __init__(self, cloud: WholeCloud, driver: LibvirtDriver, kind: str) -> None:
        self.cloud, self.driver, self.kind = cloud, driver, kind
        self.agent = cloud.agent()
        self.id = cloud.boot(imageRef=IMAGES[kind], networks="none", version="2.37")
        self.files = driver._instances.at(self.id)
        self.disk = self.files.disk if kind == VM else self.files.container_data

    def hang(self, monkeypatch: pytest.MonkeyPatch, call: str, moment: str, body: dict[str, Any]) -> Server:
        """Ask for an action whose *call* hangs, let its deadline pass, let the call go on, and wait for the end of all."""
        guests = self.driver._by_kind[self.kind]
        hung = Hang(getattr(guests, call), moment)
        monkeypatch.setattr(guests, call, hung)
        try:
            self.cloud.act(self.id, body, status=200 if "rescue" in body else 202)
            assert hung.reached.wait(90)
            (action,) = body
            late = update(Operation).where(Operation.id == self.last().id).values(deadline=epoch() - 1)
            self.cloud.store.transact(lambda session: session.execute(late))
            self.cloud.until(lambda: self.row().task_state is None)
            assert "not done in time" in self.row().fault["message"], action
        finally:
            hung.gate.set()
        self.cloud.quiet()
        self.cloud.until(lambda: not self.agent._held)
        return self.row()

    def row(self) -> Server:
        return self.cloud.server(self.id)

    def last(self) -> Operation:
        return self.cloud.operations(self.id)[-1]

    def power(self) -> PowerState:
        return self.driver.power(self.id)

    def is_as_before(self) -> None:
        """Hold that server and guest are what they were: of the first flavor, running from the own disk, with nothing beside."""
        assert self.last().action == "undo" and self.last().state == "done", self.last().error
        assert (self.row().vm_state, self.power()) == ("active", PowerState.RUNNING)
        guests = self.driver._by_kind[self.kind]
        view = guests.domains.view(self.id)
        assert view is not None and not view.rescue
        assert guests.domains.size(self.id) == (1, 128)
        assert self.disk_bytes() == GIB
        assert not kept_disks.is_kept(self.disk)
        assert not [path.name for path in guests.rescue_files(self.files) if path.exists()]
        self.has_no_parts()

    def has_no_parts(self) -> None:
        left = [path.name for path in self.files.path.iterdir() if path.suffix in (".part", ".oci", ".frozen")]
        snapshots = Path(self.cloud.conf.state_path, "snapshots")
        assert left == [] and (not snapshots.is_dir() or list(snapshots.iterdir()) == [])

    def disk_bytes(self) -> int:
        if self.kind == CONTAINER:
            return self.disk.stat().st_size
        command = ["qemu-img", "info", "-U", "-f", "qcow2", "--output=json", str(self.disk)]
        return int(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["virtual-size"])

    def works(self) -> None:
        """Hold that the guest comes up from its own disk, and that its user may go on."""
        assert self.cloud.do(self.id, {"os-stop": None}).vm_state == "stopped"
        assert self.cloud.do(self.id, {"os-start": None}).vm_state == "active"
        assert self.power() is PowerState.RUNNING

    def is_gone(self) -> None:
        """Delete it; nothing may be left."""
        assert ask(self.cloud, "DELETE", f"/servers/{self.id}").status_int == 204
        self.cloud.quiet()
        assert self.row().deleted and not self.files.path.exists() and self.driver._find(self.id) is None
        with self.cloud.store.read() as session:
            assert session.scalar(select(func.count()).select_from(Allocation)) == 0


@pytest.fixture(params=[VM, CONTAINER])
def overdue(
    request: pytest.FixtureRequest,
    state: Path,
    make_spec: Callable[..., GuestSpec],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Overdue]:
    for module in (operations, held_operations):
        monkeypatch.setattr(module, "LEASE_S", 3.0)  # enough for an agent that is short of processor time
    monkeypatch.setattr(operations, "OVERTIME_S", 0.5)
    monkeypatch.setattr(service, "RENEW_S", 0.3)
    monkeypatch.setattr(service, "COLLISION_S", 0.1)
    options: dict[str, Any] = {
        "compute.shelved_offload_time": -1,
        "compute.resize_confirm_window": -1,
        "compute.reconcile_interval": 3600,
        "compute.poll_interval": 0.1,
        "scheduler.sweep_interval": 0.1,
    }
    cloud = make_cloud(state, make_spec, **options)
    assert isinstance(cloud.driver, LibvirtDriver)
    yield Overdue(cloud, cloud.driver, request.param)
    close(cloud, state)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_resize_is_taken_back(overdue: Overdue, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    overdue.hang(monkeypatch, "start", moment, {"resize": {"flavorRef": "2"}})
    overdue.is_as_before()
    overdue.works()
    overdue.is_gone()


@pytest.mark.parametrize("moment", [pytest.param("before", marks=SLOW), "after"])
def test_a_rescue_is_taken_back(overdue: Overdue, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    overdue.hang(monkeypatch, "rescue", moment, {"rescue": {}})
    overdue.is_as_before()
    overdue.works()
    overdue.is_gone()


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=SLOW)])
def test_a_guest_that_was_stopped_to_be_shelved_runs_again(
    overdue: Overdue, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    overdue.hang(monkeypatch, "snapshot", moment, {"shelve": None})
    overdue.is_as_before()
    assert made_images(overdue) == []
    overdue.works()
    overdue.is_gone()


@pytest.mark.parametrize("moment", [pytest.param("before", marks=SLOW), "after"])
def test_an_image_that_came_too_late_is_not_there(
    overdue: Overdue, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    overdue.hang(monkeypatch, "snapshot", moment, {"createImage": {"name": "late"}})
    assert (overdue.row().vm_state, overdue.power()) == ("active", PowerState.RUNNING)
    overdue.has_no_parts()
    assert made_images(overdue) == []
    overdue.works()
    overdue.is_gone()


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=SLOW)])
def test_a_rebuild_that_came_too_late_can_be_asked_for_again(
    overdue: Overdue, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    body = {"rebuild": {"imageRef": IMAGES[overdue.kind]}}
    assert overdue.hang(monkeypatch, "start", moment, body).vm_state == "error"
    overdue.has_no_parts()
    assert overdue.cloud.do(overdue.id, body).vm_state == "active"
    assert overdue.power() is PowerState.RUNNING
    overdue.works()
    overdue.is_gone()


def made_images(overdue: Overdue) -> list[tuple[str, str]]:
    """Return the images of the cloud that nobody uploaded."""
    with overdue.cloud.store.read() as session:
        rows = session.scalars(select(ImageRow).where(ImageRow.id.not_in(IMAGES.values())))
        return [(row.name, row.status) for row in rows if row.name in ("late", "vm-shelved")]

"""The judge of the killed clouds can find what it is there to find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

TOOL = Path(__file__).parents[2] / "tools/chaos"
sys.path.insert(0, str(TOOL))

import action_requests  # noqa: E402
import options  # noqa: E402
import template  # noqa: E402
import verdict  # noqa: E402
from action_ends import fold  # noqa: E402

from nova_lite.compute.transitions import TRANSITIONS, VmState  # noqa: E402
from nova_lite.db import migrate, operations  # noqa: E402
from nova_lite.db.models import Allocation, Host, Operation, Server  # noqa: E402
from nova_lite.db.operations import Caller  # noqa: E402
from nova_lite.db.types import new_id, now  # noqa: E402
from nova_lite.virt.driver import GuestSpec, LocalImage  # noqa: E402
from nova_lite.virt.fake import FakeDriver  # noqa: E402


class Scene:
    """A cloud without processes, whose rows and guests a test puts as it likes."""

    def __init__(self, directory: Path) -> None:
        template.make(directory)
        self.conf = options.load(directory)
        self.store = migrate.open_store(self.conf)
        self.driver = FakeDriver.from_conf(self.conf)
        user: Any = SimpleNamespace(crashed=set(), odd=[])
        self.court = verdict.Court(self.conf, self.store, self.driver, user, strict=True)
        self.store.transact(self._host)

    def _host(self, session: Any) -> None:
        session.add(Host(name=options.HOST, uuid=new_id(), vcpus=8, memory_mb=9999, disk_gb=99))

    def server(self, *works: tuple[str, str], **values: Any) -> str:
        server_id = new_id()
        row: dict[str, Any] = {
            "id": server_id,
            "project_id": "p",
            "user_id": "u",
            "name": f"s-{server_id}",
            "hostname": "s",
            "kind": "vm",
            "flavor": {},
            "vcpus": 1,
            "memory_mb": 64,
            "disk_gb": 1,
            "vm_state": "active",
            "power_state": 1,
            "host": options.HOST,
            "reservation_id": "r",
            "launched_at": now(),
        }

        def add(session: Any) -> None:
            session.add(Server(**(row | values)))
            for action, state in works:
                what = {"action": action, "target_type": "server", "target_id": server_id, "queue": "agent"}
                operations.submit(session, Caller("r", "p", "u"), deadline_s=9, **what)  # type: ignore[arg-type]
                session.query(Operation).filter_by(target_id=server_id, state="pending").update(
                    {"state": state, "attempt": 1}
                )

        self.store.transact(add)
        return server_id

    def guest(self, server_id: str) -> None:
        image = LocalImage("i", Path("/nowhere"), "raw", 1)
        self.driver.spawn(GuestSpec(server_id, "n", "n", "p", "u", "vm", 1, 64, 1, image))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.store.close()


def test_users_ask_for_every_action() -> None:
    # An agent alone changes no password and adopts nothing: the fake guests have no agent, and there are no strangers.
    asked = {*action_requests.ACTIONS, "create", "soft-delete", "restart", "attach_interface", "detach_interface"}
    assert asked == set(TRANSITIONS) - {"changePassword", "adopt"}


def test_what_is_under_way_is_found(scene: Scene) -> None:
    server_id = scene.server(("create", "running"), task_state="spawning", vm_state="building")
    assert len([line for line in scene.court.unfinished() if server_id in line]) == 2


def test_a_guest_without_a_server_and_a_server_without_a_guest_are_found(scene: Scene) -> None:
    server_id, stranger = scene.server(), new_id()
    scene.guest(stranger)
    found = scene.court.differences()
    assert f"guest {stranger} of nobody" in found
    assert any(server_id in line and "has no guest" in line for line in found)
    assert f"guest {stranger}" in list(scene.court.left_over())


def test_guests_that_are_not_as_their_servers_are_found(scene: Scene) -> None:
    shelved, rescued, small = scene.server(vm_state="shelved"), scene.server(vm_state="rescued"), scene.server(vcpus=2)
    for server_id in (shelved, rescued, small):
        scene.guest(server_id)
    found = scene.court.differences()
    assert any(shelved in line and "its guest is RUNNING" in line for line in found)
    assert any(rescued in line and "was not booted from a rescue image" in line for line in found)
    assert any(small in line and "its guest has 1/64" in line for line in found)


def test_a_device_without_a_port_is_found(scene: Scene) -> None:
    directory = Path(scene.conf.state_path) / "devices"
    directory.mkdir()
    (directory / "p1").touch()
    assert "device p1 of no port" in scene.court.differences()


def test_a_claim_that_nobody_gave_back_is_found(scene: Scene) -> None:
    server_id = scene.server(deleted=True, vm_state="deleted")
    row = Allocation(server_id=server_id, host=options.HOST, vcpus=1, memory_mb=64, disk_gb=1)
    scene.store.transact(lambda session: session.add(row))
    assert f"claim of {server_id}" in list(scene.court.left_over())


def test_a_second_boot_is_found(scene: Scene) -> None:
    server_id = scene.server(("create", "done"))
    scene.guest(server_id)
    assert list(scene.court.doubled()) == []
    scene.driver.power_off(server_id)
    scene.guest(server_id)
    assert [line for line in scene.court.doubled() if server_id in line]


def test_an_end_that_nobody_asked_for_is_found(scene: Scene) -> None:
    good = scene.server(("create", "done"), ("stop", "done"), vm_state="stopped")
    bad = scene.server(("create", "done"), ("stop", "done"), vm_state="active")
    found = list(scene.court.expectations())
    assert not [line for line in found if good in line]
    assert [line for line in found if bad in line]


@pytest.mark.parametrize(
    ("works", "state"),
    [
        ([("create", "done"), ("stop", "done"), ("resize", "done"), ("confirmResize", "done")], VmState.STOPPED),
        ([("create", "done"), ("shelve", "failed")], VmState.ACTIVE),
        ([("create", "failed")], VmState.ERROR),
        ([("create", "done"), ("stop", "done"), ("rebuild", "done")], VmState.STOPPED),
        ([("create", "done"), ("resize", "done"), ("resetState", "done"), ("end-resize", "done")], VmState.ERROR),
    ],
)
def test_fold(works: list[tuple[str, str]], state: VmState) -> None:
    assert fold([Operation(action=action, state=end) for action, end in works]).state is state

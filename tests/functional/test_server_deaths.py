"""The agent dies before each step of each action, and another one ends what it left: once, and leaving nothing over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import action_requests
import pytest
from action_requests import LIVE, LIVE_SPECS
from compute_cloud import ADMIN, IMAGE, ask
from left_over import left_over
from sqlalchemy import func, select
from whole_cloud import WholeCloud

from nova_lite.agent import runner
from nova_lite.agent.actions import ACTIONS
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import Flavor, Image

BEFORE: dict[str, tuple[str, ...]] = {
    "start": ("stop",),
    "unpause": ("pause",),
    "resume": ("suspend",),
    "confirmResize": ("resize",),
    "revertResize": ("resize",),
    "unrescue": ("rescue",),
    "shelveOffload": ("shelve",),
    "unshelve": ("shelve", "shelveOffload"),
    "restore": ("soft-delete",),
}
CASES = [
    (name, step)
    for name, action in ACTIONS.items()
    if name in action_requests.ACTIONS or name in ("soft-delete", "attach_interface", "detach_interface")
    for step in (*(step.name for step in action.steps), "finish")
]


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Death(BaseException):
    """The agent's process dies here."""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.resize_confirm_window": -1, "compute.shelved_offload_time": -1})
    flavor = Flavor(flavorid=LIVE, name="live", vcpus=1, memory_mb=64, disk_gb=1, extra_specs=LIVE_SPECS)
    made.store.transact(lambda session: session.add(flavor))
    yield made
    made.close()


def begin(cloud: WholeCloud, server_id: str, action: str) -> None:
    interval = 3600 if action in ("soft-delete", "restore") else 0
    cloud.conf.set_override("reclaim_instance_interval", interval, group="compute")
    if action in ("delete", "soft-delete"):
        assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
        return
    if action.endswith("_interface"):
        change_interfaces(cloud, server_id, action)
        return
    body = action_requests.body(action, image=IMAGE, flavor="2")
    cloud.act(server_id, body, token=ADMIN, status=action_requests.accepted(action))


def change_interfaces(cloud: WholeCloud, server_id: str, action: str) -> None:
    path = f"/servers/{server_id}/os-interface"
    shown = ask(cloud, "GET", path).json["interfaceAttachments"][0]
    if action == "attach_interface":
        body = {"interfaceAttachment": {"net_id": shown["net_id"]}}
        assert ask(cloud, "POST", path, body).status_int == 200
    else:
        assert ask(cloud, "DELETE", f"{path}/{shown['port_id']}").status_int == 202


def test_every_action_has_a_case() -> None:
    # An adoption's deaths are in test_adoption.py: it begins without a server.
    assert {name for name, _ in CASES} | {"create", "restart", "adopt"} == set(ACTIONS)
    assert set(ACTIONS) == set(TRANSITIONS) - {"changePassword"}


@pytest.mark.parametrize(("action", "step"), CASES)
def test_death_before_each_step(cloud: WholeCloud, action: str, step: str) -> None:
    died = threading.Event()

    def hook(work: Any, name: str) -> None:
        if work.action == action and name == step and not died.is_set():
            died.set()
            raise Death

    cloud.scheduler()
    first = cloud.agent(hook=hook)
    server_id = cloud.boot()
    for before in BEFORE.get(action, ()):
        begin(cloud, server_id, before)
        cloud.settled(server_id)
    was = cloud.server(server_id).vm_state
    begin(cloud, server_id, action)
    assert died.wait(60)
    cloud.kill(first)
    cloud.agent()
    server = cloud.settled(server_id)
    transition = TRANSITIONS[action]
    assert server.fault is None
    assert server.vm_state == (transition.on_ok or VmState(was)).value
    if transition.on_ok is VmState.DELETED:
        assert server.deleted
    with cloud.store.read() as session:
        unfinished = session.scalar(select(func.count()).select_from(Image).where(Image.status != "active"))
    assert unfinished == 0
    assert sum(row.action == action for row in cloud.operations(server_id)) == 1
    check_nothing_left(cloud, server_id)


@pytest.mark.parametrize("action", ["shelve", "resize"])
def test_what_is_given_up_after_many_deaths_is_undone(
    cloud: WholeCloud, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LIVES", 1)
    died = threading.Event()

    def hook(work: Any, name: str) -> None:
        if work.action == action and name == "finish":
            died.set()
            raise Death

    cloud.scheduler()
    first = cloud.agent(hook=hook)
    server_id = cloud.boot()
    before = dict(cloud.guest(server_id))
    begin(cloud, server_id, action)
    assert died.wait(60)
    cloud.kill(first)
    cloud.agent()
    server = cloud.settled(server_id)
    assert server.vm_state == "active" and server.fault is not None
    assert "cut off each time" in server.fault["message"]
    after = dict(cloud.guest(server_id))
    for name in ("power", "vcpus", "memory_mb", "nics"):
        assert after[name] == before[name]
    assert cloud.driver._extra(server_id, "before") is None
    check_nothing_left(cloud, server_id)


def test_a_death_before_a_resize_keeps_no_older_disk(cloud: WholeCloud) -> None:
    """What an earlier resize has kept, whose confirmation never came, is not the way back of the next one."""
    died = threading.Event()
    armed = threading.Event()

    def hook(work: Any, name: str) -> None:
        if armed.is_set() and work.action == "resize" and name == "plug" and not died.is_set():
            died.set()
            raise Death

    cloud.scheduler()
    first = cloud.agent(hook=hook)
    server_id = cloud.boot()
    begin(cloud, server_id, "resize")
    cloud.settled(server_id)
    cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    large = dict(cloud.guest(server_id))
    armed.set()
    other = Flavor(flavorid="other", name="other", vcpus=1, memory_mb=96, disk_gb=20)
    cloud.store.transact(lambda session: session.add(other))
    cloud.act(server_id, {"resize": {"flavorRef": "other"}})
    assert died.wait(60)
    cloud.kill(first)
    cloud.agent()
    assert cloud.settled(server_id).vm_state == "resized"
    assert cloud.driver._extra(server_id, "before") == large["disk_gb"]
    check_nothing_left(cloud, server_id)


def check_nothing_left(cloud: WholeCloud, server_id: str) -> None:
    if not cloud.server(server_id).deleted:
        cloud.act(server_id, {"forceDelete": None})
        cloud.until(lambda: cloud.server(server_id).deleted)
    assert not [guest for guest in cloud.driver.observe() if guest.server_id]
    assert not cloud.networks.devices
    with cloud.store.read() as session:
        assert left_over(session) == {}
    assert cloud.used() == (0, 0, 0)
    directory = cloud.directory / "snapshots"
    assert not directory.exists() or not list(directory.iterdir())

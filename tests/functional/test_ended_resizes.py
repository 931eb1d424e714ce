"""A resize that neither a confirmation nor a revert ends: its server was soft-deleted and restored, or its state reset by an admin."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import threading
from typing import Any

import pytest
from compute_cloud import ADMIN, ask
from test_interrupting_soft_deletes import RESIZE, check_size, cloud, migrations, soft_delete  # noqa: F401
from whole_cloud import WholeCloud

from nova_lite.agent import job

OLD, NEW = ("r1", 1, 128, 1), ("r2", 2, 256, 2)


def resized(cloud: WholeCloud) -> str:
    server_id = cloud.boot(flavorRef="r1")
    assert cloud.do(server_id, RESIZE).vm_state == "resized"
    return server_id


def fail_to_revert(cloud: WholeCloud, server_id: str, *, done: bool) -> None:
    cloud.driver.faults.next_errors["revert_resize"] = ["no"]
    cloud.driver.faults.after = done
    assert cloud.do(server_id, {"revertResize": None}).vm_state == "resized"
    assert cloud.server(server_id).system_metadata["reverting"] is True


def check_over(cloud: WholeCloud, server_id: str, flavor: tuple[str, int, int, int], how: str) -> None:
    """Row, claims and guest agree, now and after a hard reboot, and nothing is left of the other side."""
    cloud.quiet()
    check_size(cloud, server_id, *flavor)
    assert cloud.driver._extra(server_id, "before") is None
    assert (cloud.server(server_id).system_metadata, migrations(cloud)) == ({}, [how])
    assert cloud.do(server_id, {"reboot": {"type": "HARD"}}).vm_state == "active"
    check_size(cloud, server_id, *flavor)
    assert cloud.guest(server_id)["disk_gb"] == flavor[3]


@pytest.mark.parametrize("done", [True, False])
def test_a_restore_does_the_revert_that_failed(cloud: WholeCloud, done: bool) -> None:
    server_id = resized(cloud)
    fail_to_revert(cloud, server_id, done=done)
    soft_delete(cloud, server_id)
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_over(cloud, server_id, OLD, "reverted")


def test_a_restore_that_fails_leaves_the_revert_to_the_next(cloud: WholeCloud) -> None:
    server_id = resized(cloud)
    fail_to_revert(cloud, server_id, done=False)
    soft_delete(cloud, server_id)
    cloud.driver.faults.next_errors["start"] = ["no"]
    assert cloud.do(server_id, {"restore": None}).vm_state == "soft-delete"
    assert cloud.server(server_id).system_metadata["reverting"] is True
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_over(cloud, server_id, OLD, "reverted")


def test_a_restore_does_the_revert_that_a_soft_delete_cut_off(
    cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = resized(cloud)
    reached, opened, plug_ports = threading.Event(), threading.Event(), job.plug_ports

    def plug_late(*arguments: Any) -> Any:
        reached.set()
        assert opened.wait(60)
        return plug_ports(*arguments)

    with monkeypatch.context() as late:
        late.setattr(job, "plug_ports", plug_late)
        cloud.act(server_id, {"revertResize": None})
        assert reached.wait(60)
        assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
        opened.set()
        assert cloud.settled(server_id).vm_state == "soft-delete"
    assert [row.state for row in cloud.operations(server_id)[-2:]] == ["cancelled", "done"]
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_over(cloud, server_id, OLD, "reverted")


@pytest.mark.parametrize("done", [True, False])
def test_a_restore_does_the_revert_that_failed_during_the_soft_delete(cloud: WholeCloud, done: bool) -> None:
    server_id = resized(cloud)
    cloud.driver.faults.next_errors["revert_resize"] = ["no"]
    cloud.driver.faults.after = done
    with cloud.holding("revert_resize") as reached:
        cloud.act(server_id, {"revertResize": None})
        assert reached.wait(60)
        assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    assert cloud.settled(server_id).vm_state == "soft-delete"
    assert cloud.do(server_id, {"restore": None}).vm_state == "active"
    check_over(cloud, server_id, OLD, "reverted")


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("state", ["active", "error"])
def test_a_reset_does_the_revert_that_failed(cloud: WholeCloud, state: str, done: bool) -> None:
    server_id = resized(cloud)
    fail_to_revert(cloud, server_id, done=done)
    cloud.act(server_id, {"os-resetState": {"state": state}}, token=ADMIN)
    cloud.until(lambda: "old_flavor" not in cloud.server(server_id).system_metadata)
    assert cloud.server(server_id).vm_state == state
    check_over(cloud, server_id, OLD, "reverted")


def test_a_reset_ends_a_resize_that_nobody_confirmed(cloud: WholeCloud) -> None:
    server_id = resized(cloud)
    cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    check_over(cloud, server_id, NEW, "confirmed")


def test_a_reset_that_can_not_end_the_resize_says_so_and_is_done_again(cloud: WholeCloud) -> None:
    server_id = resized(cloud)
    fail_to_revert(cloud, server_id, done=False)
    cloud.driver.faults.next_errors["revert_resize"] = ["no"]
    cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    cloud.quiet()
    server = cloud.server(server_id)
    assert server.vm_state == "error" and "reset the state again" in server.fault["message"]
    cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    check_over(cloud, server_id, OLD, "reverted")


class Death(BaseException):
    """The agent's process dies here."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", ["restore", "reset"])
def test_an_agent_s_death_after_it_has_reverted_the_guest(
    cloud: WholeCloud, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    server_id = resized(cloud)
    fail_to_revert(cloud, server_id, done=False)
    died, revert = threading.Event(), cloud.driver.revert_resize

    def revert_and_die(*arguments: Any, **options: Any) -> None:
        revert(*arguments, **options)
        died.set()
        raise Death

    monkeypatch.setattr(cloud.driver, "revert_resize", revert_and_die)
    if way == "restore":
        soft_delete(cloud, server_id)
        cloud.act(server_id, {"restore": None})
    else:
        cloud.act(server_id, {"os-resetState": {"state": "active"}}, token=ADMIN)
    assert died.wait(60)
    cloud.kill(cloud._agents[0])
    monkeypatch.setattr(cloud.driver, "revert_resize", revert)
    cloud.agent()
    assert cloud.settled(server_id).vm_state == "active"
    check_over(cloud, server_id, OLD, "reverted")

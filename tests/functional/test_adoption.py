"""Adoption through the API, on the fake driver: a stranger's guest becomes a server; whatever goes wrong, it stays the stranger's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, ask
from one_host import reconcile
from sqlalchemy import select, update
from whole_cloud import WholeCloud

from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Host, Operation, QuotaUsage, Server
from nova_lite.virt.driver import GuestNotFound
from nova_lite.virt.fake_abilities import foreign_uuid

UUID = foreign_uuid("old-web")
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Died(BaseException):
    """The agent's process is gone."""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.driver.add_foreign("old-web")
    made.scheduler()
    yield made
    made.close()


def adopt(cloud: WholeCloud, status: int = 202, token: str = ADMIN, **members: Any) -> Any:
    body = {"adoption": {"host": "host1", "guest": "old-web", "flavorRef": "1", **members}}
    reply = ask(cloud, "POST", "/os-nova-lite-adoptions", body, token=token)
    assert reply.status_int == status, reply.text
    return reply


def strangers(cloud: WholeCloud, **options: Any) -> list[Any]:
    reply = ask(cloud, "GET", "/os-nova-lite-strangers", token=ADMIN, **options)
    assert reply.status_int == 200, reply.text
    assert reply.json["unanswered"] == []
    found: list[Any] = reply.json["strangers"]
    return found


def is_still_the_strangers(cloud: WholeCloud) -> None:
    """See that the guest runs on without our mark, and that nothing is held for it."""
    seen = cloud.driver.describe("old-web")
    assert (seen["server_id"], seen["power"]) == (None, PowerState.RUNNING)
    assert cloud.used() == (0, 0, 0)
    with cloud.store.read() as session:
        assert [row.instances for row in session.scalars(select(QuotaUsage)) if row.scope == "admin"] in ([0], [])
    assert ask(cloud, "GET", f"/servers/{UUID}", token=ADMIN).status_int == 404


def test_strangers_are_listed_and_one_is_adopted_running(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.boot()
    (seen,) = strangers(cloud)
    assert seen["host"] == "host1"
    assert (seen["guest"], seen["uuid"], seen["kind"], seen["vcpus"], seen["ram"]) == ("old-web", UUID, "vm", 1, 64)
    assert seen["interfaces"] == [{"mac": "52:54:00:00:00:01", "device": "vnet0", "bridge": "br0"}]
    started = cloud.driver._named("old-web")["started_at"]
    used = cloud.used()
    made = adopt(cloud, name="web", metadata={"was": "here"})
    assert made.json["adoption"]["server_id"] == UUID
    assert made.headers["Location"].endswith(f"/compute/v2.1/servers/{UUID}")
    row = cloud.settled(UUID)
    assert (row.vm_state, row.power_state, row.host, row.project_id) == ("active", PowerState.RUNNING, "host1", "admin")
    assert row.launched_at is not None
    assert cloud.used() == (used[0] + 1, used[1] + 128, used[2] + 1)
    shown = cloud.show(UUID, token=ADMIN)
    assert (shown["name"], shown["status"], shown["image"], shown["metadata"]) == ("web", "ACTIVE", "", {"was": "here"})
    assert cloud.guest(UUID)["started_at"] == started, "it was started anew"
    assert strangers(cloud) == []
    assert "is server" in adopt(cloud, 409).text
    actions = ask(cloud, "GET", f"/servers/{UUID}/os-instance-actions", token=ADMIN).json["instanceActions"]
    assert [action["action"] for action in actions] == ["adopt"]


def test_an_adopted_server_lives_as_others_do_on_its_own_disks(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    adopt(cloud, project_id="demo")
    assert cloud.settled(UUID).project_id == "demo"
    for action, state in (
        ({"os-stop": None}, "stopped"),
        ({"os-start": None}, "active"),
        ({"reboot": {"type": "HARD"}}, "active"),
        ({"pause": None}, "paused"),
        ({"unpause": None}, "active"),
        ({"suspend": None}, "suspended"),
        ({"resume": None}, "active"),
    ):
        row = cloud.do(UUID, action)
        assert row.vm_state == state, (action, row.fault)
        assert row.fault is None
    for action in (
        {"rebuild": {"imageRef": IMAGE}},
        {"resize": {"flavorRef": "2"}},
        {"rescue": {"rescue_image_ref": IMAGE}},
        {"createImage": {"name": "x"}},
        {"createBackup": {"name": "x", "backup_type": "daily", "rotation": 1}},
        {"shelve": None},
    ):
        assert "was adopted" in cloud.act(UUID, action, status=409).text
    cloud.kill(agent)
    cloud.agent()
    console = {"remote_console": {"protocol": "serial", "type": "serial"}}
    assert ask(cloud, "POST", f"/servers/{UUID}/remote-consoles", console, version="2.6").status_int == 200
    assert ask(cloud, "DELETE", f"/servers/{UUID}").status_int == 204
    cloud.quiet()
    with pytest.raises(GuestNotFound):
        cloud.driver.describe("old-web")
    assert cloud.used() == (0, 0, 0)
    cloud.driver.add_foreign("old-web")
    assert "was deleted" in adopt(cloud, 409).text


def test_who_may_and_what_is_refused(cloud: WholeCloud) -> None:
    cloud.agent()
    assert ask(cloud, "GET", "/os-nova-lite-strangers", token=DEMO).status_int == 403
    adopt(cloud, 403, token=DEMO)
    assert "Host host1 has no guest named nobody" in adopt(cloud, 404, guest="nobody").text
    assert "could not be found" in adopt(cloud, 400, host="nowhere").text
    assert "could not be found" in adopt(cloud, 400, flavorRef="none").text
    for members in (
        {"guest": "a/b"},
        {"guest": "a\nb"},
        {"guest": ""},
        {"host": 1},
        {"server_id": UUID},
        {"name": " "},
    ):
        adopt(cloud, 400, **members)
    assert ask(cloud, "GET", "/os-nova-lite-strangers?host=nowhere", token=ADMIN).status_int == 400
    assert ask(cloud, "GET", "/os-nova-lite-strangers?hosts=x", token=ADMIN).status_int == 400
    cloud.driver._db.execute("UPDATE guests SET vcpus = 2, memory_mb = 600 WHERE name = 'old-web'")
    assert "smaller than what guest old-web has (2 vCPUs, 600 MiB)" in adopt(cloud, 400, flavorRef="2").text
    cloud.driver._db.execute("UPDATE guests SET vcpus = 1, memory_mb = 64, power = 4 WHERE name = 'old-web'")
    assert "does not run" in adopt(cloud, 409).text
    cloud.driver._db.execute("UPDATE guests SET power = 1 WHERE name = 'old-web'")
    cloud.conf.set_override("instances", 0, group="quota")
    assert "Quota exceeded" in adopt(cloud, 403).text
    cloud.conf.clear_override("instances", group="quota")
    cloud.store.transact(lambda session: session.execute(update(Host).values(memory_mb=100)))
    assert "has no room" in adopt(cloud, 409).text
    is_still_the_strangers(cloud)
    with cloud.store.read() as session:
        assert session.scalars(select(Server)).all() == []


def test_a_host_that_is_silent_is_named(tmp_path: Path) -> None:
    cloud = WholeCloud(tmp_path, **{"compute.rpc_timeout": 0.5})
    try:
        reply = ask(cloud, "GET", "/os-nova-lite-strangers", token=ADMIN)
        assert reply.status_int == 200
        assert [silent["host"] for silent in reply.json["unanswered"]] == ["host1"]
        adopt(cloud, 503)
    finally:
        cloud.close()


def test_an_adoption_that_fails_leaves_the_stranger_and_can_be_asked_for_again(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.driver.faults.next_errors["adopt"] = ["libvirt said no"]
    adopt(cloud)
    cloud.quiet()
    is_still_the_strangers(cloud)
    with cloud.store.read() as session:
        row = session.scalars(select(Operation)).one()
        assert (row.state, row.error) == ("failed", "libvirt said no")
    cloud.driver.faults.next_errors["adopt"] = ["the answer was lost"]
    cloud.driver.faults.after = True
    adopt(cloud)
    cloud.quiet()
    is_still_the_strangers(cloud)
    cloud.driver.faults.after = False
    adopt(cloud)
    assert cloud.settled(UUID).vm_state == "active"
    shown = ask(cloud, "GET", f"/servers/{UUID}/os-instance-actions", token=ADMIN, version="2.21").json
    assert len(shown["instanceActions"]) == 3


def test_a_mark_that_can_not_be_taken_off_is_in_error_and_its_delete_ends_no_guest(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    cloud.driver.faults.next_errors |= {"adopt": ["the answer was lost"], "disown": ["libvirt is gone"]}
    cloud.driver.faults.after = True
    fail_before = {"disown"}
    original = cloud.driver._fault

    def fault(action: str) -> str | None:
        said = original(action)
        cloud.driver.faults.after = action not in fail_before
        return said

    cloud.driver._fault = fault  # type: ignore[method-assign]
    adopt(cloud)
    row = cloud.settled(UUID)
    assert (row.vm_state, row.fault["message"]) == ("error", "the answer was lost")  # type: ignore[index]
    assert cloud.driver.describe("old-web")["server_id"] == UUID
    reconcile(agent)
    assert cloud.driver.describe("old-web")["power"] == PowerState.RUNNING
    assert ask(cloud, "DELETE", f"/servers/{UUID}", token=ADMIN).status_int == 204
    cloud.quiet()
    is_still_the_strangers(cloud)


@pytest.mark.parametrize("step", ["adopt", "finish"])
def test_an_agent_that_dies_at_a_step_adopts_in_its_next_life(cloud: WholeCloud, step: str) -> None:
    reached = threading.Event()

    def die(_work: Any, name: str) -> None:
        if name == step:
            reached.set()
            raise Died

    agent = cloud.agent(hook=die)
    adopt(cloud)
    assert reached.wait(60)
    cloud.kill(agent)
    cloud.agent()
    row = cloud.settled(UUID)
    assert row.vm_state == "active"
    assert cloud.driver.describe("old-web")["server_id"] == UUID
    assert cloud.used() == (1, 128, 1)


@pytest.mark.parametrize("step", ["adopt", "finish"])
def test_a_delete_amid_an_adoption_lets_the_guest_go(cloud: WholeCloud, step: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(work: Any, name: str) -> None:
        if name == step and work.action == "adopt":
            reached.set()
            assert go_on.wait(60)

    cloud.agent(hook=wait)
    adopt(cloud)
    assert reached.wait(60)
    assert ask(cloud, "DELETE", f"/servers/{UUID}", token=ADMIN).status_int == 204
    go_on.set()
    cloud.quiet()
    seen = cloud.driver._db.execute("SELECT power FROM guests WHERE name = 'old-web'").fetchone()
    if step == "adopt" or seen is not None:
        is_still_the_strangers(cloud)


def test_a_dead_hosts_adoption_ends_in_time_and_ends_no_guest(cloud: WholeCloud) -> None:
    def die(_work: Any, name: str) -> None:
        if name == "finish":
            raise Died

    agent = cloud.agent(hook=die)
    adopt(cloud)
    cloud.until(lambda: cloud.driver.describe("old-web")["server_id"] == UUID)
    cloud.kill(agent)
    cloud.store.transact(lambda session: session.execute(update(Operation).values(deadline=1.0, lease_until=1.0)))
    row = cloud.settled(UUID)
    assert (row.vm_state, row.launched_at) == ("error", None)
    again = cloud.agent()
    reconcile(again)
    assert cloud.driver.describe("old-web")["power"] == PowerState.RUNNING
    assert ask(cloud, "DELETE", f"/servers/{UUID}", token=ADMIN).status_int == 204
    cloud.quiet()
    is_still_the_strangers(cloud)


def test_a_deleted_half_adoption_is_let_go_by_the_reconcile(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    adopt(cloud)
    cloud.settled(UUID)
    cloud.store.transact(
        lambda session: session.execute(update(Server).values(deleted=True, launched_at=None, vm_state="deleted"))
    )
    reconcile(agent)
    seen = cloud.driver.describe("old-web")
    assert (seen["server_id"], seen["power"]) == (None, PowerState.RUNNING)


def test_two_at_once_make_one_server(cloud: WholeCloud) -> None:
    answers: list[int] = []

    def one() -> None:
        body = {"adoption": {"host": "host1", "guest": "old-web", "flavorRef": "1"}}
        answers.append(ask(cloud, "POST", "/os-nova-lite-adoptions", body, token=ADMIN).status_int)

    cloud.agent()
    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202, 409, 409, 409]
    assert cloud.settled(UUID).vm_state == "active"
    assert cloud.used() == (1, 128, 1)

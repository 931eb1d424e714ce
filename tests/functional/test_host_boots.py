"""What ran on a host before it was booted runs again, whatever state its server waits in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_cloud import ADMIN, ask
from whole_cloud import WholeCloud

from nova_lite.agent.service import Agent
from nova_lite.bus import AGENT
from nova_lite.compute.transitions import PowerState
from nova_lite.db import operations


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(
        tmp_path,
        **{
            "compute.resize_confirm_window": -1,
            "compute.reconcile_interval": 1,
            "compute.poll_interval": 0.1,
            "compute.resume_guests_state_on_host_boot": True,
        },
    )
    made.scheduler()
    yield made
    made.close()


def boot_host(cloud: WholeCloud, agent: Agent) -> None:
    cloud.kill(agent)
    # Unlike a real process's, its threads live on: they lose what they are at, and end before another agent does it again.
    operations.release_queue(cloud.store, AGENT, agent.host)
    cloud.until(lambda: not agent._under_way)
    cloud.driver.reboot_host()
    (cloud.directory / "boot-id-host1").write_text("another boot\n")


def power(cloud: WholeCloud, server_id: str) -> PowerState:
    return PowerState(cloud.guest(server_id)["power"])


def ready(cloud: WholeCloud) -> tuple[Agent, dict[str, str]]:
    agent = cloud.agent()
    names = ("active", "stopped", "resized", "stopped-resized", "rescued")
    made = {name: cloud.boot(name=name) for name in names}
    cloud.do(made["stopped"], {"os-stop": None})
    cloud.do(made["stopped-resized"], {"os-stop": None})
    for name in ("resized", "stopped-resized"):
        assert cloud.do(made[name], {"resize": {"flavorRef": "2"}}).vm_state == "resized"
    cloud.act(made["rescued"], {"rescue": {}}, status=200)
    assert cloud.settled(made["rescued"]).vm_state == "rescued"
    cloud.until(lambda: cloud.server(made["rescued"]).power_state == PowerState.RUNNING)
    return agent, made


@pytest.mark.parametrize("late", [False, True])
def test_what_ran_runs_again_in_the_state_that_it_had(cloud: WholeCloud, late: bool) -> None:
    agent, made = ready(cloud)
    boot_host(cloud, agent)
    # The hypervisor may come up after its agent.
    cloud.driver.faults.unreachable = late
    cloud.agent()
    if late:
        cloud.until(lambda: cloud.server(made["resized"]).power_state == PowerState.NOSTATE)
        cloud.driver.faults.unreachable = False
    running = ("active", "resized", "rescued")
    cloud.until(lambda: all(power(cloud, made[name]) is PowerState.RUNNING for name in running))
    cloud.quiet()
    states = {name: cloud.server(server_id).vm_state for name, server_id in made.items()}
    assert states == {
        "active": "active",
        "stopped": "stopped",
        "resized": "resized",
        "stopped-resized": "resized",
        "rescued": "rescued",
    }
    for name in ("stopped", "stopped-resized"):
        assert power(cloud, made[name]) is PowerState.SHUTDOWN
    assert cloud.driver._extra(made["rescued"], "rescue") is not None
    shown = ask(cloud, "GET", f"/servers/{made['resized']}/os-instance-actions").json["instanceActions"]
    assert [row["action"] for row in shown] == ["run-again", "resize", "create"]
    assert cloud.do(made["resized"], {"revertResize": None}).vm_state == "active"
    assert cloud.do(made["rescued"], {"unrescue": None}).vm_state == "active"


def test_what_something_was_being_done_to_runs_again_when_that_has_ended(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot()
    cloud.driver.latency.actions["snapshot"] = 1.0
    cloud.act(server_id, {"createImage": {"name": "image"}})
    cloud.until(lambda: cloud.operations(server_id)[-1].step == "snapshot")
    boot_host(cloud, agent)
    cloud.agent()
    cloud.until(lambda: cloud.operations(server_id)[-1].action == "start")
    assert cloud.settled(server_id).vm_state == "active"
    assert [row.state for row in cloud.operations(server_id)] == ["done", "done", "done"]
    assert power(cloud, server_id) is PowerState.RUNNING


def test_what_can_not_be_started_again_says_so(cloud: WholeCloud) -> None:
    agent, made = ready(cloud)
    boot_host(cloud, agent)
    cloud.driver.faults.next_errors["start"] = ["no room for it"] * 2  # the resized one's, and the active one's
    cloud.agent()
    cloud.until(lambda: power(cloud, made["rescued"]) is PowerState.RUNNING)
    cloud.quiet()
    server = cloud.server(made["resized"])
    assert (server.vm_state, server.power_state) == ("resized", PowerState.SHUTDOWN)
    shown = ask(cloud, "GET", f"/servers/{made['resized']}/os-instance-actions", token=ADMIN).json["instanceActions"]
    assert shown[0]["message"] == "The guest could not be started again after its host's boot: no room for it."

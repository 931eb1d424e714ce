"""Guests that end by themselves, and what ``nova_lite:restart`` makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_cloud import ask
from one_host import reconcile
from whole_cloud import WholeCloud

from nova_lite.agent import restarts
from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Server


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.restart_delay": 0.1, "compute.restart_limit": 3})
    made.scheduler()
    yield made
    made.close()


def end(cloud: WholeCloud, agent: Agent, server_id: str, *, crash: bool = False) -> Server:
    """Let the guest end, the agent look, and what it begins come to its end; return the server."""
    (cloud.driver.crash if crash else cloud.driver.power_off)(server_id)
    reconcile(agent)
    return cloud.settled(server_id)


def test_it_is_not_started_again_unless_asked(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot()
    assert end(cloud, agent, server_id, crash=True).vm_state == "stopped"


def test_on_failure_is_for_crashes(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot(metadata={"nova_lite:restart": "on-failure"})
    assert end(cloud, agent, server_id, crash=True).vm_state == "active"
    assert cloud.guest(server_id)["power"] == PowerState.RUNNING
    path = f"/servers/{server_id}/os-instance-actions"
    assert ask(cloud, "GET", path).json["instanceActions"][0]["action"] == "restart"
    assert end(cloud, agent, server_id).vm_state == "stopped"


def test_always_has_an_end(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot(metadata={"nova_lite:restart": "always"})
    for count in (1, 2, 3):
        server = end(cloud, agent, server_id)
        assert (server.vm_state, server.system_metadata["restarts"]["count"]) == ("active", count)
    assert end(cloud, agent, server_id).vm_state == "stopped"
    waits = [row.started_at - row.created_at for row in cloud.operations(server_id)[1:] if row.started_at]
    assert [wait.total_seconds() > least - 0.05 for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True)] == [
        True
    ] * 3


def test_the_policy_may_be_taken_away_while_it_waits(cloud: WholeCloud) -> None:
    cloud.conf.set_override("restart_delay", 3.0, group="compute")
    agent = cloud.agent()
    server_id = cloud.boot(metadata={"nova_lite:restart": "always"})
    cloud.driver.power_off(server_id)
    reconcile(agent)
    assert ask(cloud, "DELETE", f"/servers/{server_id}/metadata/nova_lite:restart").status_int == 204
    assert cloud.settled(server_id).vm_state == "stopped"
    assert cloud.guest(server_id)["power"] == PowerState.SHUTDOWN


def test_a_stop_that_was_asked_for_is_left_alone(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot(metadata={"nova_lite:restart": "always"})
    cloud.do(server_id, {"os-stop": None})
    reconcile(agent)
    assert cloud.settled(server_id).vm_state == "stopped"


def test_the_plan() -> None:
    class Options:
        restart_limit, restart_delay, restart_reset = 3, 5.0, 600.0

    def plan(power: PowerState = PowerState.SHUTDOWN, spec: str = "always", **kept: float) -> object:
        server = Server(
            metadata_={},
            flavor={"extra_specs": {restarts.KEY: spec}},
            system_metadata={"restarts": kept} if kept else {},
        )
        return restarts.plan(server, power, Options, 1000.0)

    assert plan() == (1005.0, {"count": 1, "last": 1005.0})
    assert plan(count=2, last=990.0) == (1020.0, {"count": 3, "last": 1020.0})
    assert plan(count=3, last=990.0) is None
    assert plan(count=3, last=400.0) == (1005.0, {"count": 1, "last": 1005.0})
    assert plan(spec="never") is None
    assert plan(spec="nonsense") is None
    assert plan(spec="on-failure") is None
    assert plan(PowerState.CRASHED, "on-failure") is not None
    own = Server(metadata_={restarts.KEY: "never"}, flavor={"extra_specs": {restarts.KEY: "always"}})
    assert restarts.policy(own) == "never"

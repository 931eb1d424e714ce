"""The agent and the scheduler in one process over the in-process bus, on a hypervisor in memory."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from left_over import left_over
from one_host import Cloud, Hypervisor, broken

from nova_lite.agent import service
from nova_lite.agent.service import Agent
from nova_lite.compute.transitions import TRANSITIONS, PowerState
from nova_lite.db import operations
from nova_lite.errors import Conflict, NotFound
from nova_lite.virt.driver import DriverTimeout


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(cloud: Cloud) -> Cloud:
    cloud.agent()
    cloud.scheduler()
    return cloud


def assert_nothing_left(cloud: Cloud) -> None:
    assert cloud.hypervisor.empty()
    with cloud.store.read() as session:
        assert left_over(session) == {}
    host = cloud.host()
    assert (host.used_vcpus, host.used_memory_mb, host.used_disk_gb, host.running_servers) == (0, 0, 0, 0)


def test_create_and_delete(running: Cloud) -> None:
    server_id = running.create()
    server = running.settled(server_id)
    assert (server.vm_state, server.power_state, server.host) == ("active", PowerState.RUNNING, "h1")
    assert server.launched_at is not None
    guest = running.hypervisor.guests[server_id]
    address = guest.spec.nics[0].addresses[0]
    assert guest.spec.command_line == f"ip={address} gw=10.0.0.1 name={server.hostname}"
    assert running.host().used_memory_mb == 64
    running.ask(server_id, "delete")
    assert running.settled(server_id).deleted
    assert_nothing_left(running)


@pytest.mark.parametrize("kind", ["vm", "unikernel", "container"])
def test_ports_have_the_device_of_their_kind(running: Cloud, kind: str) -> None:
    server_id = running.create(kind=kind, config_drive=True)
    assert running.settled(server_id).vm_state == "active"
    (port,) = running.hypervisor.plugged.values()
    assert port.kind == ("veth" if kind == "container" else "tap")
    assert (running.hypervisor.guests[server_id].spec.config_drive is not None) == (kind == "vm")


ROUNDS = (
    ("stop", "start"),
    ("reboot-soft",),
    ("reboot-hard",),
    ("pause", "unpause"),
    ("suspend", "resume"),
)


@pytest.mark.parametrize("actions", ROUNDS, ids="-".join)
def test_actions(running: Cloud, actions: tuple[str, ...]) -> None:
    server_id = running.create()
    running.settled(server_id)
    for action in actions:
        running.ask(server_id, action)
        server = running.settled(server_id)
        on_ok = TRANSITIONS[action].on_ok
        assert on_ok is not None
        assert server.vm_state == on_ok.value
        assert server.power_state == TRANSITIONS[action].power
    assert server.vm_state == "active"


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Death(BaseException):
    """The agent's process dies here."""


STEPS = {
    "create": ("fetch", "plug", "config-drive", "spawn", "finish"),
    "delete": ("destroy", "unplug", "finish"),
    "start": ("fetch", "plug", "config-drive", "start", "finish"),
    "stop": ("stop", "finish"),
    "reboot-hard": ("reboot", "finish"),
    "suspend": ("suspend", "finish"),
    "resume": ("plug", "resume", "finish"),
    "pause": ("pause", "finish"),
}
BEFORE = {"start": ("stop",), "resume": ("suspend",)}


@pytest.mark.parametrize(("action", "step"), [(action, step) for action, steps in STEPS.items() for step in steps])
def test_death_at_each_step(cloud: Cloud, action: str, step: str) -> None:
    died = threading.Event()

    def hook(work: object, name: str) -> None:
        if getattr(work, "action", "") == action and name == step and not died.is_set():
            died.set()
            raise Death

    cloud.scheduler()
    first = cloud.agent(hook=hook)
    server_id = cloud.create(kind="vm")
    if action != "create":
        cloud.settled(server_id)
        for before in BEFORE.get(action, ()):
            cloud.ask(server_id, before)
            cloud.settled(server_id)
        cloud.ask(server_id, action)
    assert died.wait(60)
    cloud.kill(first)
    cloud.agent()
    server = cloud.settled(server_id)
    on_ok = TRANSITIONS[action].on_ok
    assert on_ok is not None
    assert server.vm_state == on_ok.value
    assert server.fault is None
    if action != "delete":
        assert len(cloud.hypervisor.guests) == 1
        cloud.ask(server_id, "delete")
        assert cloud.settled(server_id).deleted
    assert_nothing_left(cloud)


@pytest.mark.parametrize("step", STEPS["create"])
def test_delete_while_it_is_created(cloud: Cloud, step: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hook(work: object, name: str) -> None:
        if getattr(work, "action", "") == "create" and name == step:
            reached.set()
            go_on.wait(60)

    cloud.scheduler()
    cloud.agent(hook=hook)
    server_id = cloud.create()
    assert reached.wait(60)
    cloud.ask(server_id, "delete")
    go_on.set()
    assert cloud.settled(server_id).deleted
    assert_nothing_left(cloud)
    states = [(row.action, row.state) for row in cloud.operations(server_id)]
    before_spawn = STEPS["create"].index(step) < STEPS["create"].index("spawn")
    assert states == [("create", "cancelled" if before_spawn else "done"), ("delete", "done")]


def test_delete_before_any_host_is_chosen(cloud: Cloud) -> None:
    server_id = cloud.create()
    cloud.ask(server_id, "delete")
    cloud.agent()
    cloud.scheduler()
    assert cloud.settled(server_id).deleted
    time.sleep(0.3)
    assert_nothing_left(cloud)


def test_a_failed_create_leaves_a_fault_and_nothing_on_the_host(running: Cloud) -> None:
    running.hypervisor.fail = broken("spawn")
    server_id = running.create()
    server = running.settled(server_id)
    assert server.vm_state == "error"
    assert server.fault is not None
    assert server.fault["message"] == "spawn was made to fail"
    assert running.hypervisor.empty()
    assert running.host().used_vcpus == 0
    running.ask(server_id, "delete")
    assert running.settled(server_id).deleted
    assert_nothing_left(running)


def test_a_passing_fault_is_tried_again(running: Cloud) -> None:
    running.hypervisor.fail = broken("spawn", DriverTimeout, times=1)
    server_id = running.create()
    server = running.settled(server_id)
    assert (server.vm_state, server.fault) == ("active", None)
    assert running.operations(server_id)[0].attempt == 2


def test_an_unforeseen_error_is_a_fault_without_details_for_the_owner(running: Cloud) -> None:
    def fail(call: str) -> None:
        if call == "spawn":
            raise ZeroDivisionError("secret")

    running.hypervisor.fail = fail
    server = running.settled(running.create())
    assert server.fault is not None
    assert "secret" not in server.fault["message"]
    assert "secret" in server.fault["details"]


def test_a_failed_stop_keeps_the_state_and_shows_the_power(running: Cloud) -> None:
    server_id = running.create()
    running.settled(server_id)
    running.hypervisor.fail = broken("stop")
    running.ask(server_id, "stop")
    server = running.settled(server_id)
    assert (server.vm_state, server.power_state) == ("active", PowerState.RUNNING)
    assert server.fault is not None


def test_unknown_placeholder_says_so(running: Cloud) -> None:
    server = running.settled(running.create(image_properties={"nova_lite_cmdline": "a={nonsense}"}))
    assert server.vm_state == "error"
    assert server.fault is not None
    assert "{nonsense}" in server.fault["message"]


def test_a_server_that_was_never_built_is_not_started(running: Cloud) -> None:
    running.hypervisor.fail = broken("spawn")
    server_id = running.create()
    running.settled(server_id)
    running.hypervisor.fail = broken("nothing")
    running.ask(server_id, "reboot-hard")
    server = running.settled(server_id)
    assert server.vm_state == "error"
    assert server.fault is not None
    assert "never built" in server.fault["message"]


def test_one_agent_a_host(running: Cloud) -> None:
    driver = running.hypervisor
    other = Agent(running.conf, running.store, driver, driver, driver, None)
    with pytest.raises(Conflict, match="Another agent"):
        other.start()


def test_stop_hands_back_what_is_under_way(cloud: Cloud) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hook(work: object, name: str) -> None:
        if name == "spawn":
            reached.set()
            go_on.wait(60)

    cloud.conf.set_override("stop_timeout", 0.2, group="compute")
    cloud.scheduler()
    first = cloud.agent(hook=hook)
    server_id = cloud.create()
    assert reached.wait(60)
    first.stop()
    (operation,) = cloud.operations(server_id)
    assert (operation.state, operation.error) == ("pending", "the agent was stopped")
    go_on.set()
    time.sleep(0.1)
    cloud._agents.remove(first)
    cloud.agent()
    assert cloud.settled(server_id).vm_state == "active"


def test_stop_hands_back_what_is_just_being_taken(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, go_on = threading.Event(), threading.Event()
    take = operations.take

    def taking(*arguments: Any, **options: Any) -> Any:
        works = take(*arguments, **options)
        if works and not taken.is_set() and works[0].queue == "agent":
            taken.set()
            assert first._stopping.wait(60)
            time.sleep(0.5)  # longer than a stop takes that does not wait for this
        return works

    monkeypatch.setattr(service.operations, "take", taking)
    cloud.conf.set_override("stop_timeout", 0.2, group="compute")
    first = cloud.agent(hook=lambda _work, _step: go_on.wait(60) and None)
    cloud.scheduler()
    server_id = cloud.create()
    assert taken.wait(60)
    first.stop()
    (operation,) = cloud.operations(server_id)
    assert (operation.state, operation.error) == ("pending", "the agent was stopped")
    go_on.set()
    cloud._agents.remove(first)
    cloud.agent()
    assert cloud.settled(server_id).vm_state == "active"


def test_without_any_message_work_is_found_by_polling(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, with_bus=False)
    try:
        cloud.agent()
        cloud.scheduler()
        server_id = cloud.create()
        assert cloud.settled(server_id).vm_state == "active"
    finally:
        cloud.close()


def test_console_output_over_the_bus(running: Cloud) -> None:
    server_id = running.create()
    running.settled(server_id)
    assert running.bus is not None
    assert running.bus.call("h1", "console_output", server_id=server_id, length=None) == "one\ntwo\nthree �\n"
    assert running.bus.call("h1", "console_output", server_id=server_id, length=2) == "two\nthree �"
    assert running.bus.call("h1", "console_output", server_id=server_id, length=0) == ""
    with pytest.raises(NotFound):
        running.bus.call("h1", "console_output", server_id="none", length=None)


def test_many_at_once_do_not_fail_on_each_other(running: Cloud) -> None:
    servers = [running.create() for _ in range(40)]
    for server_id in servers:
        assert running.settled(server_id).vm_state == "active"
    network = next(iter(running.hypervisor.dhcp.values()))
    assert len(network) == 40
    for server_id in servers:
        running.ask(server_id, "delete")
    for server_id in servers:
        running.settled(server_id)
    assert_nothing_left(running)


def test_room_on_two_hypervisors_is_not_mixed_up(cloud: Cloud) -> None:
    cloud.scheduler()
    cloud.agent()
    other = Hypervisor()
    second = Agent(cloud.conf, cloud.store, other, other, other, cloud.bus, host="h2")
    second.start()
    try:
        servers = [cloud.create() for _ in range(10)]
        for server_id in servers:
            assert cloud.settled(server_id).vm_state == "active"
        assert len(cloud.hypervisor.guests) + len(other.guests) == 10
        assert cloud.hypervisor.guests
        assert other.guests
    finally:
        second.stop()


def test_agents_do_not_import_eventlet() -> None:
    import subprocess

    code = (
        "import sys, nova_lite.agent.service, nova_lite.scheduler.service\n"
        "from nova_lite import conf\nfrom nova_lite.bus import Bus\nBus(conf.load([]))\n"
        "sys.exit('eventlet' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0

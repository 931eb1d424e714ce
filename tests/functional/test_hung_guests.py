"""A guest that hangs is unknown, holds up no other, and does not keep the service from stopping."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_host import Cloud
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.agent import service
from nova_lite.compute.transitions import PowerState
from nova_lite.db import held_operations, migrate, operations
from nova_lite.db.models import Host, Operation
from nova_lite.db.store import connect
from nova_lite.db.types import epoch
from nova_lite.virt.driver import DriverTimeout
from nova_lite.virt.fake import FakeDriver


class HangingDriver(FakeDriver):
    """A fake driver one of whose guests leaves calls unanswered."""

    hung = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.given_up = threading.Event()
        """Set: a call that hangs is given up soon; else after a minute."""

    def _action(self, action: str, server_id: str = "") -> Any:
        if server_id and server_id == self.hung and action not in ("power", "recover"):
            self.given_up.wait(60)
            time.sleep(0.2)
            raise DriverTimeout(f"{action} of {server_id} got no answer")
        return super()._action(action, server_id)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.reconcile_interval": 1.0, "compute.max_attempts": 2})
    made.driver = HangingDriver(capacity=made.driver.capacity)
    yield made
    made.close()


def test_a_guest_that_hangs_is_unknown_until_it_is_seen_again(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = cloud.boot()
    cloud.driver.hung = server_id  # type: ignore[attr-defined]
    cloud.driver.given_up.set()  # type: ignore[attr-defined]
    cloud.act(server_id, {"pause": None})
    cloud.until(lambda: cloud.server(server_id).power_state == PowerState.NOSTATE)
    assert cloud.server(server_id).task_state == "pausing"
    server = cloud.settled(server_id)
    assert server.vm_state == "active" and server.fault is not None
    assert "got no answer" in server.fault["message"]
    cloud.driver.hung = ""  # type: ignore[attr-defined]
    cloud.until(lambda: cloud.server(server_id).power_state == PowerState.RUNNING)
    assert cloud.do(server_id, {"pause": None}).vm_state == "paused"


def test_every_worker_but_one_may_hang(cloud: WholeCloud) -> None:
    cloud.conf.set_override("workers", 2, group="compute")
    cloud.agent()
    cloud.scheduler()
    hung = cloud.boot()
    cloud.driver.hung = hung  # type: ignore[attr-defined]
    cloud.act(hung, {"pause": None})
    for _ in range(3):
        assert cloud.do(cloud.boot(), {"pause": None}).vm_state == "paused"
    assert cloud.server(hung).task_state == "pausing"
    cloud.driver.given_up.set()  # type: ignore[attr-defined]
    cloud.settled(hung)


def test_an_operation_whose_worker_hangs_ends_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (operations, held_operations):
        monkeypatch.setattr(module, "LEASE_S", 4.0)
    monkeypatch.setattr(operations, "OVERTIME_S", 0.5)
    monkeypatch.setattr(service, "RENEW_S", 0.3)
    cloud, hangs = Cloud(tmp_path), threading.Event()
    try:
        cloud.agent()
        cloud.scheduler()
        cloud.hypervisor.fail = lambda call: hangs.wait(60) if call == "spawn" else None  # type: ignore[assignment,return-value,func-returns-value]
        server_id = cloud.create()
        _await(lambda: cloud.operations(server_id)[0].step == "spawn", "the guest is being made")
        first = cloud.operations(server_id)[0].lease_until
        _await(lambda: cloud.operations(server_id)[0].lease_until > first + 1, "its lease is prolonged")
        assert cloud.operations(server_id)[0].state == "running"
        soon = update(Operation).values(deadline=epoch() + 0.5)
        cloud.store.transact(lambda session: session.execute(soon))
        server = cloud.settled(server_id)
        assert server.vm_state == "error"
        assert "was not done in time" in server.fault["message"]  # type: ignore[index]
        hangs.set()
        time.sleep(0.3)
        assert cloud.server(server_id).vm_state == "error"  # who comes too late changes nothing
    finally:
        hangs.set()
        cloud.close()


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("program", ["compute", "up"])
def test_a_stop_is_bounded_and_hands_back_what_hangs(tmp_path: Path, program: str) -> None:
    settings, log = tmp_path / "nova-lite.conf", tmp_path / "log"
    settings.write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}\nhost = h1\nlog_file = {log}\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/own.db\n[api]\nbind_port = 0\n"
        "[compute]\ndriver = fake\npoll_interval = 0.1\nstop_timeout = 1\n"
        "[fake]\nhang_rate = 1\nhang_seconds = 300\nfaulty_actions = spawn\n"
    )
    engine = connect(f"sqlite:///{tmp_path}/own.db")
    migrate.upgrade(engine)
    engine.dispose()
    cloud = Cloud(tmp_path, url=f"sqlite:///{tmp_path}/own.db", with_bus=False)
    cloud.scheduler()
    line = f"import sys; from nova_lite.cmd.{program} import main; sys.exit(main(['--config-file', {str(settings)!r}]))"
    process = subprocess.Popen([sys.executable, "-c", line])
    try:

        def wait_for(what: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60
            while not what():
                assert time.monotonic() < deadline and process.poll() is None, log.read_text()
                time.sleep(0.05)

        wait_for(lambda: has_reported(cloud))
        server_id = cloud.create()
        wait_for(lambda: cloud.operations(server_id)[0].step == "spawn")
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(60) == 0, log.read_text()
        # The hypervisor hangs for five minutes; the stop was given one second, and each of its parts a few more.
        assert time.monotonic() - began < 40
        work = cloud.operations(server_id)[0]
        assert (work.state, work.owner, work.queue) == ("pending", None, "agent")
    finally:
        process.kill()
        process.wait()
        cloud.close()


def has_reported(cloud: Cloud) -> bool:
    with cloud.store.read() as session:
        return session.get(Host, "h1") is not None


def test_what_a_hypervisor_that_is_away_was_asked_for_is_done_when_it_is_back(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = cloud.boot()
    cloud.driver.faults.unreachable = True
    cloud.act(server_id, {"pause": None})
    cloud.until(lambda: cloud.server(server_id).power_state == PowerState.NOSTATE)
    cloud.driver.faults.unreachable = False
    server = cloud.settled(server_id)
    assert (server.vm_state, server.power_state, server.fault) == ("paused", PowerState.PAUSED, None)

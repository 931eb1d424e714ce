"""Real ``kill -9`` at random moments while servers are made, changed and deleted: none is stuck, nothing is left.

``NOVA_LITE_CHAOS_KILLS`` sets the number of kills, ``NOVA_LITE_CHAOS_SEED`` repeats a run; the seed is in the failure.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_process import overrides
from left_over import left_over
from one_host import Cloud
from sqlalchemy import func, select

from nova_lite import conf as configuration
from nova_lite.db.models import Allocation, Operation, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.errors import Conflict, NotFound
from nova_lite.virt.fake import FakeDriver

KILLS = int(os.environ.get("NOVA_LITE_CHAOS_KILLS", "12"))
SEED = int(os.environ.get("NOVA_LITE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
ACTIONS = ("delete", "delete", "stop", "start", "reboot-hard", "pause", "unpause", "suspend", "resume")


class Victim:
    """The process that is killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        script = Path(__file__).parent / "cloud_process.py"
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script), str(self._directory)], stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == b"up\n", (self._directory / "log").read_text()[-2000:]

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    yield made
    made.kill()


def unfinished(cloud: Cloud) -> int:
    with cloud.store.read() as session:
        count = session.scalar(select(func.count()).select_from(Operation).where(Operation.state.in_(UNFINISHED)))
        busy = session.scalar(select(func.count()).select_from(Server).where(Server.task_state.is_not(None)))
    return int(count or 0) + int(busy or 0)


@pytest.mark.timeout(280)
def test_kills_at_random_times(tmp_path: Path, victim: Victim) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    cloud = Cloud(tmp_path, with_bus=False)
    servers: list[str] = []
    try:
        for _ in range(KILLS):
            victim.start()
            until = time.monotonic() + chance.uniform(0.02, 0.5)
            while time.monotonic() < until:
                if chance.random() < 0.5 or not servers:
                    servers.append(cloud.create(kind=chance.choice(["vm", "unikernel", "container"])))
                else:
                    with contextlib.suppress(Conflict, NotFound):
                        cloud.ask(chance.choice(servers), chance.choice(ACTIONS))
                time.sleep(chance.uniform(0, 0.02))
            victim.kill()
        victim.start()
        deadline = time.monotonic() + 60
        while unfinished(cloud):
            assert time.monotonic() < deadline, f"seed {SEED}: {unfinished(cloud)} are stuck"
            time.sleep(0.05)
        time.sleep(1.5)  # one reconcile
        check_states(cloud, tmp_path)
        for server_id in servers:
            if not cloud.server(server_id).deleted:
                cloud.ask(server_id, "delete")
        for server_id in servers:
            cloud.settled(server_id, 60)
        victim.kill()
        check_nothing_left(cloud, tmp_path)
    finally:
        cloud.close()


def guests(directory: Path) -> dict[str | None, int]:
    driver = FakeDriver.from_conf(configuration.load([], overrides(directory)))
    return {guest.server_id: int(guest.power) for guest in driver.observe()}


def check_states(cloud: Cloud, directory: Path) -> None:
    there = guests(directory)
    with cloud.store.read() as session:
        rows = session.scalars(select(Server)).all()
        claims = set(session.scalars(select(Allocation.server_id)))
    for row in rows:
        where = f"seed {SEED}: {row.id} {row.vm_state} {row.fault}"
        assert row.task_state is None, where
        assert row.vm_state != "building", where
        assert row.vm_state != "error" or row.fault, where
        assert (row.id in there) == (not row.deleted and row.launched_at is not None), where
        assert (row.id in claims) == (not row.deleted and row.launched_at is not None), where


def check_nothing_left(cloud: Cloud, directory: Path) -> None:
    assert not guests(directory), f"seed {SEED}"
    with cloud.store.read() as session:
        assert left_over(session) == {}, f"seed {SEED}"
    host = cloud.host()
    assert (host.used_vcpus, host.used_memory_mb, host.running_servers) == (0, 0, 0), f"seed {SEED}"

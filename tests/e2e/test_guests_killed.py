"""``kill -9`` of the whole cloud while real guests are made and deleted: each ends as something, nothing is left over.

``NOVA_LITE_E2E_KILLS`` sets the number of kills. The seed is the same in each run, so that a failure says something of the change before it;
``NOVA_LITE_E2E_SEED`` names another, or ``random`` for any. It is in the failure.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from private_host import wait_for
from real_cloud import KINDS, Cloud, Marks, await_ping, cloud_on_a_host, traces

KILLS = int(os.environ.get("NOVA_LITE_E2E_KILLS", "12"))
ASKED = os.environ.get("NOVA_LITE_E2E_SEED", "")
SEED = random.SystemRandom().randrange(1, 1 << 30) if ASKED == "random" else int(ASKED or 3)


@pytest.mark.timeout(600)
def test_kills_while_real_guests_come_and_go(images: Path) -> None:
    chance = random.Random(SEED)
    # A restart takes up what the last life left; it must not wait for the next look at the queue.
    options = "[compute]\npoll_interval = 0.5\nreconcile_interval = 5\n[scheduler]\npoll_interval = 0.5\n"
    with cloud_on_a_host(images, options=options) as cloud:
        servers: list[str] = []
        for number in range(KILLS):
            if number:
                cloud.start()
            disturb(cloud, servers, chance, number)
            cloud.kill()
        cloud.start()
        where = f"seed {SEED}"
        for server_id in servers:
            wait_for(f"{where}: {server_id} settled", lambda key=server_id: settled(cloud, key), 60)  # type: ignore[misc]
        kept = [server_id for server_id in servers if cloud.show(server_id) is not None]
        for server_id in kept:
            check(cloud, server_id, where)
        marks = [cautious_marks(cloud, server_id) for server_id in servers]
        cloud.delete(kept, 60)
        for mark in marks:
            assert traces(cloud, mark) == [], f"{where}: {cloud.tail()}"
        assert [name for name in cloud.host.links() if not name.startswith("nl-br")] == [], where
        left = [path.name for path in (cloud.host.state / "instances").iterdir() if not path.is_file()]
        assert left == [], where
        cloud.stop()


def disturb(cloud: Cloud, servers: list[str], chance: random.Random, number: int) -> None:
    """Ask for a server of some kind, perhaps for the end of another, and let some time pass."""
    kind = KINDS[number % len(KINDS)]
    servers.append(cloud.create(f"k{number}-{kind}", kind))
    if len(servers) > 2 and chance.random() < 0.7:
        victim = chance.choice(servers)
        assert cloud.ask("DELETE", f"/compute/v2.1/servers/{victim}", user="demo").status in (204, 404)
    time.sleep(chance.uniform(0.0, 0.9))


def settled(cloud: Cloud, server_id: str) -> bool:
    server = cloud.show(server_id)
    return server is None or (server["OS-EXT-STS:task_state"] is None and server["status"] != "BUILD")


def check(cloud: Cloud, server_id: str, where: str) -> None:
    """Hold that what is ACTIVE answers, and that an ERROR says why."""
    server = cloud.show(server_id)
    assert server["status"] in ("ACTIVE", "ERROR"), f"{where}: {server}"
    if server["status"] == "ERROR":
        assert server["fault"]["message"], f"{where}: {server}"
    else:
        await_ping(cloud.address(server_id))


def cautious_marks(cloud: Cloud, server_id: str) -> Marks:
    ports = cloud.ports(server_id)
    addresses = [fixed["ip_address"] for port in ports for fixed in port["fixed_ips"]]
    return Marks(server_id, tuple(port["id"] for port in ports), tuple(addresses))

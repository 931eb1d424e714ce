"""A cloud's scheduler and agent in a process of their own, to be killed. ``python cloud_process.py DIRECTORY``.

The fake driver keeps its guests in a file, as a real hypervisor keeps them whatever becomes of the agent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from nova_lite import conf as configuration
from nova_lite.agent.service import Agent
from nova_lite.bus import Bus, Waker
from nova_lite.cmd import parts
from nova_lite.db import operations
from nova_lite.db.migrate import open_store
from nova_lite.scheduler.service import Scheduler


def main(directory: Path) -> None:
    """Run until killed."""
    conf = configuration.load([], overrides(directory))
    store = open_store(conf)
    bus = Bus(conf)
    operations.release_queue(store, "scheduler")
    Scheduler(conf, store, bus, Waker(bus.cast)).start()
    Agent(conf, store, *parts.make_host(conf), bus).start()
    print("up", flush=True)
    while True:
        time.sleep(60)


def overrides(directory: Path) -> dict[str, object]:
    """Return the options of this cloud."""
    return {
        "state_path": str(directory),
        "host": "h1",
        "database.connection": f"sqlite:///{directory}/test.db",
        "compute.driver": "fake",
        "compute.poll_interval": 0.05,
        "compute.reconcile_interval": 1.0,
        "scheduler.poll_interval": 0.05,
        "fake.persist": True,
        "fake.latency": 0.005,
        "fake.latency_jitter": 0.01,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))

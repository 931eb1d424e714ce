"""``nova-lite up``: the whole cloud in one process, with SQLite and an in-process bus."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg
from sqlalchemy.exc import DBAPIError

from nova_lite.agent.service import Agent
from nova_lite.bus import AGENT, SCHEDULER, Bus, Waker
from nova_lite.cmd import logs, parts
from nova_lite.cmd.image_sweep import ImageSweep
from nova_lite.cmd.presence import Presence
from nova_lite.db import idempotency, migrate, operations
from nova_lite.db.store import Store
from nova_lite.errors import Unavailable
from nova_lite.scheduler.service import Scheduler

LOG = logging.getLogger(__name__)

SWITCH_S = 0.001
"""How long a thread may keep the interpreter from another; Python's 5 ms would be a request's whole time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit code."""
    return parts.exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="nova-lite up", description="Run the whole cloud in one process: APIs, scheduler and this host's agent."
    )
    parts.add_arguments(parser)
    parser.add_argument("--port", type=int, help="listen on this port instead of the configured one")
    arguments = parser.parse_args(argv)
    overrides: dict[str, Any] = {} if arguments.port is None else {"api.bind_port": arguments.port}
    conf = parts.load(arguments, overrides)
    logs.set_up(conf)
    run(conf)
    return 0


def run(conf: cfg.ConfigOpts, ready: Callable[[str], None] | None = None) -> None:
    """Run everything until SIGTERM or SIGINT; *ready* is called with the URL when the APIs answer."""
    began = time.monotonic()
    sys.setswitchinterval(SWITCH_S)
    store = migrate.open_store(conf)
    migrate.upgrade(store.engine)
    bus = Bus(conf)  # before eventlet is imported: oslo.messaging must not see it, as nothing is patched here
    from nova_lite.api.server import wsgi

    cloud = _Cloud(conf, store, bus)
    application = parts.make_application(conf, store, cloud.waker, bus, wsgi.offload)

    def announce(url: str) -> None:
        cloud.start()
        gc.collect()
        gc.freeze()  # what is there now stays; the collector need not walk it again
        LOG.info("event=up url=%s seconds=%.2f", url, time.monotonic() - began)
        print(f"nova-lite is up at {url}", file=sys.stderr, flush=True)
        if ready is not None:
            ready(url)

    try:
        wsgi.serve(application, conf.api.bind_host, conf.api.bind_port, conf=conf, ready=announce)
    finally:
        cloud.stop()
        bus.close()
        store.close()


class _Cloud:
    """The scheduler and the agent beside the front door, in native threads."""

    def __init__(self, conf: cfg.ConfigOpts, store: Store, bus: Bus) -> None:
        self.waker = Waker(bus.cast)
        self._store = store
        self._scheduler = Scheduler(conf, store, bus, self.waker)
        self._agent = Agent(conf, store, *parts.make_host(conf), bus)
        self.waker.tell(SCHEDULER, None, self._scheduler.wake)
        self._presences = [
            Presence(store, binary, conf.host, conf.compute.report_interval)
            for binary in ("nova-osapi_compute", "nova-scheduler")
        ]
        self._image_sweep = ImageSweep(store, conf)
        self._agent_runs = threading.Event()
        self._starter = threading.Thread(target=self._start_agent, name="agent-start", daemon=True)

    def start(self) -> None:
        """Begin; the agent starts in a thread of its own, since the first look at a hypervisor may take seconds."""
        if self._store.backend == "sqlite":
            # A file of this machine's: no other process is at work on it, so what the last life left is free.
            try:
                operations.release_queue(self._store, "scheduler")
                idempotency.release_all(self._store)
            except (DBAPIError, Unavailable) as error:
                LOG.warning("event=not-taken-up reason=%r (the leases will run out)", str(error)[:200])
        self._scheduler.start()
        for presence in self._presences:
            presence.start()
        self._image_sweep.start()
        self._starter.start()

    def stop(self) -> None:
        """End what was begun."""
        if self._starter.ident is not None:
            self._starter.join(5.0)
        self._scheduler.stop()
        if self._agent_runs.is_set():
            self._agent.stop()
        for presence in self._presences:
            presence.stop()
        self._image_sweep.stop()
        self.waker.stop()

    def _start_agent(self) -> None:
        while not self._agent_runs.is_set():
            try:
                self._agent.start()
                self._agent_runs.set()
                self.waker.tell(AGENT, self._agent.host, self._agent.wake)
            except Exception:
                LOG.exception("event=agent-not-started (the APIs answer; nothing can be built on this host)")
                time.sleep(5.0)

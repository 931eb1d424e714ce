"""The processes that are killed. Each is forked from a server that has imported everything, so that a start takes moments."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import faults
import options
from death import Death, Strike
from faults import Chances, KeptNetworks, MortalDriver

from nova_lite.agent import service as agent_service
from nova_lite.agent.service import Agent
from nova_lite.api.server import wsgi
from nova_lite.bus import Bus, Waker, transport
from nova_lite.cmd import logs, parts, up
from nova_lite.db import idempotency, migrate, operations
from nova_lite.db.store import Store, connect
from nova_lite.host.fake import FakeImages
from nova_lite.scheduler.service import Scheduler

CLOUD = ("cloud",)
PARTS = ("api", "scheduler", "agent")
LEASE_S = 1.5
"""What a death costs at most is a lease; the product's are 30 and 120 s long."""

_CONTEXT: Any = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["victims", "warm"])


def warm_up() -> None:
    """Import all that a cloud imports when it is needed, once, for all that are forked from here; starts no thread."""
    transport.load_messaging()
    with tempfile.TemporaryDirectory() as directory:
        conf = options.load(Path(directory))
        store = Store(connect("sqlite://"))
        parts.make_application(conf, store, Waker(_nobody), None, wsgi.offload)  # type: ignore[arg-type]
        store.close()


class Victim:
    """One process of a cloud: ``role`` is ``cloud`` (all of it), ``api``, ``scheduler`` or ``agent``."""

    def __init__(self, role: str, directory: Path, port: int) -> None:
        self.role = role
        self._directory = directory
        self._port = port
        self._process: Any = None
        self._orders: Any = None

    def start(self, chances: Chances, seed: int) -> None:
        """Start it and wait until it works."""
        orders, self._orders = _CONTEXT.Pipe(duplex=False)
        ready, told = _CONTEXT.Pipe(duplex=False)
        arguments = (self.role, self._directory, self._port, chances, seed, orders, told)
        self._process = _CONTEXT.Process(target=_live, args=arguments, daemon=True)
        self._process.start()
        orders.close()
        told.close()
        if not ready.poll(30) or not _heard(ready):
            raise RuntimeError(f"{self.role} did not start; see {self._directory}/log")
        ready.close()

    def arm(self, strike: Strike) -> None:
        """Have it kill itself."""
        self._orders.send((strike.point, strike.number))

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and bool(self._process.is_alive())

    def await_death(self, seconds: float) -> bool:
        """Wait for it to die by itself; False: it lives."""
        self._process.join(seconds)
        return not self.is_alive()

    def kill(self) -> None:
        """Kill it now, if it lives."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._orders.close()
            self._process = None


def _heard(ready: Connection) -> bool:
    try:
        return bool(ready.recv())
    except EOFError:
        return False


def _live(
    role: str, directory: Path, port: int, chances: Chances, seed: int, orders: Connection, told: Connection
) -> None:
    os.setpgid(0, 0)
    with (directory / "said").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    conf = options.load(directory, port)
    logs.set_up(conf)
    chance = random.Random(seed)
    operations.LEASE_S = idempotency.LEASE_S = LEASE_S
    agent_service.LEASE_S, agent_service.RENEW_S = LEASE_S, LEASE_S / 3
    death = Death(functools.partial(_note, directory / "deaths", role))
    threading.Thread(target=_obey, args=(orders, death), daemon=True).start()
    _Process(conf, role, death, chances, chance).run(lambda: told.send(True))


def _note(path: Path, role: str, where: str) -> None:
    with path.open("a") as file:
        file.write(f"{role} {where}\n")


def _obey(orders: Connection, death: Death) -> None:
    while True:
        try:
            point, number = orders.recv()
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGKILL)  # whoever started this is gone
        death.arm(point, number)


class _Process:
    """The parts of the product in this process, made with what may kill and disturb them."""

    def __init__(self, conf: Any, role: str, death: Death, chances: Chances, chance: random.Random) -> None:
        self._conf, self._role, self._death, self._chances, self._chance = conf, role, death, chances, chance

    def run(self, ready: Any) -> None:
        """Run until killed."""
        migrate_open = migrate.open_store

        def open_store(conf: Any) -> Any:
            store = migrate_open(conf)
            faults.watch_commits(store, self._death, self._chances, self._chance)
            return store

        migrate.open_store = open_store
        {"cloud": self._cloud, "api": self._api, "scheduler": self._scheduler, "agent": self._agent}[self._role](ready)

    def _hook(self, work: Any, step: str) -> None:
        self._death.at("step", f"{work.action}/{step}")

    def _host(self, conf: Any) -> Any:
        driver = MortalDriver.from_conf(conf)
        driver.death = self._death
        driver.disturb(self._chances, self._chance)
        return driver, KeptNetworks(Path(conf.state_path) / "devices"), FakeImages()

    def _cloud(self, ready: Any) -> None:
        make_bus = up.Bus

        def disturbed(conf: Any) -> Bus:
            bus = make_bus(conf)
            faults.disturb_messages(bus, self._chances, self._chance)
            return bus

        up.Bus = disturbed  # type: ignore[assignment, misc]
        up.Agent = functools.partial(Agent, hook=self._hook)  # type: ignore[assignment, misc]
        parts.make_host = self._host
        up.run(self._conf, lambda _url: ready())

    def _bus(self) -> tuple[Bus | None, Waker]:
        if self._conf.bus.transport_url.startswith("kombu+memory:"):
            return None, Waker(_nobody)
        bus = Bus(self._conf)
        faults.disturb_messages(bus, self._chances, self._chance)
        return bus, Waker(bus.cast)

    def _api(self, ready: Any) -> None:
        store = migrate.open_store(self._conf)
        bus, waker = self._bus()
        application = parts.make_application(self._conf, store, waker, bus, wsgi.offload)  # type: ignore[arg-type]
        address = (self._conf.api.bind_host, self._conf.api.bind_port)
        wsgi.serve(application, *address, conf=self._conf, ready=lambda _url: ready())

    def _scheduler(self, ready: Any) -> None:
        store = migrate.open_store(self._conf)
        Scheduler(self._conf, store, *self._bus()).start()
        ready()
        _forever()

    def _agent(self, ready: Any) -> None:
        store = migrate.open_store(self._conf)
        agent = Agent(self._conf, store, *self._host(self._conf), self._bus()[0], hook=self._hook)
        ready()
        while True:
            try:
                agent.start()
            except Exception as error:
                # The database or the hypervisor was away; a service would be started again.
                logs.logging.warning("event=agent-not-started reason=%r", error)
                time.sleep(0.1)
                continue
            _forever()


def _nobody(_topic: str, _host: str | None) -> None:
    """Lose a message: without a broker, the parts of a cloud in pieces find their work by looking."""


def _forever() -> None:
    while True:
        time.sleep(60)

"""A cloud of one host for tests: a hypervisor, networks and images in memory that outlive the agent, and rows to work on.

The agent, the scheduler, the store and the bus are the real ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite import conf as configuration
from nova_lite.agent.service import Agent
from nova_lite.bus import AGENT, SCHEDULER, Bus, Waker
from nova_lite.compute import lifecycle
from nova_lite.compute.transitions import TRANSITIONS, PowerState
from nova_lite.db import operations
from nova_lite.db.models import Base, FixedIp, Host, Image, Network, Operation, Port, Server, Subnet
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store, connect
from nova_lite.db.types import new_id
from nova_lite.host.network_state import HostState, PortSpec
from nova_lite.host.ports import ImageSpec, NetworksFailed
from nova_lite.scheduler.service import Scheduler
from nova_lite.virt.driver import (
    KINDS,
    Capabilities,
    DriverError,
    GuestNotFound,
    GuestSpec,
    Inventory,
    LocalImage,
    Nic,
    Observed,
    Stats,
)

CALLER = Caller("req-test", "project", "user")
NETWORK = "11111111-1111-4111-8111-111111111111"
SUBNET = "22222222-2222-4222-8222-222222222222"
IMAGE = "33333333-3333-4333-8333-333333333333"


@dataclass
class Guest:
    spec: GuestSpec
    power: PowerState = PowerState.RUNNING
    boots: int = 1


class Hypervisor:
    """Driver, networks and images of one host, in memory; what is in it survives any agent."""

    def __init__(self, *, vcpus: int = 64, memory_mb: int = 65_536, disk_gb: int = 1000) -> None:
        self.guests: dict[str, Guest] = {}
        self.plugged: dict[str, PortSpec] = {}
        self.dhcp: dict[int, set[str]] = {}
        self.fetched = 0
        self.strangers: list[Observed] = []
        self.fail: Callable[[str], None] = lambda _call: None
        """Called with the name of each call; raises to make it fail."""
        self._inventory = Inventory(vcpus, memory_mb, disk_gb, disk_gb)
        self._lock = threading.RLock()

    def empty(self) -> bool:
        """Tell whether nothing is left of any guest."""
        return not self.guests and not self.plugged and not any(self.dhcp.values())

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        self.fail(name)
        with self._lock:
            yield

    def _guest(self, server_id: str) -> Guest:
        if server_id not in self.guests:
            raise GuestNotFound(f"no guest {server_id}")
        return self.guests[server_id]

    def capabilities(self) -> Capabilities:
        return Capabilities("fake", KINDS, "fake", "fake", 1_000_000, "x86_64", "fake")

    def inventory(self) -> Inventory:
        return self._inventory

    def spawn(self, spec: GuestSpec) -> None:
        with self._call("spawn"):
            self.guests.setdefault(spec.server_id, Guest(spec)).power = PowerState.RUNNING

    def destroy(self, server_id: str) -> None:
        with self._call("destroy"):
            self.guests.pop(server_id, None)

    def start(self, spec: GuestSpec) -> None:
        with self._call("start"):
            self._guest(spec.server_id).power = PowerState.RUNNING

    def stop(self, server_id: str, grace_s: float) -> None:
        with self._call("stop"):
            self._guest(server_id).power = PowerState.SHUTDOWN

    def reboot(self, spec: GuestSpec, *, hard: bool, grace_s: float) -> None:
        with self._call("reboot"):
            guest = self._guest(spec.server_id)
            guest.power = PowerState.RUNNING
            guest.boots += 1

    def pause(self, server_id: str) -> None:
        with self._call("pause"):
            self._guest(server_id).power = PowerState.PAUSED

    def unpause(self, server_id: str) -> None:
        with self._call("unpause"):
            self._guest(server_id).power = PowerState.RUNNING

    def suspend(self, server_id: str) -> None:
        with self._call("suspend"):
            self._guest(server_id).power = PowerState.SHUTDOWN

    def resume(self, spec: GuestSpec) -> None:
        with self._call("resume"):
            self._guest(spec.server_id).power = PowerState.RUNNING

    def recover(self, spec: GuestSpec) -> PowerState:
        with self._call("recover"):
            return self._guest(spec.server_id).power

    def observe(self) -> Sequence[Observed]:
        with self._call("observe"):
            mine = [Observed(key, guest.spec.name, guest.power, guest.spec.kind) for key, guest in self.guests.items()]
            return mine + self.strangers

    def power(self, server_id: str) -> PowerState:
        with self._call("power"):
            return self._guest(server_id).power

    def stats(self, server_id: str) -> Stats:
        self._guest(server_id)
        return Stats(0, 0, 0.0)

    def console(self, server_id: str, limit: int) -> bytes:
        with self._call("console"):
            self._guest(server_id)
            return b"one\ntwo\nthree \xff\n"[-limit:]

    def apply(self, state: HostState) -> None:
        self.fail("apply")
        with self._lock:
            failed = {}
            self.dhcp = {state.networks[key].number: set() for key in state.networks}
            for port_id, port in state.ports.items():
                if port_id not in self.plugged:
                    try:
                        self.fail("plug")
                    except Exception as error:
                        failed[port_id] = str(error)
                        continue
                self.dhcp[state.networks[port.network_id].number].add(port_id)
                self.plugged[port_id] = port
            for port_id in set(self.plugged) - set(state.ports):
                self.fail("unplug")
                del self.plugged[port_id]
            if failed:
                raise NetworksFailed(failed)

    def nic(self, state: HostState, port_id: str) -> Nic:
        port = state.ports[port_id]
        network = state.networks[port.network_id]
        prefix = network.subnets[0].cidr.partition("/")[2]
        return Nic(
            port_id=port.port_id,
            mac=port.mac,
            device=f"tap{port.port_id[:8]}",
            bridge=f"nl-br{network.number}",
            mtu=network.mtu,
            addresses=tuple(f"{address}/{prefix}" for _, address in port.addresses),
            gateway=network.subnets[0].gateway,
        )

    def tend(self) -> int:
        return 0

    def close(self) -> None:
        """Have nothing to end."""

    def clean(self) -> None:
        self.plugged.clear()
        self.dhcp.clear()

    def fetch(self, image: ImageSpec, go_on: Callable[[], None] = lambda: None) -> LocalImage:
        with self._call("fetch"):
            self.fetched += 1
            return LocalImage(image.image_id, Path("/nowhere"), image.disk_format, image.size)

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        with self._call("config-drive"):
            assert "openstack/latest/meta_data.json" in files
            return Path(f"/nowhere/{server_id}.iso")


@dataclass
class Cloud:
    """One host's cloud over the store at *url*. ``hypervisor`` survives ``kill``; agents and schedulers come and go."""

    directory: Path
    url: str = ""
    hypervisor: Hypervisor = field(default_factory=Hypervisor)
    overrides: dict[str, Any] = field(default_factory=dict)
    with_bus: bool = True

    def __post_init__(self) -> None:
        options = {
            "state_path": str(self.directory),
            "host": "h1",
            "compute.poll_interval": 0.1,
            "scheduler.poll_interval": 0.1,
            "scheduler.sweep_interval": 0.1,
            "compute.stop_timeout": 5.0,
        }
        self.conf = configuration.load([], options | self.overrides)
        self.store = Store(connect(self.url or f"sqlite:///{self.directory}/test.db"))
        Base.metadata.create_all(self.store.engine)
        self.bus = Bus(self.conf) if self.with_bus else None
        self.waker = Waker(self.bus.cast if self.bus else lambda _topic, _host: None)
        self._agents: list[Agent] = []
        self._schedulers: list[Scheduler] = []
        self.seed()

    def seed(self) -> None:
        """Fill the store with what the servers need."""
        self.store.transact(_seed)

    def agent(self, **options: Any) -> Agent:
        """Start an agent."""
        driver = self.hypervisor
        agent = Agent(self.conf, self.store, driver, driver, driver, self.bus, **options)
        agent.start()
        self._agents.append(agent)
        return agent

    def scheduler(self) -> Scheduler:
        """Start a scheduler."""
        scheduler = Scheduler(self.conf, self.store, self.bus, self.waker)
        scheduler.start()
        self._schedulers.append(scheduler)
        return scheduler

    def kill(self, agent: Agent) -> None:
        """Let an agent die: nothing is finished, nothing handed back."""
        agent.abandon()
        self._agents.remove(agent)

    def close(self) -> None:
        """Stop everything that was started."""
        for agent in self._agents:
            agent.stop()
        for scheduler in self._schedulers:
            scheduler.stop()
        self.waker.stop()
        if self.bus is not None:
            self.bus.close()
        self.store.close()

    def create(self, **values: Any) -> str:
        """Ask for a server as the API does: row, port and operation in one transaction, then a hint."""
        server_id = self.store.transact(lambda session: add_server(session, **values))
        self.waker.wake(SCHEDULER)
        return server_id

    def ask(self, server_id: str, action: str) -> None:
        """Ask for an action as the API does."""

        def begin(session: Session) -> str | None:
            server = session.get_one(Server, server_id)
            lifecycle.begin(session, CALLER, server, action)
            return server.host

        host = self.store.transact(begin)
        if host is not None:
            self.waker.wake(AGENT, host)

    def server(self, server_id: str) -> Server:
        """Read a server."""
        with self.store.read() as session:
            return session.get_one(Server, server_id)

    def operations(self, server_id: str) -> list[Operation]:
        """Read a server's operations."""
        with self.store.read() as session:
            return list(
                session.scalars(select(Operation).where(Operation.target_id == server_id).order_by(Operation.id))
            )

    def settled(self, server_id: str, timeout: float = 180.0) -> Server:
        """Wait until nothing is under way on a server; return its row."""
        deadline = time.monotonic() + timeout
        while True:
            server = self.server(server_id)
            unfinished = [row for row in self.operations(server_id) if row.state in operations.UNFINISHED]
            if server.task_state is None and not unfinished:
                return server
            if time.monotonic() > deadline:
                state = [(row.id, row.action, row.state, row.step, row.error) for row in self.operations(server_id)]
                raise AssertionError(f"{server.vm_state}/{server.task_state} is stuck: {state}")
            time.sleep(0.005)

    def host(self) -> Host:
        """Read the host's row."""
        with self.store.read() as session:
            return session.get_one(Host, "h1")


def _seed(session: Session) -> None:
    if session.get(Network, NETWORK) is not None:
        return
    session.add(Network(id=NETWORK, project_id="project", segmentation_id=17))
    session.flush()
    session.add(Subnet(id=SUBNET, network_id=NETWORK, project_id="project", cidr="10.0.0.0/16", gateway_ip="10.0.0.1"))
    session.add(
        Image(
            id=IMAGE,
            status="active",
            disk_format="raw",
            container_format="bare",
            size=1,
            os_hash_algo="sha512",
            os_hash_value="0" * 128,
        )
    )


def add_server(session: Session, **values: Any) -> str:
    """Add a server with one port and its create operation."""
    server_id = new_id()
    row: dict[str, Any] = {
        "id": server_id,
        "project_id": "project",
        "user_id": "user",
        "name": f"server-{server_id[:8]}",
        "hostname": f"server-{server_id[:8]}",
        "kind": "unikernel",
        "image_id": IMAGE,
        "flavor": {"extra_specs": {}},
        "vcpus": 1,
        "memory_mb": 64,
        "disk_gb": 0,
        "vm_state": "building",
        "task_state": "scheduling",
        "reservation_id": "r-1",
    }
    session.add(Server(**(row | values)))
    number = int(server_id[:4], 16)
    port = Port(
        id=new_id(),
        network_id=NETWORK,
        project_id="project",
        mac_address="fa:16:3e:" + ":".join(server_id[index : index + 2] for index in (0, 2, 4)),
        device_id=server_id,
        device_owner="compute:nova",
        made_by_compute=True,
    )
    session.add(port)
    session.flush()
    address = f"10.0.{number >> 8}.{number & 255}"
    if session.get(FixedIp, (SUBNET, address)) is None:
        session.add(FixedIp(subnet_id=SUBNET, address=address, port_id=port.id))
    operations.submit(
        session,
        CALLER,
        action="create",
        target_type="server",
        target_id=server_id,
        queue="scheduler",
        deadline_s=TRANSITIONS["create"].deadline_s,
    )
    return server_id


def rest(agent: Agent) -> None:
    """Wait until *agent* has let go of every server: that is a moment after what it did has ended for all others."""
    while agent._held:
        time.sleep(0.001)


def reconcile(agent: Agent) -> None:
    """Let *agent* compare and act once; what it is still at work on it would leave alone, as what its watch acts on meanwhile."""
    rest(agent)
    agent.reconcile()
    rest(agent)


def broken(call: str, error: type[DriverError] = DriverError, times: int | None = None) -> Callable[[str], None]:
    """Make a ``Hypervisor.fail`` that fails *call*, the first *times* times (None: always)."""
    left = [times]

    def fail(name: str) -> None:
        if name == call and left[0] != 0:
            left[0] = None if left[0] is None else left[0] - 1
            raise error(f"{call} was made to fail")

    return fail

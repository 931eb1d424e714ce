"""A whole cloud in one process: the front door, the scheduler and one host's agent on the fake driver, over one database."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import webob
from compute_cloud import DEMO, ask, boot, seed
from named_tokens import Tokens
from one_host import Cloud
from sqlalchemy import select, update

from nova_lite.agent.service import Agent
from nova_lite.api.app import make_app
from nova_lite.api.compute import MOUNT
from nova_lite.api.context import Services
from nova_lite.api.policy import Policy
from nova_lite.api.routes import Table
from nova_lite.db.models import Host, Image, Operation, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.host.fake import FakeImages, FakeNetworks
from nova_lite.virt.driver import Inventory
from nova_lite.virt.fake import FakeDriver

LATEST = "2.96"


class Gate:
    """Where a call of the driver waits, and tells that it does."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()


class GatedDriver(FakeDriver):
    """A fake driver whose calls wait at their gate, where there is one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gates: dict[str, Gate] = {}

    @contextmanager
    def _action(self, action: str, server_id: str = "") -> Iterator[None]:
        gate = self.gates.get(action)
        if gate is not None:
            gate.reached.set()
            assert gate.opened.wait(60)
        with super()._action(action, server_id):
            yield


class WholeCloud(Cloud):
    """:class:`one_host.Cloud` with a front door before it and the fake driver, networks and images on its host."""

    def __init__(self, directory: Path, **overrides: Any) -> None:
        super().__init__(directory, overrides={"host": "host1", "image.keep_free_bytes": 0, **overrides})
        self.driver: FakeDriver = GatedDriver(capacity=Inventory(8, 16_384, 500, 500))
        self.networks = FakeNetworks()
        self.images = FakeImages()
        self.app = make_door(self.conf, self.store, self.waker, self.bus)
        seed(self)  # from compute_cloud
        self.store.transact(
            lambda session: session.execute(update(Image).values(os_hash_value="0" * 128, os_hash_algo="sha512"))
        )

    def seed(self) -> None:
        """Leave it to ``compute_cloud``, whose rows have the same ids."""

    def agent(self, **options: Any) -> Agent:
        agent = Agent(self.conf, self.store, self.driver, self.networks, self.images, self.bus, **options)
        agent.start()
        self._agents.append(agent)
        return agent

    def ask(self, *arguments: Any, **headers: Any) -> Any:  # type: ignore[override]
        """Send a request to the front door, as ``conftest.Door`` does."""
        method, path, *rest = arguments
        token = headers.pop("token", DEMO)
        request = webob.Request.blank(path, method=method)
        request.headers["X-Auth-Token"] = token
        if rest and rest[0] is not None:
            request.body = json.dumps(rest[0]).encode()
            request.content_type = "application/json"
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        return request.get_response(self.app)

    def boot(self, **members: Any) -> str:
        """Make a server and wait until it is ACTIVE; return its id."""
        reply = boot(self, **members)
        assert reply.status_int == 202, reply.text
        server_id: str = reply.json["server"]["id"]
        assert self.settled(server_id).vm_state == "active", self.server(server_id).fault
        return server_id

    def act(self, server_id: str, body: Any, *, version: str = LATEST, token: str = DEMO, status: int = 202) -> Any:
        """Ask for an action; the answer must have *status*."""
        reply = ask(self, "POST", f"/servers/{server_id}/action", body, version=version, token=token)
        assert reply.status_int == status, reply.text
        return reply

    def do(self, server_id: str, body: Any, **options: Any) -> Server:
        """Ask for an action and wait for its end; return the server's row."""
        self.act(server_id, body, **options)
        return self.settled(server_id)

    def show(self, server_id: str, *, version: str = LATEST, token: str = DEMO) -> dict[str, Any]:
        """Show a server."""
        reply = ask(self, "GET", f"/servers/{server_id}", version=version, token=token)
        assert reply.status_int == 200, reply.text
        shown: dict[str, Any] = reply.json["server"]
        return shown

    def host(self) -> Host:
        with self.store.read() as session:
            return session.get_one(Host, "host1")

    def image(self, image_id: str) -> Image | None:
        """Read an image's row."""
        with self.store.read() as session:
            return session.get(Image, image_id)

    def guest(self, server_id: str) -> Any:
        """Read the fake driver's row of a guest."""
        return self.driver._row(server_id)

    def used(self) -> tuple[int, int, int]:
        """Return what is claimed of the host."""
        row = self.host()
        return row.used_vcpus, row.used_memory_mb, row.used_disk_gb

    @contextmanager
    def holding(self, call: str) -> Iterator[threading.Event]:
        """Keep every *call* of the driver from going on as long as the block runs; the event tells that there is one."""
        assert isinstance(self.driver, GatedDriver)
        gate = self.driver.gates[call] = Gate()
        try:
            yield gate.reached
        finally:
            del self.driver.gates[call]
            gate.opened.set()

    def until(self, condition: Callable[[], bool], timeout: float = 180.0) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def quiet(self) -> None:
        """Wait until no operation is unfinished."""

        def nothing() -> bool:
            with self.store.read() as session:
                return session.scalar(select(Operation.id).where(Operation.state.in_(UNFINISHED)).limit(1)) is None

        self.until(nothing)


def make_door(conf: Any, store: Any, waker: Any, bus: Any) -> Any:
    """Make the compute API's application over real services, with tokens that name people."""
    services = Services(
        conf=conf, store=store, authenticator=Tokens(), policy=Policy(conf, ["compute"]), waker=waker, agents=bus
    )
    return make_app(services, Table((MOUNT,)))

"""A front door in this process: the real application and store, with tokens that simply name people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import webob
from compute_cloud import seed
from named_tokens import Tokens

from nova_lite import conf as configuration
from nova_lite.api.app import make_app
from nova_lite.api.context import Services
from nova_lite.api.policy import Policy
from nova_lite.api.routes import Mount, Table
from nova_lite.db.models import Base
from nova_lite.db.store import Store, connect
from nova_lite.errors import Unavailable


@dataclass
class Wakes:
    """Remembers who was woken."""

    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def wake(self, topic: str, host: str | None = None) -> None:
        self.seen.append((topic, host))


@dataclass
class Agents:
    """Answers for the agents: ``answers`` by method; a host of the name ``dead`` never does."""

    answers: dict[str, Any] = field(default_factory=dict)

    def call(self, host: str, method: str, **arguments: Any) -> Any:
        if host == "dead" or method not in self.answers:
            raise Unavailable(f"Host {host} does not answer.")
        answer = self.answers[method]
        return answer(**arguments) if callable(answer) else answer


@dataclass
class Door:
    """The application, and short ways to ask it."""

    services: Services
    app: Any
    store: Store
    wakes: Wakes
    agents: Agents

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = "demo:demo:member", **headers: str
    ) -> webob.Response:
        """Send a request; *body* bytes go out as they are, anything else as JSON; ``_`` in header names is ``-``."""
        request = webob.Request.blank(path, method=method)
        if token:
            request.headers["X-Auth-Token"] = token
        if isinstance(body, bytes):
            request.body = body
            request.content_type = "application/octet-stream"
        elif body is not None:
            request.body = json.dumps(body).encode()
            request.content_type = "application/json"
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        return request.get_response(self.app)


def open_door(directory: Path, mounts: tuple[Mount, ...], **overrides: Any) -> Door:
    """Build a front door with *mounts* over a fresh SQLite database in *directory*."""
    conf = configuration.load([], {"state_path": str(directory), **overrides})
    store = Store(connect(f"sqlite:///{directory}/test.db"))
    Base.metadata.create_all(store.engine)
    wakes, agents = Wakes(), Agents()
    services = Services(
        conf=conf,
        store=store,
        authenticator=Tokens(),
        policy=Policy(conf, [mount.prefix.strip("/") for mount in mounts]),
        waker=wakes,
        agents=agents,
    )
    return Door(services, make_app(services, Table(mounts)), store, wakes, agents)


@pytest.fixture
def image_door(tmp_path: Path) -> Iterator[Door]:
    """A front door with the image API."""
    from nova_lite.api.image import MOUNT

    door = open_door(tmp_path, (MOUNT,), **{"image.keep_free_bytes": 0})
    yield door
    door.store.close()


@pytest.fixture
def compute_door(tmp_path: Path) -> Iterator[Door]:
    """A front door with the compute and network APIs, and nothing in the database."""
    from nova_lite.api.compute import MOUNT as COMPUTE
    from nova_lite.api.network import MOUNT as NETWORK

    door = open_door(tmp_path, (COMPUTE, NETWORK))
    yield door
    door.store.close()


@pytest.fixture
def door(compute_door: Door, request: pytest.FixtureRequest) -> Door:
    """``compute_door`` with a small cloud behind it; no network in a module that says ``WITH_NETWORK = False``."""
    seed(compute_door, network=getattr(request.module, "WITH_NETWORK", True))
    return compute_door

"""Rows that several tests of the store begin with."""

from __future__ import annotations

from typing import Any

from nova_lite.db import operations
from nova_lite.db.models import Host, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import new_id

CALLER = Caller("req-1", "project", "user")


def add_server(store: Store, **values: Any) -> str:
    """Add a server (ACTIVE on host h1, 1 vCPU, 512 MiB, 1 GiB unless told otherwise) and return its id."""
    settings: dict[str, Any] = {
        "id": new_id(),
        "project_id": "project",
        "user_id": "user",
        "name": "name",
        "hostname": "name",
        "kind": "vm",
        "flavor": {},
        "vcpus": 1,
        "memory_mb": 512,
        "disk_gb": 1,
        "vm_state": "active",
        "host": "h1",
        "reservation_id": "r-1",
        **values,
    }
    store.transact(lambda session: session.add(Server(**settings)))
    return str(settings["id"])


def add_host(store: Store, name: str = "h1", **values: Any) -> None:
    """Add a host (4 vCPUs without overcommit, 4096 MiB, 40 GiB unless told otherwise)."""
    settings: dict[str, Any] = {
        "name": name,
        "uuid": new_id(),
        "vcpus": 4,
        "memory_mb": 4096,
        "disk_gb": 40,
        "vcpus_ratio": 1.0,
        **values,
    }
    store.transact(lambda session: session.add(Host(**settings)))


def submit(store: Store, target: str, action: str = "start", **values: Any) -> int:
    """Submit an operation for host h1's agent and return its id."""
    settings: dict[str, Any] = {
        "target_type": "server",
        "queue": "agent",
        "host": "h1",
        "deadline_s": 60.0,
        **values,
    }
    return store.transact(
        lambda session: operations.submit(session, CALLER, action=action, target_id=target, **settings).id
    )

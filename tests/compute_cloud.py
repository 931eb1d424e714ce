"""A small cloud for the compute tests: a host, flavors, images, a network, made straight in the store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, update

from nova_lite.db.models import Domain, Flavor, Host, Image, Project, Server
from nova_lite.db.types import epoch, new_id, now
from nova_lite.network import networks, subnets

IMAGE = "11111111-1111-4111-8111-111111111111"
UNIKERNEL = "22222222-2222-4222-8222-222222222222"
CONTAINER = "33333333-3333-4333-8333-333333333333"
PRIVATE_IMAGE = "44444444-4444-4444-8444-444444444444"
KERNEL = "55555555-5555-4555-8555-555555555555"
ADMIN = "root:admin:admin"
DEMO = "demo:demo:member"
OTHER = "eve:other:member"
READER = "ray:demo:reader"


def seed(door: Any, *, network: bool = True) -> None:
    """Fill the store; the network ``private`` is shared."""
    door.store.transact(_rows)
    if network:
        add_network(door, "private", "10.0.0.0/24", project="admin", shared=True)


def _rows(session: Any) -> None:
    session.add(
        Host(
            name="host1",
            uuid="99999999-9999-4999-8999-999999999999",
            vcpus=8,
            memory_mb=16_384,
            disk_gb=500,
            last_seen=epoch(),
            kinds=["vm", "unikernel", "container"],
            capabilities={"hypervisor_type": "QEMU", "hypervisor_version": 7002000, "arch": "x86_64", "cpu_model": "x"},
        )
    )
    session.add(Flavor(flavorid="1", name="tiny", vcpus=1, memory_mb=128, disk_gb=1, extra_specs={"a:b": "c"}))
    session.add(Flavor(flavorid="2", name="small", vcpus=2, memory_mb=512, disk_gb=20))
    session.add(Flavor(flavorid="private", name="private", vcpus=2, memory_mb=512, disk_gb=20, is_public=False))
    common: dict[str, Any] = {"status": "active", "visibility": "public", "owner": "admin", "size": 1000}
    session.add(
        Image(
            id=IMAGE,
            name="tiny",
            container_format="bare",
            disk_format="qcow2",
            properties={"kernel_id": KERNEL, "hw_disk_bus": "virtio"},
            **common,
        )
    )
    session.add(Image(id=KERNEL, name="kernel", container_format="aki", disk_format="aki", properties={}, **common))
    session.add(
        Image(
            id=UNIKERNEL,
            name="hello",
            container_format="bare",
            disk_format="raw",
            properties={"nova_lite_kind": "unikernel"},
            **common,
        )
    )
    session.add(Image(id=CONTAINER, container_format="docker", disk_format="raw", properties={}, **common))
    session.add(
        Image(
            id=PRIVATE_IMAGE,
            container_format="bare",
            disk_format="raw",
            properties={},
            status="active",
            visibility="private",
            owner="other",
            size=1,
        )
    )


def add_network(door: Any, name: str, cidr: str, *, project: str = "demo", shared: bool = False) -> str:
    """Make a network with one subnet; return its id."""
    made = networks.create(door.store, networks.NewNetwork(project_id=project, name=name, shared=shared))
    subnets.create(door.store, subnets.NewSubnet(made.network.id, cidr), None)
    return made.network.id


def add_project(door: Any, name: str) -> None:
    """Make a project, its id its name, in the default domain."""

    def work(session: Any) -> None:
        if session.get(Domain, "default") is None:
            session.add(Domain(id="default", name="Default"))
            session.flush()
        session.add(Project(id=name, name=name, domain_id="default"))

    door.store.transact(work)


def boot(door: Any, *, token: str = DEMO, version: str = "2.1", **members: Any) -> Any:
    """Ask for a server; return the response."""
    body = {"name": "vm", "imageRef": IMAGE, "flavorRef": "1", **members}
    return ask(door, "POST", "/servers", {"server": body}, token=token, version=version)


def lift_quotas(door: Any) -> None:
    """Let every project have as many servers as there is room for."""
    unlimited = {"quota_class_set": {"instances": -1, "cores": -1, "ram": -1}}
    assert ask(door, "PUT", "/os-quota-class-sets/default", unlimited, token=ADMIN).status_int == 200


def ask(door: Any, method: str, path: str, body: Any = None, *, token: str | None = DEMO, version: str = "2.1") -> Any:
    """Ask the Compute API at a microversion."""
    return door.ask(method, f"/compute/v2.1{path}", body, token=token, OpenStack_API_Version=f"compute {version}")


def build(door: Any, server_id: str, *, vm_state: str = "active", host: str | None = "host1", **values: Any) -> None:
    """Let a server be as the agent would leave it."""
    power = {"active": 1, "stopped": 4, "paused": 3, "suspended": 4}.get(vm_state, 0)
    columns: dict[str, Any] = {"task_state": None, "power_state": power, "launched_at": now(), **values}
    door.store.transact(
        lambda session: session.execute(
            update(Server).where(Server.id == server_id).values(vm_state=vm_state, host=host, **columns)
        )
    )


def rows(count: int, *, project: str = "demo", **values: Any) -> list[dict[str, Any]]:
    """Make rows of servers that are active, for tests that need many."""
    moment = now()
    return [
        {
            "id": new_id(),
            "project_id": project,
            "user_id": "demo",
            "name": f"many-{index}",
            "hostname": f"many-{index}",
            "kind": "vm",
            "image_id": IMAGE,
            "image_properties": {},
            "flavor": {
                "id": "1",
                "name": "tiny",
                "vcpus": 1,
                "ram": 128,
                "disk": 1,
                "ephemeral": 0,
                "swap": 0,
                "extra_specs": {},
            },
            "vcpus": 1,
            "memory_mb": 128,
            "disk_gb": 1,
            "vm_state": "active",
            "power_state": 1,
            "host": "host1",
            "reservation_id": "r-many",
            "created_at": moment,
            "updated_at": moment,
            **values,
        }
        for index in range(count)
    ]


class Statements:
    """Counts the statements that a block sends to the database."""

    def __init__(self, door: Any) -> None:
        self._engine = door.store.engine
        self.seen: list[str] = []

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.seen.append(statement)

    def __enter__(self) -> Statements:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_exception: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

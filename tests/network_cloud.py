"""Short ways to make what the tests of the Network API begin with."""

from __future__ import annotations

from typing import Any

from compute_cloud import ADMIN, DEMO

from nova_lite.db.models import Port


def ask(door: Any, method: str, path: str, body: Any = None, token: str = DEMO, **headers: str) -> Any:
    """Ask the Network API."""
    return door.ask(method, f"/network/v2.0{path}", body, token=token, **headers)


def make(door: Any, noun: str, token: str = DEMO, path: str | None = None, **members: Any) -> dict[str, Any]:
    """Make a thing and return it."""
    reply = ask(door, "POST", path or f"/{noun}s", {noun: members}, token)
    assert reply.status_int == 201, reply.text
    made: dict[str, Any] = reply.json[noun]
    return made


def make_subnet(door: Any, network_id: str, cidr: str, token: str = DEMO, **members: Any) -> dict[str, Any]:
    """Make a subnet; its IP version is the range's."""
    version = 6 if ":" in cidr else 4
    return make(door, "subnet", token, network_id=network_id, cidr=cidr, ip_version=version, **members)


def make_external(door: Any, cidr: str = "203.0.113.0/24") -> tuple[dict[str, Any], dict[str, Any]]:
    """Make an external network with a subnet, as an admin; return both. What is given out begins at .100: lower ones can be named."""
    network = make(door, "network", ADMIN, name="public", **{"router:external": True})
    base = cidr.rpartition(".")[0]
    pools = [{"start": f"{base}.100", "end": f"{base}.200"}]
    return network, make_subnet(door, network["id"], cidr, ADMIN, enable_dhcp=False, allocation_pools=pools)


def join(door: Any, router_id: str, token: str = DEMO, **members: str) -> Any:
    """Join a network to a router; return the reply."""
    return ask(door, "PUT", f"/routers/{router_id}/add_router_interface", members, token)


def leave(door: Any, router_id: str, token: str = DEMO, **members: str) -> Any:
    """Let a network of a router go; return the reply."""
    return ask(door, "PUT", f"/routers/{router_id}/remove_router_interface", members, token)


def bind(door: Any, port_id: str, host: str = "h1") -> None:
    """Say that a port is on *host*."""

    def work(session: Any) -> None:
        session.get(Port, port_id).host = host

    door.store.transact(work)


def kind(reply: Any) -> str:
    """Return which of Neutron's errors a reply is."""
    found: str = reply.json["NeutronError"]["type"]
    return found

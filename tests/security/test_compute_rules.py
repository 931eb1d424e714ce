"""SECURITY.md's rules as far as they touch the Compute and Network APIs, one test or more for each."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import network_things
import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, READER, ask, boot, build, lift_quotas, seed
from functional.conftest import open_door
from sqlalchemy import select

from nova_lite.api.compute import MOUNT as COMPUTE
from nova_lite.api.compute import gone
from nova_lite.api.compute.server_actions import ACTIONS
from nova_lite.api.network import MOUNT as NETWORK
from nova_lite.api.routes import Route
from nova_lite.compute.listing import safe_pattern
from nova_lite.db.models import Operation, Server
from nova_lite.errors import Invalid
from nova_lite.network import networks, subnets

MOUNTS = (COMPUTE, NETWORK)
ROUTES = [(mount, route) for mount in MOUNTS for route in mount.routes]
OPEN = {("/compute", "/"), ("/compute", "/v2.1"), ("/network", "/"), ("/network", "/v2.0")}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Any]:
    made = open_door(tmp_path, MOUNTS)
    made.agents.answers["diagnostics"] = {
        key: {} for key in ("cpu_time_ns", "memory_mb", "uptime_s", "nics", "disks", "hypervisor")
    } | {"uptime_s": 1, "memory_mb": 1}
    seed(made)
    yield made
    made.store.close()


def test_every_route_and_action_names_a_rule_that_is_known(door):
    policy = door.services.policy
    for mount, route in ROUTES:
        if (mount.prefix, route.path) in OPEN:
            assert route.open and route.rule is None
        else:
            assert not route.open and route.rule and policy.knows(route.rule), route
    for action in ACTIONS.values():
        assert policy.knows(action.rule), action.name


def paths_of(door: Any) -> dict[str, Any]:
    """Make one thing of each kind that belongs to ``demo``, and say how paths name them."""
    server_id = boot(door, metadata={"k": "v"}).json["server"]["id"]
    build(door, server_id)
    key = {"keypair": {"name": "key", "public_key": ED25519}}
    assert ask(door, "POST", "/os-keypairs", key).status_int == 200
    group = ask(door, "POST", "/os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}})
    of_network = network_things.make(door)
    return {
        "of_network": of_network,
        "server_id": server_id,
        "port": of_network["ports"],
        "group": group.json["server_group"]["id"],
    }


ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvYQ4o0eO5hZkD2Gx2nYw4uTzVJq9m3rWkNQm0nV3xK x"


def fill(route: Route, things: dict[str, Any]) -> str:
    path = route.path.replace("{server_id}", things["server_id"])
    of_network = things["of_network"]
    for proxy, collection in {
        "/os-security-groups/{group_id}": "security-groups",
        "/os-security-group-rules/{rule_id}": "security-group-rules",
        "/os-floating-ips/{id}": "floatingips",
    }.items():
        path = path.replace(proxy, f"{proxy.rpartition('/')[0]}/{of_network[collection]}")
    path = network_things.path(path, of_network)
    for name, value in {
        "key}": "k",
        "tag}": "t",
        "label}": "private",
        "port_id}": things["port"],
        "request_id}": "req-1",
        "flavor_id}": "1",
        "name}": "key",
        "alias}": "os-keypairs",
        "project_id}": "demo",
        "group_id}": things["group"],
        "aggregate_id}": "1",
        "hypervisor_id}": "99999999-9999-4999-8999-999999999999",
    }.items():
        path = path.replace("{" + name, value)
    return path


def bodies(route: Route, things: dict[str, Any]) -> Any:
    if route.body is None:
        return None
    if (of_network := network_things.body(route.path)) is not None:
        return of_network
    return {
        "/v2.1/os-volumes_boot": {"server": {"name": "x", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"}},
        "/v2.1/os-volumes_boot/{server_id}": {"server": {"name": "x"}},
        "/v2.1/os-volumes_boot/{server_id}/action": {"os-stop": None},
        "/v2.1/servers/{server_id}": {"server": {"name": "x"}},
        "/v2.1/servers/{server_id}/action": {"os-stop": None},
        "/v2.1/servers/{server_id}/remote-consoles": {"remote_console": {"protocol": "rdp", "type": "rdp-html5"}},
        "/v2.1/servers/{server_id}/migrations/{migration_id}/action": {"force_complete": None},
        "/v2.1/os-security-groups/{group_id}": {"security_group": {"name": "x", "description": "x"}},
        "/v2.1/os-security-group-rules": {
            "security_group_rule": {"parent_group_id": things["of_network"]["security-groups"], "ip_protocol": "tcp"}
        },
        "/v2.1/servers/{server_id}/metadata": {"metadata": {}},
        "/v2.1/servers/{server_id}/metadata/{key}": {"meta": {"k": "x"}},
        "/v2.1/servers/{server_id}/tags": {"tags": []},
        "/v2.1/os-quota-sets/{project_id}": {"quota_set": {}},
        "/v2.1/os-aggregates/{aggregate_id}/action": {"add_host": {"host": "host1"}},
        "/v2.1/servers/{server_id}/os-server-password": None,
    }.get(route.path, {})


OWNED = [
    (mount, route)
    for mount, route in ROUTES
    if route.handler is not gone.refuse  # of these there is nobody's
    and ("{server_id}" in route.path or (mount is NETWORK and "{id}" in route.path))
]


@pytest.mark.parametrize(("mount", "route"), OWNED, ids=[f"{route.method} {route.path}" for _, route in OWNED])
def test_somebody_elses_thing_is_not_there(door, mount, route):
    things = paths_of(door)
    reply = door.ask(
        route.method,
        mount.prefix + fill(route, things),
        bodies(route, things),
        token=OTHER,
        OpenStack_API_Version="compute 2.96",
    )
    assert reply.status_int == 404, reply.text
    assert things["server_id"] not in reply.text or "could not be found" in reply.text


def test_every_route_that_decides_late_decides(door):
    """The front door answers 500 where a late route forgot; so walk them all as their owner and as an admin."""
    things = paths_of(door)
    order = sorted(ROUTES, key=lambda each: (each[1].method == "DELETE", each[1].method))
    for mount, route in order:
        if not route.late:
            continue
        for token in (DEMO, ADMIN):
            reply = door.ask(
                route.method,
                mount.prefix + fill(route, things),
                bodies(route, things),
                token=token,
                OpenStack_API_Version="compute 2.96",
            )
            assert reply.status_int < 500, (route, reply.text)


def test_readers_change_nothing(door):
    things = paths_of(door)
    for mount, route in ROUTES:
        if route.method == "GET" or route.path.startswith("/v2.1/os-keypairs") or route.handler is gone.refuse:
            continue
        body = bodies(route, things)
        if route.path == "/v2.1/servers":
            body = {"server": {"name": "x", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"}}
        if route.path == "/v2.1/flavors/{flavor_id}/action":
            body = {"addTenantAccess": {"tenant": "x"}}
        reply = door.ask(
            route.method,
            mount.prefix + fill(route, things),
            body,
            token=READER,
            OpenStack_API_Version=f"compute {route.until or '2.96'}",
        )
        assert reply.status_int == 403, (route.method, route.path, reply.text)


def test_identity_headers_from_outside_mean_nothing(door):
    server_id = boot(door).json["server"]["id"]
    for headers in ({"X_Roles": "admin"}, {"X_Project_Id": "demo"}, {"X_Role": "admin", "X_Is_Admin_Project": "True"}):
        reply = door.ask("GET", f"/compute/v2.1/servers/{server_id}", token=OTHER, **headers)
        assert reply.status_int == 404
        assert door.ask("GET", "/compute/v2.1/os-services", token=OTHER, **headers).status_int == 403


def closed(schema: Any, path: str = "") -> list[str]:
    """List the objects of a schema that take members nobody named."""
    found = []
    if isinstance(schema, dict):
        kind = schema.get("type")
        is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
        if is_object and "properties" in schema and schema.get("additionalProperties") is not False:
            found.append(path)
        for name, value in schema.items():
            found += closed(value, f"{path}.{name}")
    if isinstance(schema, list):
        for index, value in enumerate(schema):
            found += closed(value, f"{path}[{index}]")
    return found


def test_request_schemas_are_closed_at_each_microversion():
    for mount, route in ROUTES:
        if route.body is None:
            continue
        versions = [None] if not callable(route.body) else range(1, mount.versions.greatest.minor + 1)
        for minor in versions:
            version = None if minor is None else type(mount.versions.least)(2, minor)
            schema = route.body(version) if callable(route.body) else route.body
            assert closed(schema) == [], (route.path, minor)
    for action in ACTIONS.values():
        assert closed(action.schema) == []


@pytest.mark.parametrize("member", ["host", "vm_state", "task_state", "project_id", "user_id", "kind", "id", "claim"])
def test_what_the_server_owns_is_not_the_users_to_send(door, member):
    reply = boot(door, version="2.73", networks="none", **{member: "x"})
    assert reply.status_int == 400 and f"'{member}' was unexpected" in reply.text


def test_a_host_comes_from_the_operations_not_from_hints(door):
    body = {
        "server": {"name": "x", "flavorRef": "1", "imageRef": IMAGE},
        "os:scheduler_hints": {"host": "host1", "force_hosts": ["host1"]},
    }
    assert ask(door, "POST", "/servers", body).status_int == 202
    with door.store.read() as session:
        assert session.scalar(select(Operation.arguments)) == {}
        assert session.scalar(select(Server.host)) is None


def test_secrets_do_not_reach_the_log(door, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "c2VjcmV0LXVzZXItZGF0YQ=="
    reply = boot(door, user_data=secret, adminPass="hunter2-secret")
    assert reply.status_int == 202
    assert boot(door, user_data=secret[:-3], adminPass="hunter2-secret").status_int == 400
    made = ask(door, "POST", "/os-keypairs", {"keypair": {"name": "made"}}).json["keypair"]
    text = caplog.text
    assert secret[:-3] not in text and "hunter2" not in text and made["private_key"][40:80] not in text
    with door.store.read() as session:
        (server,) = session.scalars(select(Server)).all()
        assert "hunter2" not in repr(vars(server))


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$",
        "(a|a)*b",
        r"(.)\1",
        "(?=a)",
        "a*a*a*a*b",
        "((a)*)*",
        "[",
        "x" * 256,
        "(x{1,9}){9}",
        "a?" * 30 + "a" * 30,
        "(a|aa)" * 40,
    ],
)
def test_an_expression_that_could_run_away_is_refused(text):
    with pytest.raises(Invalid):
        safe_pattern(text)


def test_the_slowest_expression_that_is_taken_is_quick_enough(door):
    lift_quotas(door)
    assert boot(door, name="a" * 245, min_count=20).status_int == 202
    begun = time.process_time()
    assert ask(door, "GET", "/servers?name=a*a*b$").status_int == 200
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\rdhcp-option=6,1.2.3.4", "\x1b[31m"])
def test_nothing_with_control_characters_gets_as_far_as_dnsmasq(door, text):
    owned = networks.create(door.store, networks.NewNetwork("demo")).network.id
    assert boot(door, name=text).status_int == 400
    assert boot(door, version="2.96", networks="none", hostname=text).status_int == 400
    for noun, members in (
        ("network", {"name": text}),
        ("network", {"description": text}),
        ("subnet", {"network_id": owned, "ip_version": 4, "cidr": "10.0.0.0/24", "name": text}),
        ("subnet", {"network_id": owned, "ip_version": 4, "cidr": "10.0.0.0/24", "dns_nameservers": [text]}),
        ("subnet", {"network_id": owned, "ip_version": 4, "cidr": "10.0.0.0/24" + text}),
        ("port", {"network_id": owned, "name": text}),
        ("port", {"network_id": owned, "mac_address": f"02:00:00:00:00:01{text}"}),
    ):
        reply = door.ask("POST", f"/network/v2.0/{noun}s", {noun: members})
        assert reply.status_int == 400, (noun, members)
    subnets.create(door.store, subnets.NewSubnet(owned, "10.0.0.0/24"), None)
    server_id = boot(door, name="Ünï cödé_&;$(x) server", networks=[{"uuid": owned}]).json["server"]["id"]
    hostname = ask(door, "GET", f"/servers/{server_id}", version="2.90").json["server"]["OS-EXT-SRV-ATTR:hostname"]
    assert hostname.isascii() and hostname.replace("-", "").isalnum()


def test_paths_and_queries_that_are_no_text_are_refused(door):
    assert door.ask("GET", "/compute/v2.1/servers/%ff%fe").status_int in (400, 404)
    assert door.ask("GET", "/compute/v2.1/servers?name=%ff%fe").status_int == 400
    # PostgreSQL keeps no NUL: it would be an error of its own.
    named = door.ask("GET", "/compute/v2.1/servers?name=a%00b")
    assert named.status_int == 400 and "attribute name" in named.text
    assert door.ask("GET", "/compute/v2.1/servers/%00").status_int == 400
    body = {"server": {"name": "s", "metadata": {"deep": "a\0b"}}}
    nested = door.ask("POST", "/compute/v2.1/servers", body)
    assert nested.status_int == 400 and "attribute deep" in nested.text
    assert door.ask("POST", "/compute/v2.1/servers", {"server": {"na\0me": "s"}}).status_int == 400

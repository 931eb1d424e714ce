"""Server groups, aggregates and the states of hosts: the API, and what the scheduler makes of them."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, ask, boot, lift_quotas, seed

from nova_lite.bus import Waker
from nova_lite.compute import quota_recount, server_groups
from nova_lite.db.models import Host, Server
from nova_lite.db.types import epoch, new_id
from nova_lite.scheduler.service import Scheduler


@pytest.fixture
def door(compute_door):
    seed(compute_door)
    for name in ("host2", "host3"):
        values = {"vcpus": 8, "memory_mb": 16_384, "disk_gb": 500, "last_seen": epoch(), "kinds": ["vm"]}
        compute_door.store.transact(lambda session, n=name, v=values: session.add(Host(name=n, uuid=new_id(), **v)))
    return compute_door


@pytest.fixture
def scheduler(door):
    return Scheduler(door.services.conf, door.store, None, Waker(None))


def group(door, policy="anti-affinity", version="2.64", token=DEMO, **members):
    body = {"server_group": {"name": "g", "policy": policy, **members}}
    response = ask(door, "POST", "/os-server-groups", body, version=version, token=token)
    assert response.status_int == 200, response.text
    return response.json["server_group"]["id"]


def boot_in(door, group_id, **hints):
    body = {
        "server": {"name": "vm", "imageRef": "11111111-1111-4111-8111-111111111111", "flavorRef": "1"},
        "os:scheduler_hints": {"group": group_id, **hints} if group_id else hints,
    }
    return ask(door, "POST", "/servers", body)


def place_all(scheduler):
    while scheduler.place_some():
        pass


def host_of(door, server_id):
    with door.store.read() as session:
        row = session.get(Server, server_id)
        return row.host, (row.fault or {}).get("message", "")


def test_a_group_by_microversion(door):
    old = ask(door, "POST", "/os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}})
    shown = old.json["server_group"]
    assert set(shown) == {"id", "name", "policies", "members", "metadata"} and shown["policies"] == ["affinity"]
    assert ask(door, "GET", "/os-server-groups", version="2.13").json["server_groups"][0]["project_id"] == "demo"
    new = ask(door, "GET", f"/os-server-groups/{shown['id']}", version="2.64").json["server_group"]
    assert set(new) == {"id", "name", "policy", "rules", "members", "project_id", "user_id"}
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert ask(door, "POST", "/os-server-groups", soft, version="2.14").status_int == 400
    assert ask(door, "POST", "/os-server-groups", soft, version="2.15").status_int == 200
    rules = {"server_group": {"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}}}
    assert ask(door, "POST", "/os-server-groups", rules, version="2.64").status_int == 400
    for method in ("GET", "DELETE"):
        assert ask(door, method, f"/os-server-groups/{shown['id']}", token=OTHER).status_int == 404
    assert ask(door, "GET", "/os-server-groups", token=OTHER).json["server_groups"] == []
    assert ask(door, "GET", "/os-server-groups?all_projects", token=OTHER).json["server_groups"] == []
    assert len(ask(door, "GET", "/os-server-groups?all_projects&limit=1", token=ADMIN).json["server_groups"]) == 1
    assert ask(door, "DELETE", f"/os-server-groups/{shown['id']}").status_int == 204
    gone = ask(door, "GET", f"/os-server-groups/{shown['id']}")
    assert gone.status_int == 404 and "could not be found" in gone.json["itemNotFound"]["message"]
    assert quota_recount.check(door.store) == []


def test_apart_means_a_host_each_and_the_refusal_says_why(door, scheduler):
    group_id = group(door)
    ids = [boot_in(door, group_id).json["server"]["id"] for _ in range(4)]
    place_all(scheduler)
    placed = [host_of(door, each) for each in ids]
    assert sorted(host for host, _ in placed if host) == ["host1", "host2", "host3"]
    assert "3 kept from it by its server group or hints" in placed[3][1]
    members = ask(door, "GET", f"/os-server-groups/{group_id}").json["server_group"]["members"]
    assert set(members) == set(ids)
    shown = ask(door, "GET", f"/servers/{ids[0]}", version="2.71").json["server"]["server_groups"]
    assert shown == [group_id]


def test_two_a_host(door, scheduler):
    group_id = group(door, rules={"max_server_per_host": 2})
    ids = [boot_in(door, group_id).json["server"]["id"] for _ in range(7)]
    place_all(scheduler)
    hosts = [host_of(door, each)[0] for each in ids]
    assert sorted(host for host in hosts if host) == sorted(["host1", "host2", "host3"] * 2)


@pytest.mark.parametrize(("policy", "spread"), [("affinity", 1), ("soft-affinity", 1), ("soft-anti-affinity", 3)])
def test_together_and_rather_so(door, scheduler, policy, spread):
    group_id = group(door, policy)
    ids = [boot_in(door, group_id).json["server"]["id"] for _ in range(6)]
    place_all(scheduler)
    hosts = [host_of(door, each)[0] for each in ids]
    assert None not in hosts and len(set(hosts)) == spread


def test_the_claim_looks_again(door):
    group_id = group(door)
    first, second = (boot_in(door, group_id).json["server"]["id"] for _ in range(2))

    def put(session):
        session.get(Server, first).host = "host1"

    hints = {"group": group_id}
    assert door.store.transact(lambda session: server_groups.still_allows(session, second, hints, "host1"))
    door.store.transact(put)
    assert not door.store.transact(lambda session: server_groups.still_allows(session, second, hints, "host1"))
    assert door.store.transact(lambda session: server_groups.still_allows(session, second, hints, "host2"))


def test_hints_that_name_servers(door, scheduler):
    first = boot(door).json["server"]["id"]
    place_all(scheduler)
    there = host_of(door, first)[0]
    same = boot_in(door, None, same_host=[first]).json["server"]["id"]
    other = boot_in(door, None, different_host=first).json["server"]["id"]
    place_all(scheduler)
    assert host_of(door, same)[0] == there != host_of(door, other)[0]


def test_limits_of_groups_and_their_members(door):
    lift_quotas(door)
    group_id = group(door)
    for _ in range(10):
        assert boot_in(door, group_id).status_int == 202
    full = boot_in(door, group_id)
    assert full.status_int == 403 and "too many servers in group" in full.json["forbidden"]["message"]
    for _ in range(9):
        group(door)
    more = ask(door, "POST", "/os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}})
    assert more.status_int == 403 and more.json["forbidden"]["message"] == "Quota exceeded, too many server groups."
    assert boot_in(door, new_id()).status_int == 400
    assert boot_in(door, group(door, token=OTHER)).status_int == 400


def aggregate(door, **members):
    response = ask(door, "POST", "/os-aggregates", {"aggregate": {"name": "a", **members}}, token=ADMIN)
    assert response.status_int == 200, response.text
    return response.json["aggregate"]["id"]


def act(door, number, name, **members):
    return ask(door, "POST", f"/os-aggregates/{number}/action", {name: members}, token=ADMIN)


def test_an_aggregate_from_creation_to_deletion(door):
    number = aggregate(door, availability_zone="az1")
    taken = ask(door, "POST", "/os-aggregates", {"aggregate": {"name": "a"}}, token=ADMIN)
    assert taken.status_int == 409
    shown = act(door, number, "add_host", host="host2").json["aggregate"]
    assert shown["hosts"] == ["host2"] and shown["metadata"] == {"availability_zone": "az1"} and "uuid" not in shown
    assert act(door, number, "add_host", host="host2").status_int == 409
    assert act(door, number, "add_host", host="nowhere").status_int == 404
    assert act(door, number, "remove_host", host="host1").status_int == 404
    assert act(door, number, "fly", host="x").status_int == 400
    zones = ask(door, "GET", "/os-availability-zone").json["availabilityZoneInfo"]
    assert {zone["zoneName"] for zone in zones} == {"nova", "az1"}
    meta = act(door, number, "set_metadata", metadata={"ssd": "true", "gone": None}).json["aggregate"]["metadata"]
    assert meta == {"availability_zone": "az1", "ssd": "true"}
    path = f"/os-aggregates/{number}"
    renamed = ask(door, "PUT", path, {"aggregate": {"name": "b"}}, token=ADMIN, version="2.41").json["aggregate"]
    assert renamed["name"] == "b" and renamed["uuid"]
    assert ask(door, "DELETE", path, token=ADMIN).status_int == 400
    other = aggregate(door, availability_zone="az2")
    assert act(door, other, "add_host", host="host2").status_int == 409
    assert act(door, number, "remove_host", host="host2").status_int == 200
    zones = ask(door, "GET", "/os-availability-zone").json["availabilityZoneInfo"]
    assert {zone["zoneName"] for zone in zones} == {"nova"}
    assert ask(door, "DELETE", path, token=ADMIN).status_int == 200
    assert ask(door, "GET", path, token=ADMIN).status_int == 404
    for method in ("GET", "PUT", "DELETE"):
        body = {"aggregate": {"name": "x"}} if method == "PUT" else None
        assert ask(door, method, "/os-aggregates/-1", body, token=ADMIN).status_int == 404
        assert ask(door, method, "/os-aggregates/1", body).status_int == 403


def test_servers_go_to_the_zone_and_the_metadata_that_they_ask_for(door, scheduler):
    number = aggregate(door, availability_zone="az1")
    act(door, number, "add_host", host="host3")
    act(door, number, "set_metadata", metadata={"ssd": "true"})
    zoned = boot(door, availability_zone="az1").json["server"]["id"]
    body = {"extra_specs": {"aggregate_instance_extra_specs:ssd": "<or> true <or> yes"}}
    assert ask(door, "POST", "/flavors/2/os-extra_specs", body, token=ADMIN).status_int == 200
    ssd = boot(door, flavorRef="2").json["server"]["id"]
    place_all(scheduler)
    assert host_of(door, zoned)[0] == "host3" == host_of(door, ssd)[0]
    shown = ask(door, "GET", f"/servers/{zoned}").json["server"]
    assert shown["OS-EXT-AZ:availability_zone"] == "az1"
    moved = ask(door, "PUT", f"/os-aggregates/{number}", {"aggregate": {"availability_zone": "az9"}}, token=ADMIN)
    assert moved.status_int == 409 and "contain instances" in moved.json["conflictingRequest"]["message"]


def service_id(door, host):
    rows = ask(door, "GET", f"/os-services?host={host}", token=ADMIN, version="2.53").json["services"]
    return rows[0]["id"]


def test_a_disabled_host_gets_no_servers(door, scheduler):
    for host in ("host1", "host2"):
        put = {"status": "disabled", "disabled_reason": "tired"}
        changed = ask(door, "PUT", f"/os-services/{service_id(door, host)}", put, token=ADMIN, version="2.53")
        assert changed.json["service"]["status"] == "disabled" and changed.json["service"]["disabled_reason"] == "tired"
    ids = [boot(door).json["server"]["id"] for _ in range(3)]
    place_all(scheduler)
    assert {host_of(door, each)[0] for each in ids} == {"host3"}
    down = {"forced_down": True}
    ask(door, "PUT", f"/os-services/{service_id(door, 'host3')}", down, token=ADMIN, version="2.53")
    nowhere = boot(door).json["server"]["id"]
    place_all(scheduler)
    assert "2 disabled, 1 down" in host_of(door, nowhere)[1]
    row = ask(door, "GET", "/os-services?host=host3", token=ADMIN, version="2.53").json["services"][0]
    assert row["state"] == "down" and row["forced_down"] is True


@pytest.mark.parametrize(
    ("version", "what", "body", "status"),
    [
        ("2.1", "enable", {"host": "host1", "binary": "nova-compute"}, 200),
        ("2.1", "disable", {"host": "host1", "binary": "nova-compute"}, 200),
        ("2.1", "disable-log-reason", {"host": "host1", "binary": "nova-compute", "disabled_reason": "x"}, 200),
        ("2.1", "disable-log-reason", {"host": "host1", "binary": "nova-compute"}, 400),
        ("2.11", "force-down", {"host": "host1", "binary": "nova-compute", "forced_down": True}, 200),
        ("2.1", "force-down", {"host": "host1", "binary": "nova-compute"}, 404),
        ("2.1", "enable", {"host": "nowhere", "binary": "nova-compute"}, 404),
        ("2.1", "enable", {"host": "host1", "binary": "nova-other"}, 404),
        ("2.1", "enable", {"host": "host1"}, 400),
        ("2.1", "fly", {"host": "host1", "binary": "nova-compute"}, 404),
        ("2.53", "UUID", {"status": "enabled"}, 200),
        ("2.53", "UUID", {"status": "enabled", "disabled_reason": "x"}, 400),
        ("2.53", "UUID", {}, 400),
        ("2.53", "UUID", {"status": "odd"}, 400),
        ("2.53", "5", {"status": "enabled"}, 400),
        ("2.53", "88888888-8888-4888-8888-888888888888", {"status": "enabled"}, 404),
    ],
)
def test_changes_of_services_by_microversion(door, version, what, body, status):
    if what == "UUID":
        what = service_id(door, "host1")
    assert ask(door, "PUT", f"/os-services/{what}", body, token=ADMIN, version=version).status_int == status
    assert ask(door, "PUT", f"/os-services/{what}", body, version=version).status_int == 403


def test_a_host_that_has_servers_is_not_forgotten(door, scheduler):
    server_id = boot(door).json["server"]["id"]
    place_all(scheduler)
    busy = host_of(door, server_id)[0]
    free = next(name for name in ("host1", "host2") if name != busy)
    number = aggregate(door)
    act(door, number, "add_host", host=free)

    def delete(name):
        path = f"/os-services/{service_id(door, name)}"
        return ask(door, "DELETE", path, token=ADMIN, version="2.53").status_int

    assert delete(busy) == 409
    assert delete(free) == 204
    assert ask(door, "GET", f"/os-aggregates/{number}", token=ADMIN).json["aggregate"]["hosts"] == []

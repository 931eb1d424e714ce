"""What listings take and show from which microversion on, beside those of servers: upstream's history, entry by entry."""

from __future__ import annotations

import datetime

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, ask, boot, build, lift_quotas

from nova_lite.db.models import Domain, Host, Migration, Project
from nova_lite.db.types import epoch, new_id, now

LATEST = "2.96"
PAST, FUTURE = "2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def walk(door, path, member, marker, *, version, token=DEMO, limit=2):
    """Go from page to page by markers; return everything in order and the number of pages."""
    found, last, pages = [], None, 0
    while True:
        query = f"{path}{'&' if '?' in path else '?'}limit={limit}" + (f"&marker={last}" if last else "")
        reply = ask(door, "GET", query, token=token, version=version)
        assert reply.status_int == 200, reply.text
        items = reply.json[member]
        pages += bool(items)
        if not items:
            return found, pages
        assert len(items) <= limit
        found += items
        last = marker(items[-1])


def test_instance_actions(door):
    """2.21 deleted servers, 2.51 events for all, 2.58 pages, 2.62 host, 2.66 changes-before, 2.84 details."""
    server_id = boot(door).json["server"]["id"]
    build(door, server_id)
    for number in range(5):
        verb = "lock" if number % 2 == 0 else "unlock"
        assert ask(door, "POST", f"/servers/{server_id}/action", {verb: None}).status_int == 202
    path = f"/servers/{server_id}/os-instance-actions"
    everything = ask(door, "GET", path).json["instanceActions"]
    assert [row["action"] for row in everything] == ["lock", "unlock", "lock", "unlock", "lock", "create"]
    assert "updated_at" not in everything[0]
    assert "links" not in ask(door, "GET", path + "?limit=2").json and len(everything) == 6
    found, pages = walk(door, path, "instanceActions", lambda row: row["request_id"], version="2.58")
    assert [row["request_id"] for row in found] == [row["request_id"] for row in everything] and pages == 3
    page = ask(door, "GET", path + "?limit=2", version="2.58").json
    assert page["links"][0]["rel"] == "next" and page["instanceActions"][0]["updated_at"]
    assert f"marker={page['instanceActions'][-1]['request_id']}" in page["links"][0]["href"]
    for query, version, status in (
        ("marker=req-none", "2.58", 400),
        ("limit=-1", "2.58", 400),
        ("nonsense=1", "2.57", 200),
        ("nonsense=1", "2.58", 400),
        ("changes-since=never", "2.58", 400),
        (f"changes-before={FUTURE}", "2.58", 400),
        (f"changes-before={FUTURE}", "2.66", 200),
        (f"changes-since={FUTURE}&changes-before={PAST}", "2.66", 400),
    ):
        assert ask(door, "GET", f"{path}?{query}", version=version).status_int == status, (query, version)
    assert len(ask(door, "GET", f"{path}?changes-since={PAST}", version="2.58").json["instanceActions"]) == 6
    assert ask(door, "GET", f"{path}?changes-since={FUTURE}", version="2.58").json["instanceActions"] == []
    assert ask(door, "GET", f"{path}?changes-before={PAST}", version="2.66").json["instanceActions"] == []
    one = f"{path}/{everything[0]['request_id']}"
    assert "events" not in ask(door, "GET", one, version="2.50").json["instanceAction"]
    (event,) = ask(door, "GET", one, version="2.51").json["instanceAction"]["events"]
    assert set(event) == {"event", "start_time", "finish_time", "result"}
    (event,) = ask(door, "GET", one, version="2.62").json["instanceAction"]["events"]
    assert "hostId" in event and "host" not in event and "traceback" not in event
    (event,) = ask(door, "GET", one, version="2.83", token=ADMIN).json["instanceAction"]["events"]
    assert {"host", "hostId", "traceback"} <= set(event) and "details" not in event
    assert "details" in ask(door, "GET", one, version="2.84", token=ADMIN).json["instanceAction"]["events"][0]
    assert "details" not in ask(door, "GET", one, version="2.84").json["instanceAction"]["events"][0]
    assert ask(door, "GET", one, token=OTHER).status_int == 404


def test_migrations(door):
    """2.23 type, 2.59 uuid and pages, 2.66 changes-before, 2.80 user and project."""
    moment = now()

    def add(session):
        for number in range(5):
            session.add(
                Migration(
                    uuid=new_id(),
                    server_id="77777777-7777-4777-8777-777777777777",
                    migration_type="resize",
                    status="confirmed" if number % 2 else "reverted",
                    source="host1",
                    destination=f"host{number}",
                    old_flavor="1",
                    new_flavor="2",
                    project_id="demo" if number else "other",
                    user_id="demo",
                    created_at=moment + datetime.timedelta(seconds=number),
                )
            )

    door.store.transact(add)
    path = "/os-migrations"
    old = ask(door, "GET", path + "?limit=1", token=ADMIN).json["migrations"]
    assert len(old) == 5 and not {"migration_type", "uuid", "user_id"} & set(old[0])
    assert [row["dest_compute"] for row in old] == [f"host{number}" for number in (4, 3, 2, 1, 0)]
    assert ask(door, "GET", path, token=ADMIN, version="2.23").json["migrations"][0]["migration_type"] == "resize"
    found, pages = walk(door, path, "migrations", lambda row: row["uuid"], version="2.59", token=ADMIN)
    assert [row["id"] for row in found] == [row["id"] for row in old] and pages == 3
    page = ask(door, "GET", path + "?limit=2&status=reverted", token=ADMIN, version="2.59").json
    assert [row["dest_compute"] for row in page["migrations"]] == ["host4", "host2"]
    assert "status=reverted" in page["migrations_links"][0]["href"] and "limit=2" in page["migrations_links"][0]["href"]
    for query, version, count in (
        ("status=confirmed", "2.1", 2),
        ("host=host1", "2.1", 5),
        ("host=host3", "2.1", 1),
        ("source_compute=host1", "2.1", 5),
        ("migration_type=evacuation", "2.23", 0),
        ("instance_uuid=77777777-7777-4777-8777-777777777777", "2.1", 5),
        (f"changes-since={FUTURE}", "2.58", 5),
        (f"changes-since={FUTURE}", "2.59", 0),
        (f"changes-since={PAST}", "2.59", 5),
        (f"changes-before={PAST}", "2.66", 0),
        ("project_id=other", "2.58", 5),
        ("project_id=other", "2.80", 1),
        ("user_id=nobody", "2.80", 0),
    ):
        rows = ask(door, "GET", f"{path}?{query}", token=ADMIN, version=version).json["migrations"]
        assert len(rows) == count, (query, version)
    for query, version in (
        ("project_id=other", "2.59"),
        (f"changes-before={FUTURE}", "2.65"),
        ("marker=none", "2.59"),
        (f"changes-since={FUTURE}&changes-before={PAST}", "2.66"),
    ):
        assert ask(door, "GET", f"{path}?{query}", token=ADMIN, version=version).status_int == 400, (query, version)
    newest = ask(door, "GET", path, token=ADMIN, version="2.80").json["migrations"][0]
    assert (newest["user_id"], newest["project_id"]) == ("demo", "demo")
    server_id = boot(door).json["server"]["id"]
    one = f"/servers/{server_id}/migrations/1"
    for method, where, body, since, status in (
        ("POST", one + "/action", {"force_complete": None}, 22, 409),
        ("DELETE", one, None, 24, 409),
        ("GET", one, None, 23, 404),
    ):
        assert ask(door, method, where, body, token=ADMIN, version=f"2.{since}").status_int == status
        assert ask(door, method, where, body, token=ADMIN, version=f"2.{since - 1}").status_int == 404
        assert ask(door, method, where, body, version=f"2.{since}").status_int == 403


def _add_hosts(session):
    for number in range(2, 5):
        session.add(
            Host(
                name=f"host{number}",
                uuid=f"{number}9999999-9999-4999-8999-999999999999",
                vcpus=8,
                memory_mb=16_384,
                disk_gb=500,
                last_seen=epoch(),
                kinds=["vm"],
                capabilities={
                    "hypervisor_type": "QEMU",
                    "hypervisor_version": 7002000,
                    "arch": "x86_64",
                    "cpu_model": "x",
                },
            )
        )


@pytest.mark.parametrize("path", ["/os-hypervisors", "/os-hypervisors/detail"])
def test_hypervisors(door, path):
    """2.28 cpu_info, 2.33 pages, 2.53 UUIDs, patterns and servers, 2.75 servers always, 2.88 no resources."""
    door.store.transact(_add_hosts)
    whole = [f"host{number}" for number in range(1, 5)]
    assert len(ask(door, "GET", path + "?limit=1", token=ADMIN, version="2.32").json["hypervisors"]) == 4
    for version in ("2.33", "2.53", "2.88", LATEST):
        found, pages = walk(door, path, "hypervisors", lambda row: row["id"], version=version, token=ADMIN)
        assert [row["hypervisor_hostname"] for row in found] == whole and pages == 2
        assert all(isinstance(row["id"], int if version == "2.33" else str) for row in found)
        page = ask(door, "GET", path + "?limit=2", token=ADMIN, version=version).json
        assert f"marker={page['hypervisors'][-1]['id']}" in page["hypervisors_links"][0]["href"]
    assert ask(door, "GET", path + "?marker=none", token=ADMIN, version="2.53").status_int == 400
    matching = ask(door, "GET", path + "?hypervisor_hostname_pattern=ost3", token=ADMIN, version="2.53").json
    assert [row["hypervisor_hostname"] for row in matching["hypervisors"]] == ["host3"]
    both = path + "?hypervisor_hostname_pattern=ost3&limit=1"
    assert ask(door, "GET", both, token=ADMIN, version="2.53").status_int == 400
    assert ask(door, "GET", path + "?nonsense=1", token=ADMIN, version="2.52").status_int == 200
    assert ask(door, "GET", path + "?nonsense=1", token=ADMIN, version="2.53").status_int == 400
    with_servers = path + "?with_servers=true"
    assert "servers" not in ask(door, "GET", with_servers, token=ADMIN, version="2.53").json["hypervisors"][0]
    assert ask(door, "GET", with_servers, token=ADMIN, version="2.75").json["hypervisors"][0]["servers"] == []
    if path.endswith("detail"):
        rows = {
            version: ask(door, "GET", path, token=ADMIN, version=version).json["hypervisors"][0]
            for version in ("2.27", "2.28", "2.87", "2.88")
        }
        assert isinstance(rows["2.27"]["cpu_info"], str) and isinstance(rows["2.28"]["cpu_info"], dict)
        gone = {
            *("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb", "free_disk_gb"),
            *("current_workload", "running_vms", "disk_available_least", "cpu_info"),
        }  # fmt: skip
        assert gone <= set(rows["2.87"]) and not gone & set(rows["2.88"]) and "uptime" in rows["2.88"]
    for what in ("search", "servers"):
        assert ask(door, "GET", f"/os-hypervisors/host1/{what}", token=ADMIN, version="2.52").status_int == 200
        assert ask(door, "GET", f"/os-hypervisors/host1/{what}", token=ADMIN, version="2.53").status_int == 404


def test_services(door):
    """2.11 forced_down, 2.53 UUIDs and one path for each, 2.75 no unknown parameters."""
    old = ask(door, "GET", "/os-services", token=ADMIN).json["services"][0]
    assert isinstance(old["id"], int) and "forced_down" not in old
    assert ask(door, "GET", "/os-services", token=ADMIN, version="2.11").json["services"][0]["forced_down"] is False
    new = ask(door, "GET", "/os-services", token=ADMIN, version="2.53").json["services"][0]
    assert new["id"] == "99999999-9999-4999-8999-999999999999"
    assert ask(door, "GET", "/os-services?nonsense=1", token=ADMIN, version="2.74").status_int == 200
    assert ask(door, "GET", "/os-services?nonsense=1", token=ADMIN, version="2.75").status_int == 400
    down = {"host": "host1", "binary": "nova-compute", "forced_down": True}
    assert ask(door, "PUT", "/os-services/force-down", down, token=ADMIN, version="2.10").status_int in (400, 404)
    assert ask(door, "PUT", "/os-services/force-down", down, token=ADMIN, version="2.11").status_int == 200
    changed = ask(door, "PUT", f"/os-services/{new['id']}", {"forced_down": False}, token=ADMIN, version="2.53")
    assert changed.json["service"]["state"] == "up"
    assert ask(door, "DELETE", f"/os-services/{old['id']}", token=ADMIN, version="2.53").status_int == 400


def test_flavors(door):
    """2.55 description, 2.61 extra specs, 2.75 swap and no unknown parameters, 2.86 checked specs."""

    def shown(version, path="/flavors/1", member="flavor"):
        return ask(door, "GET", path, version=version).json[member]

    assert "description" not in shown("2.54") and "description" in shown("2.55")
    assert "description" in shown("2.55", "/flavors", "flavors")[0]
    assert "extra_specs" not in shown("2.60") and shown("2.61")["extra_specs"] == {"a:b": "c"}
    assert shown("2.61", "/flavors/detail", "flavors")[0]["extra_specs"] == {"a:b": "c"}
    assert (shown("2.74")["swap"], shown("2.75")["swap"]) == ("", 0)
    assert ask(door, "GET", "/flavors?nonsense=1", version="2.74").status_int == 200
    assert ask(door, "GET", "/flavors?nonsense=1", version="2.75").status_int == 400
    described = {"flavor": {"description": "new"}}
    assert ask(door, "PUT", "/flavors/1", described, token=ADMIN, version="2.54").status_int == 404
    answer = ask(door, "PUT", "/flavors/1", described, token=ADMIN, version="2.61").json["flavor"]
    assert (answer["description"], answer["extra_specs"]) == ("new", {"a:b": "c"})
    wrong = {"extra_specs": {"hw:cpu_policy": "nonsense"}}
    assert ask(door, "POST", "/flavors/2/os-extra_specs", wrong, token=ADMIN, version="2.85").status_int == 200
    assert ask(door, "POST", "/flavors/2/os-extra_specs", wrong, token=ADMIN, version="2.86").status_int == 400
    found, pages = walk(door, "/flavors?is_public=None", "flavors", lambda row: row["id"], version=LATEST, token=ADMIN)
    assert [row["id"] for row in found] == ["1", "2", "private"] and pages == 2
    assert [row["id"] for row in ask(door, "GET", "/flavors?is_public=None").json["flavors"]] == ["1", "2"]


def test_keypairs(door):
    """2.2 type and status, 2.10 users, 2.35 pages by name, 2.92 imported only, and more letters."""
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMHNv2y9JOZiEvpuMCG4PLNZpuLC5fjaO//wBImTLDxB a"

    def create(version, token=DEMO, **members):
        body = {"keypair": {"name": "k", "public_key": public, **members}}
        return ask(door, "POST", "/os-keypairs", body, version=version, token=token)

    assert create("2.1", name="a").status_int == 200
    assert create("2.1", name="x", type="ssh").status_int == 400
    assert create("2.2", name="c", type="ssh").status_int == 201
    assert create("2.9", name="x", user_id="demo").status_int == 400
    assert create("2.10", name="b", user_id="demo", token=ADMIN).status_int == 201
    assert create("2.10", name="x", user_id="demo", token=OTHER).status_int == 403
    assert create("2.91", name="a.b").status_int == 400
    assert create("2.92", name="d@e.f").status_int == 201
    made = {"keypair": {"name": "made"}}
    assert ask(door, "POST", "/os-keypairs", made, version="2.92").status_int == 400
    assert len(ask(door, "GET", "/os-keypairs?limit=1", version="2.34").json["keypairs"]) == 4
    found, pages = walk(door, "/os-keypairs", "keypairs", lambda row: row["keypair"]["name"], version="2.35")
    assert [row["keypair"]["name"] for row in found] == ["a", "b", "c", "d@e.f"] and pages == 2
    page = ask(door, "GET", "/os-keypairs?limit=2", version="2.35").json
    assert "marker=b" in page["keypairs_links"][0]["href"]
    assert ask(door, "GET", "/os-keypairs?marker=none", version="2.35").status_int in (400, 404)
    assert "type" not in ask(door, "GET", "/os-keypairs/a").json["keypair"]
    assert ask(door, "GET", "/os-keypairs/a", version="2.2").json["keypair"]["type"] == "ssh"
    assert ask(door, "DELETE", "/os-keypairs/a").status_int == 202
    assert ask(door, "DELETE", "/os-keypairs/b?user_id=demo", version="2.10", token=ADMIN).status_int == 204


def test_server_groups_in_pages(door):
    """Limit and offset as upstream has them, and the marker that openstacksdk sends."""
    names = [f"g{number}" for number in range(5)]
    for name in names:
        body = {"server_group": {"name": name, "policies": ["affinity"]}}
        assert ask(door, "POST", "/os-server-groups", body).status_int == 200
    for version in ("2.1", "2.64", LATEST):
        found, pages = walk(door, "/os-server-groups", "server_groups", lambda row: row["id"], version=version)
        assert [row["name"] for row in found] == names and pages == 3
    part = ask(door, "GET", "/os-server-groups?limit=2&offset=3", version=LATEST).json["server_groups"]
    assert [row["name"] for row in part] == ["g3", "g4"]
    assert ask(door, "GET", "/os-server-groups?marker=none", version=LATEST).status_int == 400
    assert ask(door, "GET", "/os-server-groups?nonsense=1", version="2.75").status_int == 400
    assert len(ask(door, "GET", "/os-server-groups?all_projects=1", version=LATEST).json["server_groups"]) == 5
    assert len(ask(door, "GET", "/os-server-groups?all_projects=1", token=ADMIN).json["server_groups"]) == 5
    assert ask(door, "GET", "/os-server-groups", token=ADMIN).json["server_groups"] == []


def test_quota_sets_and_classes(door):
    """2.36 without networks, 2.50 groups in classes, 2.57 without files, 2.75 no unknown parameters."""

    def add(session):
        session.add(Domain(id="default", name="Default"))
        session.flush()
        session.add(Project(id="demo", name="demo", domain_id="default"))

    door.store.transact(add)
    network, files = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}, {"injected_files"}
    groups = {"server_groups", "server_group_members"}

    def names(path, version, member):
        return set(ask(door, "GET", path, version=version, token=ADMIN).json[member])

    for path in ("/os-quota-sets/demo", "/os-quota-sets/demo/defaults", "/os-quota-sets/demo/detail"):
        assert network | files | groups <= names(path, "2.35", "quota_set")
        assert not network & names(path, "2.36", "quota_set") and files <= names(path, "2.56", "quota_set")
        assert not files & names(path, "2.57", "quota_set")
    path = "/os-quota-class-sets/default"
    assert network <= names(path, "2.49", "quota_class_set") and not groups & names(path, "2.49", "quota_class_set")
    body = {"quota_class_set": dict.fromkeys(groups | {"ram"}, 99)}
    changed = ask(door, "PUT", "/os-quota-class-sets/mine", body, version="2.49", token=ADMIN)
    assert changed.status_int == 200 and changed.json["quota_class_set"]["ram"] == 99
    assert not groups & changed.json["quota_class_set"].keys()
    shown = ask(door, "GET", "/os-quota-class-sets/mine", version="2.50", token=ADMIN).json["quota_class_set"]
    assert {shown[name] for name in groups} == {99}
    assert groups <= names(path, "2.50", "quota_class_set") and not network & names(path, "2.50", "quota_class_set")
    assert files <= names(path, "2.56", "quota_class_set") and not files & names(path, "2.57", "quota_class_set")

    def put(version, **members):
        body = {"quota_set": members}
        return ask(door, "PUT", "/os-quota-sets/demo", body, version=version, token=ADMIN).status_int

    assert (put("2.35", fixed_ips=3), put("2.36", fixed_ips=3)) == (200, 400)
    assert (put("2.56", injected_files=3), put("2.57", injected_files=3)) == (200, 400)
    assert put("2.96", instances=3, force=True) == 200
    assert ask(door, "GET", "/os-quota-sets/demo?nonsense=1", version="2.74").status_int == 200
    assert ask(door, "GET", "/os-quota-sets/demo?nonsense=1", version="2.75").status_int == 400


def test_limits(door):
    """2.36 without networks, 2.39 without maxImageMeta, 2.57 without files, 2.75 no unknown parameters."""

    def names(version):
        return set(ask(door, "GET", "/limits", version=version).json["limits"]["absolute"])

    network = {"maxSecurityGroups", "maxSecurityGroupRules", "maxTotalFloatingIps", "totalFloatingIpsUsed"}
    assert network <= names("2.35") and not network & names("2.36")
    assert "maxImageMeta" in names("2.38") and "maxImageMeta" not in names("2.39")
    assert "maxPersonality" in names("2.56") and "maxPersonality" not in names("2.57")
    assert ask(door, "GET", "/limits?reserved=1", version=LATEST).status_int == 200
    assert ask(door, "GET", "/limits?nonsense=1", version="2.74").status_int == 200
    assert ask(door, "GET", "/limits?nonsense=1", version="2.75").status_int == 400


def test_usage_in_pages_adds_up(door):
    """2.40: a project's use may come in pages of servers, which together are the whole."""
    lift_quotas(door)
    for number in range(5):
        build(door, boot(door, name=f"vm-{number}").json["server"]["id"])
    build(door, boot(door, token=OTHER).json["server"]["id"])
    whole = ask(door, "GET", "/os-simple-tenant-usage?detailed=1", token=ADMIN).json["tenant_usages"]
    assert [(row["tenant_id"], len(row["server_usages"])) for row in whole] == [("demo", 5), ("other", 1)]
    seen, last = [], ""
    while True:
        path = f"/os-simple-tenant-usage?detailed=1&limit=2{last}"
        page = ask(door, "GET", path, token=ADMIN, version="2.40").json
        servers = [server for row in page["tenant_usages"] for server in row["server_usages"]]
        seen += [server["instance_id"] for server in servers]
        if "tenant_usages_links" not in page:
            break
        assert f"marker={seen[-1]}" in page["tenant_usages_links"][0]["href"]
        last = f"&marker={seen[-1]}"
    assert sorted(seen) == sorted(server["instance_id"] for row in whole for server in row["server_usages"])
    assert len(seen) == len(set(seen)) == 6
    # An older microversion takes limit for a parameter that it does not know.
    old = ask(door, "GET", "/os-simple-tenant-usage/demo?limit=2", version="2.39").json["tenant_usage"]
    assert len(old["server_usages"]) == 5
    assert ask(door, "GET", "/os-simple-tenant-usage?nonsense=1", token=ADMIN, version="2.75").status_int == 400


def test_images_are_cached_by_aggregates_since_2_81(door):
    door.agents.answers["cache_images"] = lambda image_ids: door.wakes.seen.append(("cached", tuple(image_ids)))
    made = ask(door, "POST", "/os-aggregates", {"aggregate": {"name": "a"}}, token=ADMIN).json["aggregate"]["id"]
    path = f"/os-aggregates/{made}"
    assert ask(door, "POST", path + "/action", {"add_host": {"host": "host1"}}, token=ADMIN).status_int == 200
    image = "11111111-1111-4111-8111-111111111111"
    body = {"cache": [{"id": image}]}
    assert ask(door, "POST", path + "/images", body, token=ADMIN, version="2.80").status_int == 404
    assert ask(door, "POST", path + "/images", body, version="2.81").status_int == 403
    assert ask(door, "POST", path + "/images", body, token=ADMIN, version="2.81").status_int == 202
    assert ("cached", (image,)) in door.wakes.seen
    for wrong in ({"cache": []}, {"cache": [{"id": image}, {"id": image}]}, {"cache": [{"id": new_id()}]}, {}):
        assert ask(door, "POST", path + "/images", wrong, token=ADMIN, version="2.81").status_int == 400, wrong
    assert ask(door, "POST", "/os-aggregates/99/images", body, token=ADMIN, version="2.81").status_int == 404

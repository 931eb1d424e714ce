"""Usage, hosts of old, audit log, diagnostics, topology, passwords, external events, and what is gone."""

from __future__ import annotations

import datetime

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, PRIVATE_IMAGE, READER, ask, boot, build, seed

from nova_lite.compute import guest_passwords
from nova_lite.db.models import Image
from nova_lite.db.types import now
from nova_lite.errors import Conflict, Invalid, NotFound

STATS = {
    "cpu_time_ns": 5_000_000_000,
    "memory_mb": 100,
    "uptime_s": 12.5,
    "nics": {"tap12345678": [10, 20]},
    "disks": {"vda": [30, 40]},
    "hypervisor": "qemu",
}


@pytest.fixture
def door(compute_door):
    seed(compute_door)
    compute_door.agents.answers["diagnostics"] = STATS
    return compute_door


@pytest.fixture
def server_id(door):
    identifier = boot(door).json["server"]["id"]
    build(door, identifier, launched_at=now() - datetime.timedelta(hours=2))
    return identifier


def test_usage_of_a_project(door, server_id):
    hour_ago = (now() - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    used = ask(door, "GET", f"/os-simple-tenant-usage/demo?start={hour_ago}").json["tenant_usage"]
    assert used["tenant_id"] == "demo" and 0.9 < used["total_hours"] < 1.1
    assert used["total_memory_mb_usage"] == pytest.approx(128 * used["total_hours"])
    (one,) = used["server_usages"]
    assert (one["instance_id"], one["flavor"], one["state"], one["ended_at"]) == (server_id, "tiny", "active", None)
    assert 7100 < one["uptime"] < 7300
    nothing = ask(door, "GET", "/os-simple-tenant-usage/other", token=ADMIN).json["tenant_usage"]
    assert (nothing["tenant_id"], nothing["total_hours"], nothing["server_usages"]) == ("other", 0, [])
    listed = ask(door, "GET", "/os-simple-tenant-usage", token=ADMIN).json["tenant_usages"]
    assert "server_usages" not in listed[0]
    for detailed in ("1", "True"):
        path = f"/os-simple-tenant-usage?detailed={detailed}"
        assert ask(door, "GET", path, token=ADMIN).json["tenant_usages"][0]["server_usages"]
    assert ask(door, "GET", "/os-simple-tenant-usage/demo", token=OTHER).status_int == 403
    assert ask(door, "GET", "/os-simple-tenant-usage").status_int == 403
    ask(door, "DELETE", f"/servers/{server_id}")
    listed = ask(door, "GET", "/os-simple-tenant-usage?detailed=1", token=ADMIN).json["tenant_usages"]
    assert [each["tenant_id"] for each in listed] == ["demo"] and listed[0]["server_usages"]
    short = ask(door, "GET", "/os-simple-tenant-usage", token=ADMIN).json["tenant_usages"]
    assert "server_usages" not in short[0]
    for query in ("start=x", "start=2030-01-01T00:00:00&end=2029-01-01T00:00:00"):
        assert ask(door, "GET", f"/os-simple-tenant-usage/demo?{query}").status_int == 400


def test_usage_in_pages(door):
    ids = set()
    for _ in range(5):
        identifier = boot(door).json["server"]["id"]
        build(door, identifier, launched_at=now() - datetime.timedelta(hours=1))
        ids.add(identifier)
    seen, path = [], "/os-simple-tenant-usage/demo?limit=2"
    while path:
        page = ask(door, "GET", path, version="2.40").json
        seen += [each["instance_id"] for each in page["tenant_usage"].get("server_usages", [])]
        links = page.get("tenant_usage_links")
        path = links[0]["href"].partition("/v2.1")[2] if links else None
    assert len(seen) == 5 and set(seen) == ids
    assert ask(door, "GET", "/os-simple-tenant-usage/demo?marker=nope", version="2.40").status_int == 400


def test_hosts_until_they_went(door, server_id):
    listed = ask(door, "GET", "/os-hosts?zone=nova", token=ADMIN).json["hosts"]
    assert listed == [{"host_name": "host1", "service": "compute", "zone": "nova"}]
    assert ask(door, "GET", "/os-hosts?zone=none", token=ADMIN).json["hosts"] == []
    rows = [each["resource"] for each in ask(door, "GET", "/os-hosts/host1", token=ADMIN).json["host"]]
    assert [row["project"] for row in rows] == ["(total)", "(used_now)", "(used_max)", "demo"]
    assert rows[3]["memory_mb"] == 128
    put = ask(door, "PUT", "/os-hosts/host1", {"status": "disable"}, token=ADMIN)
    assert put.json == {"host": "host1", "status": "disabled"}
    for body, status in (
        ({"status": "odd"}, 400),
        ({}, 400),
        ({"status": "enable", "x": "y"}, 400),
        ({"maintenance_mode": "enable"}, 501),
    ):
        assert ask(door, "PUT", "/os-hosts/host1", body, token=ADMIN).status_int == status
    assert ask(door, "GET", "/os-hosts/host1/reboot", token=ADMIN).status_int == 501
    assert ask(door, "GET", "/os-hosts/nowhere/startup", token=ADMIN).status_int == 404
    assert ask(door, "GET", "/os-hosts/nowhere", token=ADMIN).status_int == 404
    assert ask(door, "GET", "/os-hosts").status_int == 403
    assert ask(door, "GET", "/os-hosts", token=ADMIN, version="2.43").status_int == 404


def test_the_audit_log(door):
    shown = ask(door, "GET", "/os-instance_usage_audit_log", token=ADMIN).json["instance_usage_audit_logs"]
    assert shown["hosts_not_run"] == [] and shown["overall_status"] == "ALL hosts done. 0 errors."
    path = "/os-instance_usage_audit_log/2026-03-15 10:00:00"
    older = ask(door, "GET", path.replace(" ", "%20"), token=ADMIN).json["instance_usage_audit_log"]
    assert (older["period_beginning"], older["period_ending"]) == ("2026-02-01 00:00:00", "2026-03-01 00:00:00")
    assert ask(door, "GET", "/os-instance_usage_audit_log/never", token=ADMIN).status_int == 400
    assert ask(door, "GET", "/os-instance_usage_audit_log").status_int == 403


def test_diagnostics(door, server_id):
    path = f"/servers/{server_id}/diagnostics"
    assert ask(door, "GET", path, token=ADMIN).json["cpu0_time"] == 5_000_000_000
    shown = ask(door, "GET", path, token=ADMIN, version="2.48").json
    assert (shown["state"], shown["num_cpus"], shown["num_disks"], shown["uptime"]) == ("running", 1, 1, 12)
    assert shown["memory_details"] == {"maximum": 128, "used": 100}
    assert shown["disk_details"][0]["read_bytes"] == 30 and shown["nic_details"][0]["tx_octets"] == 20
    assert ask(door, "GET", path).status_int == 403
    build(door, server_id, host=None)
    assert ask(door, "GET", path, token=ADMIN).status_int == 409


def test_topology_and_password(door, server_id):
    assert ask(door, "GET", f"/servers/{server_id}/topology", version="2.77").status_int == 404
    shown = ask(door, "GET", f"/servers/{server_id}/topology", version="2.78").json
    assert shown == {"nodes": [], "pagesize_kb": None}
    path = f"/servers/{server_id}/os-server-password"
    assert ask(door, "GET", path).json == {"password": ""}
    assert ask(door, "DELETE", path).status_int == 204
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    guest_passwords.leave(door.store, server_id, "c2VjcmV0")
    assert ask(door, "GET", path, token=READER).json == {"password": "c2VjcmV0"}
    with pytest.raises(Conflict):
        guest_passwords.leave(door.store, server_id, "YW5vdGhlcg==")
    assert ask(door, "DELETE", path, token=READER).status_int == 403
    assert ask(door, "DELETE", path).status_int == 204
    assert ask(door, "GET", path).json == {"password": ""}
    for bad in ("x" * 1021, "a\nb", "ä"):
        with pytest.raises(Invalid):
            guest_passwords.leave(door.store, server_id, bad)
    gone = "/servers/88888888-8888-4888-8888-888888888888/os-server-password"
    assert [ask(door, method, gone).status_int for method in ("GET", "DELETE")] == [404, 404]
    with pytest.raises(NotFound):
        guest_passwords.leave(door.store, gone.split("/")[2], "x")


def test_external_events(door, server_id):
    def send(*events, version="2.1", token=ADMIN):
        return ask(door, "POST", "/os-server-external-events", {"events": list(events)}, token=token, version=version)

    good = {"name": "network-changed", "server_uuid": server_id}
    stranger = {"name": "network-changed", "server_uuid": "88888888-8888-4888-8888-888888888888"}
    assert send(good).json["events"] == [{**good, "status": "completed", "code": 200}]
    mixed = send(good, stranger)
    assert mixed.status_int == 207 and [each["code"] for each in mixed.json["events"]] == [200, 404]
    refused = send(stranger)
    assert refused.status_int == 207 and refused.json["events"] == [{**stranger, "status": "failed", "code": 404}]
    assert send({**good, "name": "volume-extended"}).status_int == 400
    extended = {**good, "name": "volume-extended"}
    assert send({**extended, "tag": "x"}, version="2.51").status_int == 200
    untagged = send(extended, good, version="2.51")
    assert untagged.status_int == 207
    assert [(each["code"], each["status"]) for each in untagged.json["events"]] == [(400, "failed"), (200, "completed")]
    assert send(extended, version="2.51").status_int == 207
    assert send({**good, "status": "failed"}).json["events"][0]["status"] == "completed"
    for name, minor in (("power-update", 76), ("accelerator-request-bound", 82), ("volume-reimaged", 93)):
        event = {**good, "name": name, "tag": "x"}
        assert send(event, version=f"2.{minor - 1}").status_int == 400
        assert send(event, version=f"2.{minor}").status_int == 200
    assert send().status_int == 400
    assert send({**good, "more": 1}).status_int == 400
    assert send(good, token=DEMO).status_int == 403
    build(door, server_id, host=None)
    assert send(good).json["events"][0]["code"] == 422
    other = boot(door).json["server"]["id"]
    build(door, other)
    answer = send(good, {**good, "server_uuid": other})
    assert (answer.status_int, [each["code"] for each in answer.json["events"]]) == (207, [422, 200])


def test_what_there_is_not(door):
    snapshot = {"snapshot": {"volume_id": "x", "create_info": {"snapshot_id": "x", "type": "qcow2", "new_file": "x"}}}
    assert ask(door, "POST", "/os-assisted-volume-snapshots", snapshot).status_int == 403
    bad = {"snapshot": {"volume_id": "x", "create_info": {}}}
    assert "snapshot_id" in ask(door, "POST", "/os-assisted-volume-snapshots", bad, token=ADMIN).text
    refused = ask(door, "POST", "/os-assisted-volume-snapshots", snapshot, token=ADMIN)
    assert refused.status_int == 400 and "No server has a volume" in refused.json["badRequest"]["message"]
    path = "/os-assisted-volume-snapshots/1"
    assert "delete_info" in ask(door, "DELETE", path, token=ADMIN).text
    refused = ask(door, "DELETE", path + "?delete_info=%7B%22volume_id%22:%22x%22%7D", token=ADMIN)
    assert refused.status_int == 400 and "No server has a volume" in refused.text
    assert ask(door, "DELETE", path + "?x=y", token=ADMIN, version="2.75").status_int == 400
    for version in ("2.1", "2.96"):
        for path in (
            "/os-cells",
            "/os-cells/x/capacities",
            "/os-fping",
            "/os-fixed-ips/10.0.0.1",
            "/servers/x/consoles",
        ):
            assert ask(door, "GET", path, version=version).status_int == 410, path
        for method, path in (("POST", "/os-networks"), ("DELETE", "/os-tenant-networks/x"), ("PUT", "/os-agents/1")):
            assert ask(door, method, path, {}, version=version).status_int == 410, path


def test_images_by_old_microversions(door):
    listed = ask(door, "GET", "/images/detail?name=tiny").json["images"]
    (tiny,) = listed
    assert (tiny["id"], tiny["status"], tiny["progress"], tiny["OS-EXT-IMG-SIZE:size"]) == (IMAGE, "ACTIVE", 100, 1000)
    assert tiny["metadata"]["hw_disk_bus"] == "virtio"
    assert {link["rel"] for link in tiny["links"]} == {"self", "bookmark", "alternate"}
    page = ask(door, "GET", "/images?limit=2").json
    assert len(page["images"]) == 2 and "images_links" in page
    assert ask(door, "GET", "/images?status=SAVING").json["images"] == []
    assert ask(door, "GET", f"/images/{PRIVATE_IMAGE}").status_int == 404
    assert ask(door, "GET", "/images/nothing").status_int == 404
    assert ask(door, "GET", "/images", version="2.36").status_int == 404
    assert ask(door, "GET", f"/images/{IMAGE}/metadata", version="2.38").status_int == 200
    assert ask(door, "GET", f"/images/{IMAGE}/metadata", version="2.39").status_int == 404


def test_an_images_metadata(door):
    def own(session):
        session.get(Image, IMAGE).owner = "demo"

    door.store.transact(own)
    path = f"/images/{IMAGE}/metadata"
    assert ask(door, "PUT", path, {"metadata": {"a": "1"}}).json == {"metadata": {"a": "1"}}
    assert ask(door, "POST", path, {"metadata": {"b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    assert ask(door, "PUT", f"{path}/a", {"meta": {"a": "9"}}).json == {"meta": {"a": "9"}}
    assert ask(door, "PUT", f"{path}/a", {"meta": {"b": "9"}}).status_int == 400
    assert ask(door, "GET", f"{path}/a").json == {"meta": {"a": "9"}}
    assert ask(door, "DELETE", f"{path}/a").status_int == 204
    for method in ("GET", "DELETE"):
        assert ask(door, method, f"{path}/a").status_int == 404
    assert ask(door, "PUT", path, {"metadata": {"a": "1"}}, token=OTHER).status_int == 403


def test_networks_by_old_microversions(door):
    (row,) = ask(door, "GET", "/os-networks").json["networks"]
    assert row["label"] == "private" and row["cidr"] is None
    assert ask(door, "GET", f"/os-networks/{row['id']}").json["network"] == row
    assert ask(door, "GET", f"/os-tenant-networks/{row['id']}").json["network"]["label"] == "private"
    assert ask(door, "GET", "/os-networks/nothing").status_int == 404
    assert ask(door, "GET", "/os-networks", version="2.36").status_int == 404

"""Flavors, keypairs, limits, zones, hypervisors, services, versions."""

from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, add_project, ask, boot, build

from nova_lite.api.compute.versions import VERSIONS
from nova_lite.compute import flavors
from nova_lite.db.models import Service
from nova_lite.db.types import epoch


def flavor(door, **members):
    body = {"name": "big", "ram": 1024, "vcpus": 4, "disk": 10, **members}
    return ask(door, "POST", "/flavors", {"flavor": body}, token=ADMIN, version="2.96")


def test_a_flavor_from_creation_to_deletion(door):
    assert ask(door, "POST", "/flavors", {"flavor": {"name": "x", "ram": 1, "vcpus": 1, "disk": 0}}).status_int == 403
    made = flavor(door, id="f-1", swap="64", description="four", **{"OS-FLV-EXT-DATA:ephemeral": 5}).json["flavor"]
    assert (made["id"], made["swap"], made["description"], made["extra_specs"]) == ("f-1", 64, "four", {})
    assert ask(door, "GET", "/flavors/f-1", version="2.96").json["flavor"] == made
    old = ask(door, "GET", "/flavors/1").json["flavor"]
    assert old["swap"] == "" and "description" not in old and "extra_specs" not in old
    assert flavor(door, id="f-1", name="other").status_int == 409
    assert flavor(door, id="f-2").json["conflictingRequest"]["message"] == "Flavor with name big already exists."
    described = ask(door, "PUT", "/flavors/f-1", {"flavor": {"description": None}}, token=ADMIN, version="2.55")
    assert described.json["flavor"]["description"] is None
    assert (
        ask(door, "PUT", "/flavors/f-1", {"flavor": {"description": None}}, token=ADMIN, version="2.54").status_int
        == 404
    )
    server_id = boot(door, flavorRef="f-1").json["server"]["id"]
    assert ask(door, "DELETE", "/flavors/f-1", token=ADMIN).status_int == 202
    assert ask(door, "DELETE", "/flavors/f-1", token=ADMIN).status_int == 404
    kept = ask(door, "GET", f"/servers/{server_id}", version="2.47").json["server"]["flavor"]
    assert kept["original_name"] == "big" and kept["vcpus"] == 4


@pytest.mark.parametrize(
    "members",
    [
        {"ram": 0},
        {"vcpus": "0"},
        {"ram": -1},
        {"disk": "x"},
        {"ram": 1 << 40},
        {"ram": "9999999999"},
        {"name": "x" * 256},
        {"id": "bad/id"},
        {"rxtx_factor": 0},
        {"unknown": 1},
        {"os-flavor-access:is_public": "perhaps"},
    ],
)
def test_a_flavor_that_can_not_be(door, members):
    assert flavor(door, **members).status_int == 400


def test_flavors_are_filtered_sorted_and_paged(door):
    for index in range(5):
        flavors.create(door.store, flavors.NewFlavor(f"n{index}", 1000 + index, 1, 50 + index, f"p{index}"))
    listed = ask(door, "GET", "/flavors?minRam=1002&minDisk=53").json["flavors"]
    assert [item["id"] for item in listed] == ["p3", "p4"]
    seen, path = [], "/flavors/detail?sort_key=memory_mb&sort_dir=desc&limit=3"
    while path:
        page = ask(door, "GET", path).json
        seen += [item["name"] for item in page["flavors"]]
        links = page.get("flavors_links")
        path = links[0]["href"].partition("/v2.1")[2] if links else None
    assert seen == ["n4", "n3", "n2", "n1", "n0", "small", "tiny"]
    assert {item["id"] for item in ask(door, "GET", "/flavors?is_public=None", token=ADMIN).json["flavors"]} >= {
        "private",
        "1",
    }
    assert [item["id"] for item in ask(door, "GET", "/flavors?is_public=false", token=ADMIN).json["flavors"]] == [
        "private"
    ]
    for query in ("marker=nope", "minRam=x", "is_public=perhaps", "sort_key=no", "limit=-1"):
        assert ask(door, "GET", f"/flavors?{query}", token=ADMIN).status_int == 400, query
    assert ask(door, "GET", "/flavors?unknown=1", version="2.75").status_int == 400


def test_extra_specs(door):
    path = "/flavors/1/os-extra_specs"
    assert ask(door, "POST", path, {"extra_specs": {"hw:cpu_policy": "shared", "n": 5}}, token=ADMIN).status_int == 200
    assert ask(door, "GET", path).json == {"extra_specs": {"a:b": "c", "hw:cpu_policy": "shared", "n": "5"}}
    assert ask(door, "GET", f"{path}/n").json == {"n": "5"}
    assert ask(door, "PUT", f"{path}/n", {"n": "6"}, token=ADMIN).json == {"n": "6"}
    assert ask(door, "PUT", f"{path}/n", {"m": "6"}, token=ADMIN).status_int == 400
    assert ask(door, "DELETE", f"{path}/n", token=ADMIN).status_int == 200
    missing = ask(door, "DELETE", f"{path}/n", token=ADMIN)
    assert missing.json["itemNotFound"]["message"] == "Flavor 1 has no extra specs with key n."
    assert ask(door, "POST", path, {"extra_specs": {"x": "y"}}).status_int == 403
    for specs in ({"hw:cpu_policy": "nonsense"}, {"quota:nonsense": "1"}, {"quota:cpu_shares": "many"}):
        assert ask(door, "POST", path, {"extra_specs": specs}, token=ADMIN, version="2.86").status_int == 400, specs
        assert ask(door, "POST", path, {"extra_specs": specs}, token=ADMIN, version="2.85").status_int == 200, specs
    fine = {"hw:cpu_policy": "dedicated", "quota:cpu_shares": "10", "mine:x": "y", "nova_lite:isolation": "vm"}
    assert ask(door, "POST", path, {"extra_specs": fine}, token=ADMIN, version="2.86").status_int == 200


def test_flavor_access(door):
    path = "/flavors/private/os-flavor-access"
    tenant = {"tenant": "demo"}
    add_project(door, "demo")
    assert ask(door, "GET", path, token=ADMIN).json == {"flavor_access": []}
    assert ask(door, "POST", "/flavors/private/action", {"addTenantAccess": tenant}).status_int == 403
    assert ask(door, "POST", "/flavors/private/action", {"addTenantAccess": tenant}, token=ADMIN).status_int == 200
    assert ask(door, "POST", "/flavors/private/action", {"addTenantAccess": tenant}, token=ADMIN).status_int == 409
    assert ask(door, "GET", "/flavors/private").status_int == 200
    assert ask(door, "POST", "/flavors/private/action", {"removeTenantAccess": tenant}, token=ADMIN).status_int == 200
    assert ask(door, "POST", "/flavors/private/action", {"removeTenantAccess": tenant}, token=ADMIN).status_int == 404
    assert ask(door, "GET", "/flavors/private").status_int == 404
    assert ask(door, "GET", "/flavors/1/os-flavor-access", token=ADMIN).status_int == 404
    public = [
        ask(door, "POST", "/flavors/1/action", {"addTenantAccess": tenant}, token=ADMIN, version=version).status_int
        for version in ("2.7", "2.96", "2.6")
    ]
    # Nova refuses it only from 2.7 on; novaclient's suite gives such access at 2.1.
    assert public == [409, 409, 200]
    assert ask(door, "POST", "/flavors/1/action", {"nonsense": tenant}, token=ADMIN).status_int == 400


def keypair(door, token=DEMO, version="2.2", **members):
    return ask(door, "POST", "/os-keypairs", {"keypair": members}, token=token, version=version)


def test_a_key_is_imported_with_openssh_own_fingerprint(door, tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", str(path)], check=True)
    public = path.with_suffix(".pub").read_text()
    reply = keypair(door, name="mine", public_key=public)
    assert reply.status_int == 201
    view = reply.json["keypair"]
    told = subprocess.run(
        ["ssh-keygen", "-l", "-E", "md5", "-f", str(path)], check=True, capture_output=True, text=True
    )
    assert view["fingerprint"] == told.stdout.split()[1].removeprefix("MD5:")
    # As it was sent: Terraform makes a key anew that is not what its file says, a line break at the end included.
    assert public.endswith("\n") and view["public_key"] == public
    assert view["type"] == "ssh" and "private_key" not in view
    assert ask(door, "GET", "/os-keypairs/mine").json["keypair"]["public_key"] == public
    assert keypair(door, name="mine", public_key=public).status_int == 409
    server_id = boot(door, key_name="mine").json["server"]["id"]
    assert ask(door, "GET", f"/servers/{server_id}").json["server"]["key_name"] == "mine"
    assert boot(door, token="another:demo:member", key_name="mine").status_int == 400
    assert ask(door, "DELETE", "/os-keypairs/mine", version="2.2").status_int == 204
    assert ask(door, "GET", "/os-keypairs/mine").status_int == 404


def test_a_key_is_made_and_its_private_half_fits(door, tmp_path):
    reply = keypair(door, version="2.1", name="made")
    assert reply.status_int == 200 and "type" not in reply.json["keypair"]
    view = reply.json["keypair"]
    path = tmp_path / "private"
    path.write_text(view["private_key"])
    path.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], check=True, capture_output=True, text=True)
    assert told.stdout.split()[:2] == view["public_key"].split()[:2]
    blob = base64.b64decode(view["public_key"].split()[1])
    assert view["fingerprint"].replace(":", "") == hashlib.md5(blob).hexdigest()
    shown = ask(door, "GET", "/os-keypairs/made").json["keypair"]
    assert "private_key" not in shown and shown["user_id"] == "demo" and shown["deleted"] is False
    certificate = keypair(door, name="windows", type="x509").json["keypair"]
    assert certificate["type"] == "x509" and certificate["public_key"].startswith("-----BEGIN CERTIFICATE")
    assert len(certificate["fingerprint"]) == 59
    again = keypair(door, name="again", type="x509", public_key=certificate["public_key"]).json["keypair"]
    assert again["fingerprint"] == certificate["fingerprint"]


@pytest.mark.parametrize(
    ("members", "version"),
    [
        ({"name": "k", "public_key": "nonsense"}, "2.2"),
        ({"name": "k", "public_key": "ssh-rsa !!!"}, "2.2"),
        ({"name": "k", "public_key": "ssh-rsa AAAA"}, "2.2"),
        ({"name": "k", "public_key": "ssh-rsa AAAA\nssh-rsa BBBB"}, "2.2"),
        ({"name": "k", "type": "x509", "public_key": "nonsense"}, "2.2"),
        ({"name": "k/k"}, "2.2"),
        ({"name": "x" * 256}, "2.2"),
        ({"name": "k", "type": "ssh"}, "2.1"),
        ({"name": "k", "user_id": "eve"}, "2.9"),
        ({"name": "k"}, "2.92"),
    ],
)
def test_a_key_that_can_not_be(door, members, version):
    assert keypair(door, version=version, **members).status_int == 400
    assert ask(door, "GET", "/os-keypairs").json == {"keypairs": []}


def test_other_users_keys_are_for_admins(door):
    keypair(door, name="mine")
    assert ask(door, "GET", "/os-keypairs?user_id=demo", version="2.10", token=OTHER).status_int == 403
    assert ask(door, "DELETE", "/os-keypairs/mine?user_id=demo", version="2.10", token=OTHER).status_int == 403
    assert keypair(door, token=OTHER, version="2.10", name="k", user_id="demo").status_int == 403
    listed = ask(door, "GET", "/os-keypairs?user_id=demo", version="2.10", token=ADMIN).json["keypairs"]
    assert [item["keypair"]["name"] for item in listed] == ["mine"]
    # Before 2.10 the parameter means nothing, so it gives nothing away.
    assert ask(door, "GET", "/os-keypairs?user_id=demo", version="2.9", token=OTHER).json == {"keypairs": []}


def test_limits_count_what_is_there(door):
    boot(door, min_count=3, flavorRef="2")
    boot(door, token=OTHER)
    absolute = ask(door, "GET", "/limits", version="2.96").json["limits"]["absolute"]
    assert (absolute["totalInstancesUsed"], absolute["totalCoresUsed"], absolute["totalRAMUsed"]) == (3, 6, 1536)
    assert absolute["maxTotalInstances"] == 10 and "maxPersonality" not in absolute
    assert ask(door, "GET", "/limits?tenant_id=other").status_int == 403
    theirs = ask(door, "GET", "/limits?tenant_id=other", token=ADMIN).json["limits"]["absolute"]
    assert theirs["totalInstancesUsed"] == 1


def test_hypervisors_zones_and_services(door):
    server_id = boot(door).json["server"]["id"]
    build(door, server_id)
    door.store.transact(
        lambda session: session.add(
            Service(
                uuid="88888888-8888-4888-8888-888888888888", binary="nova-scheduler", host="h", last_seen=epoch() - 999
            )
        )
    )
    for path in ("/os-hypervisors", "/os-services", "/os-availability-zone/detail"):
        assert ask(door, "GET", path).status_int == 403, path
    (listed,) = ask(door, "GET", "/os-hypervisors/detail?with_servers=true", version="2.53", token=ADMIN).json[
        "hypervisors"
    ]
    assert listed["id"] == "99999999-9999-4999-8999-999999999999" and listed["state"] == "up" and listed["vcpus"] == 8
    assert listed["servers"] == [{"uuid": server_id, "name": "vm"}]
    by_number = ask(door, "GET", "/os-hypervisors", token=ADMIN).json["hypervisors"][0]["id"]
    assert ask(door, "GET", f"/os-hypervisors/{by_number}", token=ADMIN).json["hypervisor"]["vcpus"] == 8
    assert ask(door, "GET", f"/os-hypervisors/{by_number}", token=ADMIN, version="2.53").status_int == 400
    latest = ask(door, "GET", f"/os-hypervisors/{listed['id']}", token=ADMIN, version="2.96").json["hypervisor"]
    assert "vcpus" not in latest and latest["uptime"] is None
    door.agents.answers["host_uptime"] = " 08:32:11 up 93 days"
    latest = ask(door, "GET", f"/os-hypervisors/{listed['id']}", token=ADMIN, version="2.88").json["hypervisor"]
    assert latest["uptime"] == " 08:32:11 up 93 days"
    assert (
        ask(door, "GET", "/os-hypervisors?hypervisor_hostname_pattern=no", token=ADMIN, version="2.53").status_int
        == 404
    )
    assert ask(door, "GET", "/os-hypervisors/statistics", token=ADMIN, version="2.88").status_int == 404
    services = ask(door, "GET", "/os-services", token=ADMIN, version="2.53").json["services"]
    assert {(item["binary"], item["state"], item["zone"]) for item in services} == {
        ("nova-compute", "up", "nova"),
        ("nova-scheduler", "down", "internal"),
    }
    assert ask(door, "GET", "/os-aggregates", token=ADMIN).json == {"aggregates": []}
    only = ask(door, "GET", "/os-services?binary=nova-compute", token=ADMIN).json["services"]
    assert [item["host"] for item in only] == ["host1"]
    zones = ask(door, "GET", "/os-availability-zone").json["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    detailed = ask(door, "GET", "/os-availability-zone/detail", token=ADMIN).json["availabilityZoneInfo"]
    assert {zone["zoneName"] for zone in detailed} == {"nova", "internal"}


def test_version_documents(door):
    root = door.ask("GET", "/compute/", token=None)
    assert [version["id"] for version in root.json["versions"]] == ["v2.0", "v2.1"]
    one = door.ask("GET", "/compute/v2.1/", token=None).json["version"]
    assert (one["status"], one["min_version"], one["version"]) == ("CURRENT", "2.1", str(VERSIONS.greatest))
    assert one["links"][0] == {"rel": "self", "href": "http://127.0.0.1:8774/compute/v2.1/"}
    assert door.ask("GET", "/compute/v2", token=None).json["version"]["id"] == "v2.0"
    assert door.ask("GET", "/compute/v2/flavors", OpenStack_API_Version="compute 2.96").json["flavors"][0]["id"] == "1"


@pytest.mark.parametrize(
    ("headers", "status", "answered"),
    [
        ({}, 200, "2.1"),
        ({"OpenStack_API_Version": "compute 2.47"}, 200, "2.47"),
        ({"OpenStack_API_Version": "volume 3.5, compute 2.30"}, 200, "2.30"),
        ({"OpenStack_API_Version": "compute latest"}, 200, "2.96"),
        ({"X_OpenStack_Nova_API_Version": "2.9"}, 200, "2.9"),
        ({"OpenStack_API_Version": "compute 2.999"}, 406, "2.96"),
        ({"OpenStack_API_Version": "compute 1.0"}, 406, "2.96"),
        ({"OpenStack_API_Version": "compute nonsense"}, 400, "2.1"),
    ],
)
def test_the_microversion_asked_for_is_the_one_answered(door, headers, status, answered):
    reply = door.ask("GET", "/compute/v2.1/flavors", **headers)
    assert reply.status_int == status
    assert reply.headers["OpenStack-API-Version"] == f"compute {answered}"
    assert reply.headers["X-OpenStack-Nova-API-Version"] == answered
    assert "OpenStack-API-Version" in reply.headers["Vary"]


def test_extensions_are_the_ones_that_there_are(door):
    listed = ask(door, "GET", "/extensions").json["extensions"]
    aliases = {extension["alias"] for extension in listed}
    assert "os-keypairs" in aliases and "os-volumes" not in aliases
    assert {"OS-EXT-IMG-SIZE", "OS-EXT-IPS-MAC", "OS-FLV-EXT-DATA", "os-personality", "os-user-quotas"} <= aliases
    assert ask(door, "GET", "/extensions/os-keypairs").json["extension"] in listed

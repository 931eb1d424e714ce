"""The commands beside those for servers, as they are typed, against a whole cloud in another process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_cloud import PASSWORD, Cloud, cloud


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("cli")) as made:
        made.in_process = True
        made.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("image", "create", "--public", "--file", "-", "--tag", "one", "tiny", stdin=b"\0" * 100_000)
        yield made


def test_server_groups(running: Cloud) -> None:
    made = running.read(
        "server", "group", "create", "--policy", "anti-affinity", "--rule", "max_server_per_host=2", "apart"
    )
    assert (made["Policy"], made["Rules"], made["Members"]) == ("anti-affinity", {"max_server_per_host": 2}, [])
    for name in ("a", "b"):
        group = ("--server-group", "apart", "--hostname", f"host-{name}")
        running.do("server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", *group, "--wait", name)
    assert len(running.read("server", "group", "show", "apart")["Members"]) == 2
    assert [row["Name"] for row in running.read("server", "group", "list", "--all-projects", "--long")] == ["apart"]
    assert running.read("server", "group", "list", "--offset", "1") == []
    running.do("server", "delete", "--wait", "a", "b")
    running.do("server", "group", "delete", "apart")
    assert running.run("server", "group", "show", "apart").code == 1


def test_aggregates(running: Cloud) -> None:
    made = running.read("aggregate", "create", "--zone", "east", "--property", "ssd=true", "rack")
    assert (made["Availability Zone"], made["Properties"], made["Hosts"]) == ("east", {"ssd": "true"}, [])
    running.do("aggregate", "add", "host", "rack", "host-1")
    running.do("aggregate", "set", "--name", "row", "--zone", "west", "--property", "a=b", "rack")
    running.do("aggregate", "unset", "--property", "ssd", "row")
    (row,) = running.read("aggregate", "list")
    assert (row["Name"], row["Availability Zone"], row["Hosts"], row["Properties"]) == (
        "row",
        "west",
        ["host-1"],
        {"a": "b"},
    )
    running.do("aggregate", "set", "--no-property", "--property", "c=d", "row")
    assert running.read("aggregate", "show", "row")["Properties"] == {"c": "d"}
    running.do("aggregate", "cache", "image", "row", "tiny")
    deadline = time.monotonic() + 60
    while "event=cached" not in running.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    full = running.run("aggregate", "delete", "row")
    assert full.code == 1
    assert "`nova-lite aggregate remove host AGGREGATE HOST`" in full.err
    assert running.read("aggregate", "remove", "host", "row", "host-1")["Hosts"] == []
    running.do("aggregate", "delete", "row")
    assert running.read("aggregate", "list") == []


def test_quotas_limits_and_usage(running: Cloud) -> None:
    own = {row["Resource"]: row for row in running.read("quota", "show")}
    assert (own["instances"]["Limit"], own["cores"]["Limit"], own["ram"]["Limit"]) == (10, 20, 51_200)
    running.do("quota", "set", "--instances", "1", "--cores", "-1", "--key-pairs", "7", "demo")
    (row,) = running.read("quota", "list")
    assert (row["Project"], row["instances"], row["cores"], row["key_pairs"]) == ("demo", 1, -1, 7)
    full = running.run(
        "server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--min", "2", "two", user="demo"
    )
    assert full.code == 1
    assert "Quota exceeded for instances" in full.err
    assert "an admin can raise it: `nova-lite quota set`" in full.err
    limits = {row["Name"]: row["Value"] for row in running.read("limits", "show", "--project", "demo")}
    assert limits["maxTotalInstances"] == 1
    assert {row["Resource"]: row["Limit"] for row in running.read("usage", "show", user="demo")}["Instances"] == 1
    running.do("quota", "delete", "demo")
    assert running.read("quota", "list") == []
    running.do("quota", "set", "--default", "--server-groups", "11")
    default = {row["Resource"]: row["Limit"] for row in running.read("quota", "show", "--default", "demo")}
    assert default["server_groups"] == 11
    assert running.run("quota", "set", "demo").err.startswith("Nothing is to be set")
    assert running.run("quota", "set", "--cores", "-2", "demo").code == 2
    assert running.run("quota", "set", "--cores", "1").err.startswith("Whose?")
    running.do("server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--wait", "used")
    (row,) = [row for row in running.read("usage", "list") if row["Project"] == "admin"]
    assert row["Servers"] >= 1
    used = {row["Resource"]: row["Used"] for row in running.read("usage", "show", "--start", "2020-01-01")}
    assert used["Servers"] >= 1
    nothing = {
        row["Resource"]: row["Used"]
        for row in running.read("usage", "show", "--start", "2020-01-01", "--project", "demo")
    }
    assert nothing["Servers"] == 0
    running.do("server", "delete", "used")


def test_hosts_and_services(running: Cloud) -> None:
    running.do("compute", "service", "set", "--disable", "--disable-reason", "new memory", "host-1")
    (row,) = running.read("compute", "service", "list", "--service", "nova-compute")
    assert (row["Status"], row["Disabled Reason"], row["Forced Down"]) == ("disabled", "new memory", False)
    running.do("compute", "service", "set", "--enable", "--down", "host-1")
    (row,) = running.read("service", "list", "--host", "host-1", "--binary", "nova-compute")
    assert (row["Status"], row["State"], row["Forced Down"]) == ("enabled", "down", True)
    running.do("compute", "service", "set", "--up", "host-1")
    assert running.run("compute", "service", "set", "--disable-reason", "x", "host-1").code == 1
    unknown = running.run("compute", "service", "set", "--enable", "host-9")
    assert "`nova-lite compute service list` shows what there is" in unknown.err
    assert running.run("compute", "service", "delete", "host-9").code == 1
    assert running.read("hypervisor", "stats", "show")["Count"] == 1
    assert running.read("hypervisor", "show", "host-1")["VCPUs"] == 64
    assert running.read("hypervisor", "list")[0]["VCPUs"] == 64
    assert {row["Service"] for row in running.read("host", "list")} == {"compute", "scheduler"}
    assert running.read("host", "show", "host-1")[0]["Project"] == "(total)"


def test_flavors_for_chosen_projects(running: Cloud) -> None:
    running.do("flavor", "create", "--ram", "128", "--disk", "2", "--private", "--project", "demo", "own")
    assert len(running.read("flavor", "access", "list", "own")) == 1
    assert "own" in running.do("flavor", "list", user="demo")
    running.do("flavor", "set", "--property", "a=b", "--description", "d", "own")
    running.do("flavor", "unset", "--property", "a", "--project", "demo", "own")
    shown = running.read("flavor", "show", "own")
    assert (shown["Properties"], shown["Description"]) == ({}, "d")
    assert running.read("flavor", "access", "list", "own") == []
    assert [row["Name"] for row in running.read("flavor", "list", "--all", "--min-ram", "100")] == ["own"]
    assert len(running.read("flavor", "list", "--all", "--limit", "1")) == 1
    running.do("flavor", "set", "--project", "demo", "own")
    assert running.run("flavor", "create", "--project", "demo", "odd").err.startswith("--project goes with --private")
    running.do("flavor", "delete", "own")


def test_keypairs_of_others_and_certificates(running: Cloud, tmp_path: Path) -> None:
    running.do("keypair", "create", "--user", "demo", "theirs")
    assert running.read("keypair", "list") == []
    assert [row["Name"] for row in running.read("keypair", "list", "--user", "demo")] == ["theirs"]
    assert running.read("keypair", "show", "--user", "demo", "theirs")["Type"] == "ssh"
    running.do("keypair", "delete", "--user", "demo", "theirs")
    assert "`openssl req -x509" in running.run("keypair", "create", "--type", "x509", "cert").err
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=me", "-days", "9", "-keyout", "key", "-out",
         "cert"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    running.do("keypair", "create", "--type", "x509", "--public-key", str(tmp_path / "cert"), "cert")
    assert running.read("keypair", "show", "cert")["Type"] == "x509"
    running.do("keypair", "delete", "cert")


def test_properties_and_tags_of_images_go(running: Cloud) -> None:
    running.do("image", "set", "--property", "a=b", "--tag", "two", "tiny")
    running.do("image", "unset", "--property", "a", "--tag", "one", "tiny")
    shown = running.read("image", "show", "tiny")
    assert ("A" in shown, shown["Tags"]) == (False, ["two"])
    assert "has no a" in running.run("image", "unset", "--property", "a", "tiny").err
    assert running.run("image", "unset", "tiny").err.startswith("Nothing is to be changed")


def test_projects_users_and_roles(running: Cloud) -> None:
    made = running.read("project", "create", "--description", "a shop", "shop")
    assert (made["Name"], made["Enabled"], made["Description"]) == ("shop", True, "a shop")
    assert running.run("project", "create", "shop").code == 1
    assert running.read("project", "create", "--or-show", "shop")["ID"] == made["ID"]
    user = running.read(
        "user", "create", "--password", PASSWORD, "--project", "shop", "--email", "a@example.org", "shop"
    )
    assert (user["Email"], user["Default Project ID"]) == ("a@example.org", made["ID"])
    assert running.run("server", "list", user="shop").code == 1
    running.do("role", "add", "--user", "shop", "--project", "shop", "member")
    assert running.read("server", "list", user="shop") == []
    rows = running.read("role", "assignment", "list", "--user", "shop", "--names")
    assert [(row["Role"], row["User"], row["Project"]) for row in rows] == [("member", "shop", "shop")]
    assert [row["Name"] for row in running.read("user", "list", "--project", "shop", "--long")] == ["shop"]
    assert [row["Name"] for row in running.read("project", "list", "--user", "shop", "--long")] == ["shop"]
    assert running.read("project", "show", "shop", user="shop")["Name"] == "shop"
    assert running.read("user", "show", "shop", user="shop")["Name"] == "shop"
    running.do("user", "password", "set", "--password", "another-secret-1", user="shop")
    assert running.run("server", "list", user="shop").code == 1
    assert running.read("server", "list", user="shop", OS_PASSWORD="another-secret-1") == []
    running.do("user", "set", "--password-prompt", "--email", "b@example.org", "shop", stdin=f"{PASSWORD}\n".encode())
    assert running.read("user", "show", "shop")["Email"] == "b@example.org"
    running.do("project", "set", "--disable", "--name", "closed", "shop")
    assert running.read("project", "show", "closed")["Enabled"] is False
    running.do("role", "create", "--description", "looks", "auditor")
    assert "auditor" in [row["Name"] for row in running.read("role", "list")]
    running.do("role", "set", "--description", "looks on", "auditor")
    assert running.read("role", "show", "auditor")["Description"] == "looks on"
    running.do("role", "remove", "--user", "shop", "--project", "closed", "member")
    running.do("role", "delete", "auditor")
    running.do("user", "delete", "shop")
    running.do("project", "delete", "closed")
    assert [row["Name"] for row in running.read("domain", "list")] == ["Default"]


def test_versions_and_extensions(running: Cloud) -> None:
    rows = running.read("versions", "show")
    assert {row["Service Type"] for row in rows} >= {"identity", "compute", "image", "network"}
    (newest,) = [row for row in running.read("versions", "show", "--service", "compute") if row["Max Microversion"]]
    assert (newest["Min Microversion"], newest["Max Microversion"]) == ("2.1", "2.96")
    assert running.run("versions", "show", "--service", "tea").code == 1
    assert "os-keypairs" in [row["Alias"] for row in running.read("extension", "list")]


def test_help_has_an_example(running: Cloud) -> None:
    said = " ".join(running.do("server", "resize", "--help").split())
    assert "example: nova-lite server resize --flavor m1.small --wait web" in said
    assert "--live" in said

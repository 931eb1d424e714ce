"""Flavors, keypairs, groups, quotas, hosts by the unmodified ``openstack`` client at the highest microversion and the oldest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cli_cloud import cloud
from openstack_shell import Client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with cloud(tmp_path_factory.mktemp("osc")) as made:
        client = Client(made)
        client.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        yield client


def test_flavors(client: Client) -> None:
    client.do(
        "flavor", "create", "--id", "9", "--ram", "128", "--disk", "2", "--ephemeral", "1", "--swap", "64", "--vcpus", "2", "--private",
        "--project", "demo", "--property", "a=b", "--description", "some", "--rxtx-factor", "2.0", "own",
    )  # fmt: skip
    shown = client.read("flavor", "show", "own")
    assert (shown["ram"], shown["disk"], shown["OS-FLV-EXT-DATA:ephemeral"], shown["swap"], shown["vcpus"]) == (
        128,
        2,
        1,
        64,
        2,
    )
    assert (shown["properties"], shown["description"], shown["os-flavor-access:is_public"]) == (
        {"a": "b"},
        "some",
        False,
    )
    assert len(shown["access_project_ids"]) == 1
    demo = replace(client, user="demo")
    assert demo.names("flavor", "list", "--all") == {"own", "m1.nano"}
    client.do("flavor", "set", "--property", "x=y", "--description", "other", "own")
    client.do("flavor", "unset", "--property", "a", "--project", "demo", "own")
    shown = client.read("flavor", "show", "own")
    assert (shown["properties"], shown["description"], shown["access_project_ids"]) == ({"x": "y"}, "other", [])
    assert demo.names("flavor", "list", "--all") == {"m1.nano"}
    assert client.names("flavor", "list", "--private") == {"own"}
    assert client.names("flavor", "list", "--all", "--min-ram", "100", "--min-disk", "2") == {"own"}
    assert client.names("flavor", "list", "--all", "--limit", "1") == {"m1.nano"}
    assert client.names("flavor", "list", "--all", "--marker", "1") == {"own"}
    (row,) = client.read("flavor", "list", "--private", "--long")
    assert (row["Swap"], row["RXTX Factor"], row["Properties"]) == (64, 2.0, {"x": "y"})
    client.do("flavor", "set", "--no-property", "own")
    assert client.read("flavor", "show", "own")["properties"] == {}
    assert "not a valid value" in client.refused("flavor", "set", "--property", "hw:cpu_policy=nonsense", "own")
    client.do("flavor", "delete", "own")


def test_keypairs_of_oneself_and_of_others(client: Client) -> None:
    assert "PRIVATE KEY" in client.do("keypair", "create", "mine")
    client.do("keypair", "create", "--user", "demo", "theirs")
    assert client.names("keypair", "list") == {"mine"}
    assert client.names("keypair", "list", "--user", "demo") == {"theirs"}
    assert {"mine", "theirs"} >= client.names("keypair", "list", "--project", "demo") >= {"theirs"}
    assert client.names("keypair", "list", "--marker", "mine") == set()
    assert client.do("keypair", "show", "--public-key", "mine").startswith("ssh-ed25519 ")
    assert client.read("keypair", "show", "--user", "demo", "theirs")["type"] == "ssh"
    client.do("keypair", "delete", "mine")
    client.do("keypair", "delete", "--user", "demo", "theirs")


def test_server_groups_in_pages(client: Client) -> None:
    for number in range(3):
        client.do("server", "group", "create", "--policy", "affinity", f"group-{number}")
    client.do("server", "group", "create", "--policy", "anti-affinity", "--rule", "max_server_per_host=2", "apart")
    everything = {"group-0", "group-1", "group-2", "apart"}
    # The client takes --limit for the length of a page.
    assert client.names("server", "group", "list", "--limit", "2") == everything
    assert client.names("server", "group", "list", "--all-projects", "--long") == everything
    assert client.read("server", "group", "show", "apart")["rules"] == {"max_server_per_host": 2}
    client.do("server", "group", "delete", *everything)


def test_quotas_limits_and_usage(client: Client) -> None:
    default = client.read("quota", "show", "--compute", "demo")
    by_name = {row["Resource"]: row["Limit"] for row in default}
    assert (by_name["instances"], by_name["cores"], by_name["ram"]) == (10, 20, 51_200)
    client.do(
        "quota", "set", "--instances", "5", "--cores", "9", "--ram", "1000", "--key-pairs", "7", "--properties", "8",
        "--server-groups", "3", "--server-group-members", "4", "demo",
    )  # fmt: skip
    (row,) = client.read("quota", "list", "--compute")
    assert (row["Instances"], row["Cores"], row["Ram"]) == (5, 9, 1000)
    absolute = {row["Name"]: row["Value"] for row in client.read("limits", "show", "--absolute", "--project", "demo")}
    assert (absolute["max_total_instances"], absolute["max_server_meta"], absolute["total_cores_used"]) == (5, 8, 0)
    client.do("quota", "delete", "--compute", "demo")
    assert client.read("quota", "list", "--compute") == []
    client.do("quota", "set", "--default", "--cores", "21")
    by_name = {row["Resource"]: row["Limit"] for row in client.read("quota", "show", "--compute", "demo")}
    assert (by_name["cores"], by_name["instances"]) == (21, 10)
    client.do("quota", "set", "--default", "--cores", "20")
    assert client.read("limits", "show", "--rate") == []
    whole = {row["Resource"]: row["Limit"] for row in client.read("quota", "show", "demo")}
    assert (whole["instances"], whole["networks"]) == (10, 100)
    client.do("quota", "set", "--networks", "20", "--instances", "4", "demo")
    whole = {row["Resource"]: row["Limit"] for row in client.read("quota", "show", "demo")}
    assert (whole["instances"], whole["networks"]) == (4, 20)
    in_use = {row["Resource"]: row["In Use"] for row in client.read("quota", "show", "--usage", "admin")}
    assert in_use["instances"] == 0
    client.do("security", "group", "create", "one")
    assert "greater than or equal to already used" in client.refused(
        "quota", "set", "--check-limit", "--secgroups", "0", "admin"
    )
    client.do("quota", "delete", "demo")
    begins = {row["Resource"]: row["Limit"] for row in client.read("quota", "show", "--default")}
    assert (begins["instances"], begins["networks"]) == (10, 100)
    client.do("server", "create", "--image", "tiny", "--flavor", "1", "--nic", "none", "used")
    client.until("used", "ACTIVE")
    (row,) = client.read("usage", "list")
    assert [item["name"] for item in row["Servers"]] == ["used"]
    assert len(client.read("usage", "show")["Servers"]) == 1
    assert client.read("usage", "show", "--project", "demo", "--start", "2020-01-01")["CPU Hours"] == 0
    client.do("server", "delete", "used")


def test_hypervisors_services_and_zones(client: Client) -> None:
    (row,) = client.read("hypervisor", "list", "--long")
    assert (row["Hypervisor Hostname"], row["State"]) == ("host-1", "up")
    assert len(client.read("hypervisor", "list", "--matching", "ost-")) == 1
    assert "No hypervisor matching" in client.refused("hypervisor", "list", "--matching", "other")
    assert client.read("hypervisor", "show", "host-1")["service_host"] == "host-1"
    assert client.read("hypervisor", "stats", "show")["count"] == 1
    binaries = {row["Binary"] for row in client.read("compute", "service", "list", "--host", "host-1")}
    assert binaries == {"nova-compute", "nova-scheduler"}
    compute = ("compute", "service", "list", "--long", "--service", "nova-compute")
    client.do("compute", "service", "set", "--disable", "--disable-reason", "why", "host-1", "nova-compute")
    (row,) = client.read(*compute)
    assert (row["Status"], row["Disabled Reason"], row["State"]) == ("disabled", "why", "up")
    assert client.read("hypervisor", "show", row["ID"])["status"] == "disabled"
    client.do("compute", "service", "set", "--enable", "host-1", "nova-compute")
    client.do("compute", "service", "set", "--down", "host-1", "nova-compute")
    (row,) = client.read(*compute)
    assert (row["Status"], row["State"], row["Forced Down"]) == ("enabled", "down", True)
    client.do("compute", "service", "set", "--up", "host-1", "nova-compute")
    assert client.refused("compute", "service", "delete", "11111111-1111-4111-8111-111111111111")
    zones = client.read("availability", "zone", "list", "--compute", "--long")
    assert {row["Zone Name"]: row["Service Name"] for row in zones} == {
        "nova": "nova-compute",
        "internal": "nova-scheduler",
    }
    assert "os-keypairs" in client.do("extension", "list", "--compute", "-f", "value", "-c", "Alias")


def test_aggregates_make_zones_and_fetch_images(client: Client) -> None:
    client.do("aggregate", "create", "--zone", "east", "--property", "a=b", "racks")
    client.do("aggregate", "add", "host", "racks", "host-1")
    shown = client.read("aggregate", "show", "racks")
    assert (shown["hosts"], shown["availability_zone"], shown["properties"]) == (["host-1"], "east", {"a": "b"})
    client.do("aggregate", "set", "--name", "rows", "--property", "c=d", "--zone", "west", "racks")
    client.do("aggregate", "unset", "--property", "a", "rows")
    (row,) = client.read("aggregate", "list", "--long")
    assert (row["Name"], row["Availability Zone"], row["Properties"]) == ("rows", "west", {"c": "d"})
    assert "west" in {row["Zone Name"] for row in client.read("availability", "zone", "list", "--compute")}
    client.do("aggregate", "cache", "image", "rows", "tiny")
    deadline = time.monotonic() + 60
    while "event=cached" not in (said := client.cloud.log.read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    assert "not empty" in client.refused("aggregate", "delete", "rows")
    client.do("aggregate", "remove", "host", "rows", "host-1")
    client.do("aggregate", "delete", "rows")


def test_hosts_and_agents_are_told_of_as_upstream_does(client: Client) -> None:
    old = replace(client, version="2.1")
    assert {row["Host Name"] for row in old.read("host", "list")} == {"host-1"}
    assert old.read("host", "show", "host-1")[0]["Memory MB"] > 0
    old.do("host", "set", "--disable", "host-1")
    assert client.read("hypervisor", "show", "host-1")["status"] == "disabled"
    old.do("host", "set", "--enable", "host-1")
    assert "no longer available" in client.refused("compute", "agent", "list")


def test_the_oldest_microversion_lists_and_shows(client: Client) -> None:
    old = replace(client, version="2.1")
    made = old.read("server", "create", "--image", "tiny", "--flavor", "1", "aged")
    assert made["flavor"] == "m1.nano (1)"
    old.until("aged", "ACTIVE")
    assert "aged" in old.names("server", "list")
    for verb in ("lock", "unlock", "stop"):
        old.do("server", verb, "aged")
    old.until("aged", "SHUTOFF")
    for words in (["flavor", "list"], ["hypervisor", "list"], ["compute", "service", "list"], ["keypair", "list"]):
        old.read(*words)
    assert old.read("server", "event", "list", "aged")
    old.do("server", "delete", "aged")

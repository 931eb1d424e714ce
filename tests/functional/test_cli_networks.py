"""Networks, subnets, pools, ports and sharing as they are typed: our client and the real ``openstack``, against one cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_cloud import Cloud, cloud
from openstack_shell import Client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("cli")) as made:
        yield made


def test_a_network(running: Cloud) -> None:
    made = running.read("network", "create", "--mtu", "1400", "--dns-domain", "example.org.", "--tag", "red", "one")
    assert (made["MTU"], made["Tags"]) == (1400, ["red"])
    running.do("network", "set", "--description", "d", "--disable", "--tag", "blue", "--disable-port-security", "one")
    shown = running.read("network", "show", "one")
    assert shown["Admin State Up"] is False and shown["Tags"] == ["blue", "red"] and shown["Description"] == "d"
    running.do("network", "unset", "--tag", "red", "one")
    running.do("network", "set", "--name", "first", "--enable", "--enable-port-security", "one")
    assert [item["Name"] for item in running.read("network", "list", "--tags", "blue", "--long")] == ["first"]
    local = running.read("network", "create", "--provider-network-type", "local", "away")
    assert next(value for name, value in local.items() if "etwork type" in name.lower().replace("_", " ")) == "local"
    assert running.run("network", "create", "--provider-network-type", "flat", "wrong").code == 1
    running.do("network", "delete", "away")


def test_a_subnet_and_its_pool(running: Cloud) -> None:
    running.do("network", "create", "home")
    pool = ("subnet", "pool", "create", "--pool-prefix", "10.64.0.0/16", "--default-prefix-length", "24", "pool")
    assert running.read(*pool)["Prefixes"] == ["10.64.0.0/16"]
    made = running.read("subnet", "create", "--network", "home", "--subnet-pool", "pool", "home-v4")
    assert made["CIDR"] == "10.64.0.0/24"
    running.do("subnet", "pool", "set", "--pool-prefix", "10.65.0.0/16", "--tag", "x", "pool")
    assert running.read("subnet", "pool", "show", "pool")["Prefixes"] == ["10.64.0.0/15"]
    running.do("subnet", "pool", "unset", "--all-tag", "pool")
    assert [item["Name"] for item in running.read("subnet", "pool", "list")] == ["pool"]
    route = "destination=192.168.0.0/24,gateway=10.64.0.9"
    pool = ("--no-allocation-pool", "--allocation-pool", "start=10.64.0.9,end=10.64.0.99", "--gateway", "10.64.0.254")
    running.do("subnet", "set", "--dns-nameserver", "9.9.9.9", "--host-route", route, *pool, "home-v4")
    shown = running.read("subnet", "show", "home-v4")
    assert shown["Gateway IP"] == "10.64.0.254"
    assert shown["DNS Nameservers"] == ["9.9.9.9"] and shown["Host Routes"][0]["nexthop"] == "10.64.0.9"
    running.do("subnet", "set", "--service-type", "network:floatingip", "--service-type", "compute:nova", "home-v4")
    assert running.read("subnet", "show", "home-v4")["Service Types"] == ["network:floatingip", "compute:nova"]
    running.do("subnet", "unset", "--service-type", "network:floatingip", "--service-type", "compute:nova", "home-v4")
    running.do("subnet", "unset", "--dns-nameserver", "9.9.9.9", "--host-route", route, "--gateway", "home-v4")
    shown = running.read("subnet", "show", "home-v4")
    assert (shown["DNS Nameservers"], shown["Host Routes"]) == ([], [])
    six = ("--ipv6-address-mode", "slaac", "--ipv6-ra-mode", "slaac")
    running.do("subnet", "create", "--network", "home", "--subnet-range", "fd00::/64", *six, "home-v6")
    assert running.run("subnet", "pool", "delete", "pool").code == 1
    running.do("subnet", "delete", "home-v4", "home-v6")
    running.do("subnet", "pool", "delete", "pool")


def test_a_port(running: Cloud) -> None:
    running.do("network", "create", "lan")
    running.do("subnet", "create", "--network", "lan", "--subnet-range", "10.7.0.0/24", "lan-v4")
    running.do("security", "group", "create", "web")
    address = ("--fixed-ip", "subnet=lan-v4,ip-address=10.7.0.9")
    made = running.read("port", "create", "--network", "lan", *address, "--security-group", "web", "--tag", "t", "door")
    assert made["Fixed IPs"] == ["10.7.0.9"] and made["Tags"] == ["t"]
    running.do(
        "port", "set", "--fixed-ip", "ip-address=10.7.0.10", "--allowed-address", "ip-address=10.7.0.100", "door"
    )
    running.do("port", "set", "--extra-dhcp-option", "name=bootfile-name,value=x", "--dns-name", "door", "door")
    shown = running.read("port", "show", "door")
    assert sorted(shown["Fixed IPs"]) == ["10.7.0.10", "10.7.0.9"] and len(shown["Allowed Address Pairs"]) == 1
    listed = running.read("port", "list", "--fixed-ip", "ip-address=10.7.0.10")
    assert [item["Name"] for item in listed] == ["door"]
    running.do(
        "port", "unset", "--fixed-ip", "10.7.0.9", "--allowed-address", "10.7.0.100", "--security-group", "web", "door"
    )
    running.do("port", "set", "--disable-port-security", "door")
    assert running.read("port", "show", "door")["Security Groups"] == []
    running.do("port", "delete", "door")


def test_what_is_lent_and_limited(running: Cloud) -> None:
    running.do("network", "create", "lent")
    lent = running.read("network", "rbac", "create", "--type", "network", "--target-project", "demo", "lent")
    assert lent["Action"] == "access_as_shared"
    running.do("network", "rbac", "set", "--target-project", "*", lent["ID"])
    assert running.read("network", "rbac", "show", lent["ID"])["Target Tenant"] == "*"
    assert running.read("network", "show", "lent")["Shared"] is True
    running.do("network", "rbac", "delete", lent["ID"])
    running.do("network", "quota", "set", "--ports", "7", "demo")
    limits = {item["Resource"]: item["Limit"] for item in running.read("network", "quota", "show", "demo")}
    assert limits["port"] == 7
    running.do("network", "quota", "delete", "demo")
    assert running.read("network", "agent", "list")[0]["Alive"] is True
    assert "lent" in [item["Network Name"] for item in running.read("ip", "availability", "list")]
    assert running.run("network", "auto", "allocated", "topology", "create", "--check-resources").code == 1


def test_the_real_client_makes_networks(running: Cloud) -> None:
    client = Client(running)
    made = client.read("network", "create", "--mtu", "1400", "--tag", "red", "theirs")
    assert made["name"] == "theirs" and made["mtu"] == 1400 and made["tags"] == ["red"]
    client.do("network", "set", "--description", "d", "--disable-port-security", "--tag", "blue", "theirs")
    shown = client.read("network", "show", "theirs")
    assert (
        shown["description"] == "d"
        and shown["port_security_enabled"] is False
        and sorted(shown["tags"]) == ["blue", "red"]
    )
    client.do("network", "unset", "--tag", "red", "theirs")
    assert "theirs" in [item["Name"] for item in client.read("network", "list", "--tags", "blue", "--long")]
    pool = client.read(
        "subnet", "pool", "create", "--pool-prefix", "10.80.0.0/16", "--default-prefix-length", "24", "tp"
    )
    client.do("subnet", "pool", "set", "--pool-prefix", "10.81.0.0/16", "tp")
    four = client.read("subnet", "create", "--network", "theirs", "--subnet-pool", "tp", "theirs-v4")
    assert four["cidr"] == "10.80.0.0/24" and four["subnetpool_id"] == pool["id"]
    six = ("--ip-version", "6", "--ipv6-address-mode", "slaac", "--ipv6-ra-mode", "slaac")
    client.do("subnet", "create", "--network", "theirs", "--subnet-range", "fd01::/64", *six, "theirs-v6")
    client.do(
        "subnet",
        "set",
        "--dns-nameserver",
        "9.9.9.9",
        "--allocation-pool",
        "start=10.80.0.10,end=10.80.0.20",
        "--no-allocation-pool",
        "theirs-v4",
    )
    client.do("subnet", "unset", "--dns-nameserver", "9.9.9.9", "theirs-v4")
    assert {item["Name"] for item in client.read("subnet", "list", "--network", "theirs")} == {"theirs-v4", "theirs-v6"}


def test_the_real_client_makes_ports(running: Cloud) -> None:
    client = Client(running)
    client.do("network", "create", "wire")
    client.do("subnet", "create", "--network", "wire", "--subnet-range", "10.82.0.0/24", "wire-v4")
    address = ("--fixed-ip", "subnet=wire-v4,ip-address=10.82.0.9")
    made = client.read("port", "create", "--network", "wire", *address, "--tag", "t", "plug")
    assert made["fixed_ips"][0]["ip_address"] == "10.82.0.9" and made["status"] == "DOWN"
    client.do("port", "set", "--allowed-address", "ip-address=10.82.0.100", "--dns-name", "plug", "plug")
    client.do("port", "set", "--extra-dhcp-option", "name=bootfile-name,value=x", "--description", "d", "plug")
    client.do("port", "set", "--no-fixed-ip", "--fixed-ip", "ip-address=10.82.0.10", "plug")
    shown = client.read("port", "show", "plug")
    assert shown["fixed_ips"][0]["ip_address"] == "10.82.0.10" and shown["dns_name"] == "plug"
    assert [item["Name"] for item in client.read("port", "list", "--fixed-ip", "ip-address=10.82.0.10")] == ["plug"]
    pair = f"ip-address=10.82.0.100,mac-address={made['mac_address']}"
    client.do("port", "unset", "--allowed-address", pair, "plug")
    client.do("port", "set", "--no-security-group", "--disable-port-security", "plug")
    client.do("port", "delete", "plug")
    client.do("network", "delete", "wire")


def test_the_real_client_lends_and_looks(running: Cloud) -> None:
    client = Client(running)
    client.do("network", "create", "shown")
    lent = client.read(
        "network",
        "rbac",
        "create",
        "--type",
        "network",
        "--action",
        "access_as_shared",
        "--target-project",
        "demo",
        "shown",
    )
    assert lent["id"] in [item["ID"] for item in client.read("network", "rbac", "list")]
    client.do("network", "rbac", "set", "--target-project", "admin", lent["id"])
    assert client.read("network", "rbac", "show", lent["id"])["action"] == "access_as_shared"
    client.do("network", "rbac", "delete", lent["id"])
    (agent,) = client.read("network", "agent", "list")
    assert client.read("network", "agent", "show", agent["ID"])["host"] == agent["Host"]
    assert "shown" in [item["Network Name"] for item in client.read("ip", "availability", "list")]
    assert client.read("ip", "availability", "show", "shown")["total_ips"] == 0
    zones = client.read("availability", "zone", "list", "--network")
    assert {item["Zone Name"] for item in zones} == {"nova"}
    assert "quotas" in [item["Alias"] for item in client.read("extension", "list", "--network")]
    client.do("quota", "set", "--ports", "77", "demo")
    assert client.read("network", "show", "shown")["shared"] is False

"""Routers, floating IPs, security groups and QoS as they are typed: our client and the real ``openstack``, against one cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_cloud import Cloud, cloud
from openstack_shell import Client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("cli")) as made:
        made.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        made.do("network", "create", "--external", "public")
        made.do("subnet", "create", "--network", "public", "--cidr", "203.0.113.0/24", "--no-dhcp", "public-v4")
        made.do("network", "create", "private")
        made.do("subnet", "create", "--network", "private", "--cidr", "10.9.0.0/24", "private-v4")
        made.do("router", "create", "--external-gateway", "public", "edge")
        made.do("router", "add", "subnet", "edge", "private-v4")
        made.do("server", "create", "--image", "tiny", "--flavor", "1", "--network", "private", "--wait", "guest")
        yield made


def test_a_router(running: Cloud) -> None:
    shown = running.read("router", "show", "edge")
    assert shown["External Gateway Info"]["enable_snat"] is True
    assert [leg["ip_address"] for leg in shown["Interfaces Info"]] == ["10.9.0.1"]
    running.do("router", "create", "--disable", "--description", "d", "spare")
    assert {item["Name"]: item["State"] for item in running.read("router", "list")} == {"edge": "UP", "spare": "DOWN"}
    running.do("router", "set", "--enable", "--external-gateway", "public", "--disable-snat", "spare")
    assert running.read("router", "show", "spare")["External Gateway Info"]["enable_snat"] is False
    running.do("router", "add", "route", "edge", "--route", "destination=192.168.0.0/24,gateway=10.9.0.9")
    running.do("router", "set", "--route", "destination=192.168.1.0/24,gateway=10.9.0.9", "edge")
    routes = running.read("router", "show", "edge")["Routes"]
    assert [route["destination"] for route in routes] == ["192.168.0.0/24", "192.168.1.0/24"]
    running.do("router", "remove", "route", "edge", "--route", "destination=192.168.0.0/24,gateway=10.9.0.9")
    running.do("router", "set", "--no-route", "edge")
    running.do("router", "unset", "--external-gateway", "spare")
    running.do("port", "list")
    refused = running.run("router", "remove", "subnet", "spare", "private-v4")
    assert refused.code == 1 and "has no interface" in refused.err
    running.do("router", "delete", "spare")


def test_a_floating_ip(running: Cloud) -> None:
    made = running.read("floating", "ip", "create", "public")
    address = made["Floating IP Address"]
    assert address.startswith("203.0.113.") and made["Status"] == "DOWN"
    running.do("server", "add", "floating", "ip", "guest", address)
    assert address in running.read("server", "show", "guest")["Networks"]["private"]
    assert [item["ID"] for item in running.read("floating", "ip", "list", "--status", "ACTIVE")] == [made["ID"]]
    running.do("server", "remove", "floating", "ip", "guest", address)
    wrong = running.run("server", "remove", "floating", "ip", "guest", address)
    assert wrong.code == 1 and "does not lead" in wrong.err
    (port,) = running.read("port", "list", "--server", "guest")
    running.do("floating", "ip", "set", "--port", port["ID"], address)
    assert running.read("floating", "ip", "show", address)["Port ID"] == port["ID"]
    running.do("floating", "ip", "unset", "--port", address)
    running.do("floating", "ip", "delete", address)


def test_security_groups_and_their_rules(running: Cloud) -> None:
    running.do("security", "group", "create", "--description", "d", "web")
    rule = running.read("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80:81", "web")
    assert (rule["Port Range Min"], rule["Port Range Max"], rule["Direction"]) == (80, 81, "ingress")
    running.do("security", "group", "rule", "create", "--protocol", "icmp", "--icmp-type", "8", "web")
    running.do("security", "group", "rule", "create", "--remote-group", "web", "--egress", "--protocol", "udp", "web")
    six = running.read("security", "group", "rule", "create", "--remote-ip", "fd00::/8", "web")
    assert six["Ethertype"] == "IPv6"
    listed = running.read("security", "group", "rule", "list", "--ingress", "web")
    assert {item["Port Range"] for item in listed} == {"80:81", "type=8", ""}
    running.do("address", "group", "create", "--address", "192.0.2.0/24", "office")
    running.do("address", "group", "set", "--address", "198.51.100.1", "office")
    assert running.read("address", "group", "show", "office")["Addresses"] == ["192.0.2.0/24", "198.51.100.1/32"]
    running.do("security", "group", "rule", "create", "--remote-address-group", "office", "--protocol", "tcp", "web")
    server = ("server", "create", "--image", "tiny", "--flavor", "1", "--network", "private", "--security-group", "web")
    running.do(*server, "--wait", "inside")
    shown = running.read("server", "show", "inside", "-c", "security_groups")
    assert "web" in str(shown)
    running.do("server", "delete", "--wait", "inside")
    running.do("server", "add", "security", "group", "guest", "web")
    busy = running.run("security", "group", "delete", "web")
    assert busy.code == 1 and "in use" in busy.err
    running.do("server", "remove", "security", "group", "guest", "web")
    running.do("security", "group", "rule", "delete", rule["ID"])
    running.do("security", "group", "set", "--name", "http", "--stateless", "web")
    assert running.read("security", "group", "show", "http")["Stateful"] is False
    running.do("security", "group", "delete", "http")
    running.do("address", "group", "delete", "office")
    assert [item["Name"] for item in running.read("security", "group", "list", "--project", "nobody")] == ["default"]


def test_quality_of_service(running: Cloud) -> None:
    running.do("network", "qos", "policy", "create", "--share", "slow")
    rule = running.read("network", "qos", "rule", "create", "--type", "bandwidth-limit", "--max-kbps", "1000", "slow")
    running.do("network", "qos", "rule", "set", "--max-kbps", "2000", "slow", rule["ID"])
    assert running.read("network", "qos", "rule", "list", "slow")[0]["Max Kbps"] == 2000
    assert running.read("network", "qos", "rule", "type", "list") == [{"Type": "bandwidth_limit"}]
    running.do("network", "qos", "rule", "delete", "slow", rule["ID"])
    running.do("network", "qos", "policy", "delete", "slow")


def test_the_real_client_on_routers_and_floating_ips(running: Cloud) -> None:
    client = Client(running)
    made = client.read("router", "create", "--external-gateway", "public", "theirs")
    assert made["name"] == "theirs" and made["external_gateway_info"]["enable_snat"] is True
    client.read("network", "create", "inner")
    client.read("subnet", "create", "--network", "inner", "--subnet-range", "10.8.0.0/24", "inner-v4")
    client.do("router", "add", "subnet", "theirs", "inner-v4")
    client.do("router", "set", "--route", "destination=192.168.0.0/24,gateway=10.8.0.9", "theirs")
    shown = client.read("router", "show", "theirs")
    assert shown["routes"] == [{"destination": "192.168.0.0/24", "nexthop": "10.8.0.9"}]
    assert [leg["ip_address"] for leg in shown["interfaces_info"]] == ["10.8.0.1"]
    port = client.read("port", "create", "--network", "inner", "inner-port")
    floating = client.read("floating", "ip", "create", "--port", port["id"], "public")
    assert floating["status"] == "ACTIVE" and floating["router_id"] == made["id"]
    client.do("floating", "ip", "unset", "--port", floating["floating_ip_address"])
    listed = client.read("floating", "ip", "list")
    assert floating["id"] in [item["ID"] for item in listed]
    client.do("server", "add", "floating", "ip", "guest", floating["floating_ip_address"])
    client.do("server", "remove", "floating", "ip", "guest", floating["floating_ip_address"])
    client.do("floating", "ip", "delete", floating["id"])
    client.do("router", "unset", "--route", "destination=192.168.0.0/24,gateway=10.8.0.9", "theirs")
    client.do("router", "remove", "subnet", "theirs", "inner-v4")
    client.do("router", "unset", "--external-gateway", "theirs")
    client.do("router", "delete", "theirs")


def test_the_real_client_on_groups_and_policies(running: Cloud) -> None:
    client = Client(running)
    made = client.read("security", "group", "create", "--tag", "red", "theirs")
    assert made["name"] == "theirs" and made["tags"] == ["red"]
    rule = client.read("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", made["id"])
    assert rule["port_range_min"] == 22 and rule["remote_ip_prefix"] == "0.0.0.0/0"
    listed = client.read("security", "group", "rule", "list", "theirs")
    assert rule["id"] in [item["ID"] for item in listed]
    client.do("server", "add", "security", "group", "guest", "theirs")
    client.do("server", "remove", "security", "group", "guest", "theirs")
    client.do("security", "group", "rule", "delete", rule["id"])
    client.do("security", "group", "delete", "theirs")
    group = client.read("address", "group", "create", "--address", "192.0.2.0/24", "theirs")
    client.do("address", "group", "set", "--address", "198.51.100.0/24", "theirs")
    client.do("address", "group", "unset", "--address", "192.0.2.0/24", "theirs")
    assert client.read("address", "group", "show", "theirs")["addresses"] == ["198.51.100.0/24"]
    client.do("address", "group", "delete", group["id"])
    policy = client.read("network", "qos", "policy", "create", "theirs")
    limit = client.read("network", "qos", "rule", "create", "--type", "bandwidth-limit", "--max-kbps", "500", "theirs")
    client.do("network", "qos", "rule", "set", "--max-kbps", "700", "theirs", limit["id"])
    assert client.read("network", "qos", "rule", "show", "theirs", limit["id"])["max_kbps"] == 700
    assert client.read("network", "qos", "rule", "type", "list") == [{"Type": "bandwidth_limit"}]
    assert client.read("network", "qos", "policy", "show", "theirs")["id"] == policy["id"]
    client.do("network", "qos", "rule", "delete", "theirs", limit["id"])
    client.do("network", "qos", "policy", "delete", "theirs")


def test_the_tree_of_networks(running: Cloud) -> None:
    drawn = running.do("network", "topology").splitlines()
    assert drawn[0].startswith("network public  203.0.113.0/24")
    assert any("router edge" in line for line in drawn)
    (private,) = (line for line in drawn if "network private" in line)
    assert "10.9.0.0/24" in private and "by 10.9.0.1" in private
    (guest,) = (line for line in drawn if "server guest" in line)
    assert drawn.index(guest) > drawn.index(private) and "ACTIVE" in guest


def test_the_way_of_a_packet(running: Cloud) -> None:
    (port,) = running.read("port", "list", "--server", "guest")
    own = port["Fixed IPs"] if isinstance(port["Fixed IPs"], str) else port["Fixed IPs"][0]
    hops = running.read("network", "trace", "guest", "9.9.9.9", "--port", "443")
    assert [hop["Step"] for hop in hops] == list(range(1, len(hops) + 1))
    assert hops[0]["What"] == f"tcp/443 {own} → 9.9.9.9, by 10.9.0.1"
    assert any("of group" in hop["What"] and "lets it pass" in hop["What"] for hop in hops)
    assert hops[-1]["Verdict"] == "leaves"
    table = running.do("network", "trace", "guest", "9.9.9.9", "--port", "443")
    assert "bridge of network private" in table and "of group default" in table and "router edge" in table
    assert "Host" in table
    dropped = running.read("network", "trace", "guest", "10.9.0.77")
    assert dropped[-1]["Verdict"] == "DROPPED" and "nobody" in dropped[-1]["What"]
    metadata = running.read("network", "trace", "guest", "169.254.169.254", "--port", "80")
    assert metadata[-1]["Verdict"] == "arrives"
    wrong = running.run("network", "trace", "guest", "nowhere")
    assert wrong.code == 1 and "address" in wrong.err

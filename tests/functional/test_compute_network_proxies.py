"""Security groups and floating IPs as the Compute API shows them, and servers' groups and floating IPs."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, READER
from network_cloud import ask as ask_network
from network_cloud import bind, join, make, make_external, make_subnet

from nova_lite.db.types import new_id

MISSING = new_id()


WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


@pytest.fixture
def cloud(door):
    """An external network, a router, and a network of demo's behind it."""
    external, _ = make_external(door)
    router = make(door, "router", external_gateway_info={"network_id": external["id"]})
    network = make(door, "network", name="inside")
    subnet = make_subnet(door, network["id"], "10.0.0.0/24")
    assert join(door, router["id"], subnet_id=subnet["id"]).status_int == 200
    return {"external": external["id"], "network": network["id"], "router": router["id"]}


def ask(door, method, path, body=None, token=DEMO, version="2.1"):
    headers = {"OpenStack_API_Version": f"compute {version}"}
    return door.ask(method, f"/compute/v2.1{path}", body, token=token, **headers)


def boot(door, network_id, **members):
    server = {"name": "s", "flavorRef": "1", "imageRef": IMAGE, "networks": [{"uuid": network_id}], **members}
    reply = ask(door, "POST", "/servers", {"server": server})
    assert reply.status_int == 202, reply.text
    return reply.json["server"]["id"]


def act(door, server_id, action, argument, token=DEMO, version="2.1"):
    return ask(door, "POST", f"/servers/{server_id}/action", {action: argument}, token, version)


def group(door, name="web", token=DEMO):
    reply = ask(door, "POST", "/os-security-groups", {"security_group": {"name": name, "description": "d"}}, token)
    assert reply.status_int == 200, reply.text
    return reply.json["security_group"]


def rule(door, parent, **members):
    body = {"parent_group_id": parent, "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **members}
    return ask(door, "POST", "/os-security-group-rules", {"security_group_rule": body})


def test_a_group_as_nova_shows_it(door):
    made = group(door, name=" a b ")
    assert made == {"id": made["id"], "name": " a b ", "description": "d", "tenant_id": "demo", "rules": []}
    path = f"/os-security-groups/{made['id']}"
    assert ask(door, "GET", path).json == {"security_group": made}
    names = [item["name"] for item in ask(door, "GET", "/os-security-groups").json["security_groups"]]
    assert names == [" a b ", "default"]
    assert len(ask(door, "GET", "/os-security-groups?limit=1&offset=1").json["security_groups"]) == 1
    body = {"security_group": {"name": "new", "description": "e"}}
    assert ask(door, "PUT", path, body).json["security_group"]["name"] == "new"
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    assert ask(door, "DELETE", path, token=READER).status_int == 403
    group(door, "theirs", OTHER)
    everybody = ask(door, "GET", "/os-security-groups?all_tenants=1", token=ADMIN).json["security_groups"]
    assert {"new", "theirs"} <= {item["name"] for item in everybody}
    mine = ask(door, "GET", "/os-security-groups?all_tenants=1").json["security_groups"]
    assert "theirs" not in {item["name"] for item in mine}
    assert ask(door, "GET", path, version="2.36").status_int == 404
    assert ask(door, "DELETE", path).status_int == 202
    assert ask(door, "DELETE", path).status_int == 404
    (default,) = ask(door, "GET", "/os-security-groups").json["security_groups"]
    assert ask(door, "DELETE", f"/os-security-groups/{default['id']}").status_int == 400
    assert [item["group"] for item in default["rules"]] == [{"name": "default", "tenant_id": "demo"}] * 2


def test_rules_as_nova_shows_them(door):
    made, other = group(door), group(door, "db")
    added = rule(door, made["id"])
    assert added.status_int == 200, added.text
    shown = added.json["security_group_rule"]
    assert shown == {
        "id": shown["id"],
        "parent_group_id": made["id"],
        "ip_protocol": "tcp",
        "from_port": 22,
        "to_port": 22,
        "group": {},
        "ip_range": {"cidr": "0.0.0.0/0"},
    }
    ranged = rule(door, made["id"], cidr="10.2.3.124/24").json["security_group_rule"]
    assert ranged["ip_range"] == {"cidr": "10.2.3.124/24"}
    named = rule(door, made["id"], group_id=other["id"]).json["security_group_rule"]
    assert named["group"] == {"name": "db", "tenant_id": "demo"} and named["ip_range"] == {}
    ping = rule(door, made["id"], ip_protocol="icmp", from_port=-1, to_port=-1).json["security_group_rule"]
    assert (ping["from_port"], ping["to_port"]) == (-1, -1)
    assert rule(door, made["id"]).status_int == 400
    for members in (
        {"from_port": 22, "to_port": 21},
        {"from_port": 70_000},
        {"to_port": 70_000},
        {"ip_protocol": "999-x"},
        {"ip_protocol": None},
        {"parent_group_id": "no-uuid"},
        {"cidr": "nonsense"},
    ):
        asked = {"parent_group_id": made["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **members}
        assert ask(door, "POST", "/os-security-group-rules", {"security_group_rule": asked}).status_int == 400, members
    assert rule(door, MISSING).status_int == 404
    whole = ask(door, "GET", f"/os-security-groups/{made['id']}").json["security_group"]["rules"]
    assert len(whole) == 4
    # A group that goes takes the rules that name it.
    assert ask(door, "DELETE", f"/os-security-groups/{other['id']}").status_int == 202
    assert len(ask(door, "GET", f"/os-security-groups/{made['id']}").json["security_group"]["rules"]) == 3
    path = f"/os-security-group-rules/{shown['id']}"
    assert ask(door, "DELETE", path, token=OTHER).status_int == 404
    assert ask(door, "DELETE", path).status_int == 202
    assert ask(door, "DELETE", path).status_int == 404


def test_a_servers_groups(door, cloud):
    server_id = boot(door, cloud["network"])
    made = group(door)
    (port,) = ask_network(door, "GET", f"/ports?device_id={server_id}").json["ports"]
    bind(door, port["id"], "h5")
    door.wakes.seen.clear()
    assert act(door, server_id, "addSecurityGroup", {"name": "web"}).status_int == 202
    assert act(door, server_id, "addSecurityGroup", {"name": made["id"]}).status_int == 202
    assert ("agent", "h5") in door.wakes.seen
    listed = ask(door, "GET", f"/servers/{server_id}/os-security-groups").json["security_groups"]
    assert "web" in [item["name"] for item in listed]
    shown = ask(door, "GET", f"/servers/{server_id}").json["server"]["security_groups"]
    assert {"name": "web"} in shown
    detail = ask(door, "GET", "/servers/detail").json["servers"][0]["security_groups"]
    assert detail == shown
    assert ask(door, "DELETE", f"/os-security-groups/{made['id']}").status_int == 400
    assert act(door, server_id, "removeSecurityGroup", {"name": "web"}).status_int == 202
    assert act(door, server_id, "removeSecurityGroup", {"name": "web"}).status_int == 404
    assert act(door, server_id, "addSecurityGroup", {"name": "missing"}).status_int == 404
    assert act(door, server_id, "addSecurityGroup", {}).status_int == 400
    assert act(door, server_id, "addSecurityGroup", {"name": "web"}, READER).status_int == 403
    assert act(door, server_id, "addSecurityGroup", {"name": "web"}, OTHER).status_int == 404
    group(door)
    assert act(door, server_id, "addSecurityGroup", {"name": "web"}).status_int == 409


def test_floating_ips_as_nova_shows_them(door, cloud):
    assert ask(door, "GET", "/os-floating-ip-pools").json == {"floating_ip_pools": [{"name": "public"}]}
    made = ask(door, "POST", "/os-floating-ips", {"pool": "public"}).json["floating_ip"]
    assert made["pool"] == "public" and made["instance_id"] is None and made["fixed_ip"] is None
    assert ask(door, "GET", f"/os-floating-ips/{made['id']}").json == {"floating_ip": made}
    for body in ({"pool": cloud["external"]}, {}, {"pool": None}):
        assert ask(door, "POST", "/os-floating-ips", body).status_int == 200
    assert len(ask(door, "GET", "/os-floating-ips").json["floating_ips"]) == 4
    assert ask(door, "GET", "/os-floating-ips", token=OTHER).json == {"floating_ips": []}
    assert ask(door, "POST", "/os-floating-ips", {"pool": "nowhere"}).status_int == 404
    assert ask(door, "GET", f"/os-floating-ips/{MISSING}").status_int == 404
    assert ask(door, "DELETE", f"/os-floating-ips/{made['id']}", token=OTHER).status_int == 404
    assert ask(door, "DELETE", f"/os-floating-ips/{made['id']}").status_int == 202
    assert ask(door, "DELETE", f"/os-floating-ips/{made['id']}").status_int == 404
    assert ask(door, "GET", "/os-floating-ips", version="2.36").status_int == 404


def test_a_floating_ip_of_a_server(door, cloud):
    one, two = boot(door, cloud["network"]), boot(door, cloud["network"])
    first, second = (ask(door, "POST", "/os-floating-ips", {}).json["floating_ip"] for _ in range(2))
    assert act(door, one, "addFloatingIp", {"address": first["ip"]}).status_int == 202
    seen = ask(door, "GET", f"/os-floating-ips/{first['id']}").json["floating_ip"]
    assert seen["instance_id"] == one and seen["fixed_ip"].startswith("10.0.0.")
    shown = ask(door, "GET", f"/servers/{one}").json["server"]["addresses"]["inside"]
    assert [(item["OS-EXT-IPS:type"], item["addr"]) for item in shown] == [
        ("fixed", seen["fixed_ip"]),
        ("floating", first["ip"]),
    ]
    assert len(ask(door, "GET", f"/servers/{one}/ips").json["addresses"]["inside"]) == 2
    # The address has one already; and a floating IP that leads somewhere can be led elsewhere.
    assert act(door, one, "addFloatingIp", {"address": second["ip"]}).status_int == 400
    assert act(door, two, "addFloatingIp", {"address": first["ip"]}).status_int == 202
    assert act(door, one, "removeFloatingIp", {"address": first["ip"]}).status_int == 409
    assert act(door, two, "removeFloatingIp", {"address": first["ip"]}).status_int == 202
    fixed = {"address": first["ip"], "fixed_address": seen["fixed_ip"]}
    assert act(door, one, "addFloatingIp", fixed).status_int == 202
    assert act(door, two, "addFloatingIp", fixed).status_int == 400
    for address, status in (("0.0.0.0", 404), ("", 400)):
        assert act(door, one, "addFloatingIp", {"address": address}).status_int == status
        assert act(door, one, "removeFloatingIp", {"address": address}).status_int == status
    assert act(door, one, "addFloatingIp", {"address": first["ip"]}, version="2.44").status_int == 404
    lonely = make(door, "network", name="lonely")
    make_subnet(door, lonely["id"], "10.1.0.0/24")
    assert act(door, boot(door, lonely["id"]), "addFloatingIp", {"address": second["ip"]}).status_int == 400


def test_a_new_servers_ports_are_in_the_groups_that_are_named(door, cloud):
    def names(server_id):
        shown = ask(door, "GET", f"/servers/{server_id}").json["server"]["security_groups"]
        return sorted(item["name"] for item in shown)

    web, stateless = group(door), group(door, "raw")
    path = f"/security-groups/{stateless['id']}"
    assert ask_network(door, "PUT", path, {"security_group": {"stateful": False}}).status_int == 200
    assert names(boot(door, cloud["network"])) == ["default"]
    assert names(boot(door, cloud["network"], security_groups=[{"name": "default"}])) == ["default"]
    both = boot(door, cloud["network"], security_groups=[{"name": web["id"]}, {"name": "default"}])
    assert names(both) == ["default", "web"]
    server = {"name": "s", "flavorRef": "1", "imageRef": IMAGE, "networks": [{"uuid": cloud["network"]}]}
    for named, status in ((["missing"], 400), (["web", "raw"], 409)):
        asked = {**server, "security_groups": [{"name": name} for name in named]}
        assert ask(door, "POST", "/servers", {"server": asked}).status_int == status, named
    group(door)
    asked = {**server, "security_groups": [{"name": "web"}]}
    assert ask(door, "POST", "/servers", {"server": asked}).status_int == 409
    assert act(door, both, "addSecurityGroup", {"name": "raw"}).status_int == 409
    # A port that its user brought keeps its own groups.
    port = make(door, "port", network_id=cloud["network"], security_groups=[stateless["id"]])
    brought = {**server, "networks": [{"port": port["id"]}], "security_groups": [{"name": web["id"]}]}
    made = ask(door, "POST", "/servers", {"server": brought}).json["server"]["id"]
    assert names(made) == ["raw"]


def _fixed(door, server_id):
    shown = ask(door, "GET", f"/servers/{server_id}/os-interface").json["interfaceAttachments"]
    return [fixed["ip_address"] for each in shown for fixed in each["fixed_ips"]]


def test_one_more_address_and_one_less(door, cloud):
    server_id = boot(door, cloud["network"])
    (first,) = _fixed(door, server_id)
    assert act(door, server_id, "addFixedIp", {"networkId": cloud["network"]}).status_int == 202
    both = _fixed(door, server_id)
    assert len(both) == 2 and first in both
    (second,) = set(both) - {first}
    assert act(door, server_id, "removeFixedIp", {"address": second}).status_int == 202
    assert _fixed(door, server_id) == [first]
    assert act(door, server_id, "removeFixedIp", {"address": second}).status_int == 400
    assert act(door, server_id, "addFixedIp", {"networkId": MISSING}).status_int == 404
    assert act(door, server_id, "addFixedIp", {"networkId": cloud["external"]}).status_int == 404
    assert act(door, server_id, "addFixedIp", {"networkId": cloud["network"]}, OTHER).status_int == 404
    assert act(door, server_id, "removeFixedIp", {"address": "no"}).status_int == 400
    later = act(door, server_id, "addFixedIp", {"networkId": cloud["network"]}, version="2.44")
    assert later.status_int == 404

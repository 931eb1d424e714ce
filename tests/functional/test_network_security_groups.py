"""Security groups, their rules and address groups over the Network API."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER

from nova_lite.db.models import Port, PortSecurityGroup, RbacPolicy
from nova_lite.db.types import new_id
from nova_lite.network import networks
from nova_lite.network.networks import NewNetwork

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def ask(door, method, path, body=None, token=DEMO, **headers):
    return door.ask(method, f"/network/v2.0{path}", body, token=token, **headers)


def group(door, token=DEMO, **members):
    reply = ask(door, "POST", "/security-groups", {"security_group": {"name": "web", **members}}, token)
    assert reply.status_int == 201, reply.text
    return reply.json["security_group"]


def add_rule(door, group_id, token=DEMO, **members):
    rule = {"security_group_id": group_id, "direction": "ingress", **members}
    return ask(door, "POST", "/security-group-rules", {"security_group_rule": rule}, token)


def member(door, group_id, host="h1", project="demo"):
    """Put a port on *host* into a group."""
    network_id = networks.create(door.store, NewNetwork(project)).network.id
    port_id = new_id()

    def work(session):
        session.add(
            Port(id=port_id, network_id=network_id, project_id=project, mac_address="fa:16:3e:00:00:01", host=host)
        )
        session.flush()
        session.add(PortSecurityGroup(port_id=port_id, group_id=group_id))

    door.store.transact(work)
    return port_id


def kind(reply):
    return reply.json["NeutronError"]["type"]


def lend(door, object_type, object_id, target="other"):
    row = {"object_type": object_type, "object_id": object_id, "action": "access_as_shared", "target_project": target}
    door.store.transact(lambda session: session.add(RbacPolicy(id=new_id(), project_id="demo", **row)))


def test_every_project_has_its_default_group(door):
    (default,) = ask(door, "GET", "/security-groups").json["security_groups"]
    assert default["name"] == "default" and default["project_id"] == "demo" and default["stateful"]
    rules = default["security_group_rules"]
    assert sorted((rule["direction"], rule["ethertype"]) for rule in rules) == [
        ("egress", "IPv4"),
        ("egress", "IPv6"),
        ("ingress", "IPv4"),
        ("ingress", "IPv6"),
    ]
    assert {rule["remote_group_id"] for rule in rules if rule["direction"] == "ingress"} == {default["id"]}
    assert all(rule["belongs_to_default_sg"] for rule in rules)
    assert ask(door, "GET", "/security-groups").json["security_groups"][0]["id"] == default["id"]
    (other,) = ask(door, "GET", "/security-groups", token=OTHER).json["security_groups"]
    assert other["id"] != default["id"]
    seen = ask(door, "GET", "/security-groups?tenant_id=third&name=default", token=ADMIN).json["security_groups"]
    assert [item["project_id"] for item in seen] == ["third"]


def test_a_default_group_stays_what_it_is(door):
    (default,) = ask(door, "GET", "/security-groups").json["security_groups"]
    path = f"/security-groups/{default['id']}"
    gone = ask(door, "DELETE", path)
    assert gone.status_int == 409 and kind(gone) == "SecurityGroupCannotRemoveDefault"
    renamed = ask(door, "PUT", path, {"security_group": {"name": "mine"}})
    assert renamed.status_int == 409 and kind(renamed) == "SecurityGroupCannotUpdateDefault"
    described = ask(door, "PUT", path, {"security_group": {"description": "d"}}).json["security_group"]
    assert described["description"] == "d" and described["revision_number"] == default["revision_number"] + 1
    for name in ("default", "Default"):
        second = ask(door, "POST", "/security-groups", {"security_group": {"name": name}})
        assert second.status_int == 409 and kind(second) == "SecurityGroupDefaultAlreadyExists"
    # An admin may: the project gets a new one when it is looked for.
    assert ask(door, "DELETE", path, token=ADMIN).status_int == 204
    assert ask(door, "GET", "/security-groups").json["security_groups"][0]["id"] != default["id"]


def test_a_group_from_creation_to_deletion(door):
    made = group(door, description="d", stateful=False)
    assert not made["stateful"] and made["tags"] == [] and made["shared"] is False
    assert [(rule["direction"], rule["ethertype"]) for rule in made["security_group_rules"]] == [
        ("egress", "IPv4"),
        ("egress", "IPv6"),
    ]
    path = f"/security-groups/{made['id']}"
    changed = ask(door, "PUT", path, {"security_group": {"name": "new", "stateful": True}}).json["security_group"]
    assert changed["name"] == "new" and changed["stateful"] is True
    stale = ask(door, "PUT", path, {"security_group": {"name": "x"}}, If_Match="revision_number=1")
    assert stale.status_int == 412
    assert ask(door, "PUT", f"{path}/tags", {"tags": ["red"]}).json == {"tags": ["red"]}
    assert [item["id"] for item in ask(door, "GET", "/security-groups?tags=red").json["security_groups"]] == [
        made["id"]
    ]
    assert ask(door, "GET", f"{path}?fields=id").json == {"security_group": {"id": made["id"]}}
    assert ask(door, "DELETE", path).status_int == 204
    assert ask(door, "GET", path).status_int == 404
    assert kind(ask(door, "GET", path)) == "SecurityGroupNotFound"
    rules = ask(door, "GET", f"/security-group-rules?security_group_id={made['id']}").json["security_group_rules"]
    assert rules == []


def test_groups_made_at_once_and_the_quota(door):
    body = {"security_groups": [{"name": "a"}, {"name": "b"}]}
    made = ask(door, "POST", "/security-groups", body)
    assert made.status_int == 201 and [item["name"] for item in made.json["security_groups"]] == ["a", "b"]
    many = {"security_groups": [{"name": f"g{index}"} for index in range(8)]}
    refused = ask(door, "POST", "/security-groups", many)
    assert refused.status_int == 409 and kind(refused) == "OverQuota"
    assert len(ask(door, "GET", "/security-groups").json["security_groups"]) == 3


def test_who_sees_and_changes_which_group(door):
    mine = group(door)
    path = f"/security-groups/{mine['id']}"
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    assert ask(door, "DELETE", path, token=OTHER).status_int == 404
    assert add_rule(door, mine["id"], OTHER).status_int == 404
    assert ask(door, "GET", path, token=READER).status_int == 200
    assert ask(door, "DELETE", path, token=READER).status_int == 403
    assert add_rule(door, mine["id"], READER).status_int == 403
    assert ask(door, "POST", "/security-groups", {"security_group": {}}, READER).status_int == 403
    foreign = {"security_group": {"name": "x", "tenant_id": "other"}}
    assert ask(door, "POST", "/security-groups", foreign).status_int == 403
    assert ask(door, "POST", "/security-groups", foreign, ADMIN).json["security_group"]["project_id"] == "other"
    lend(door, "security_group", mine["id"])
    seen = ask(door, "GET", path, token=OTHER)
    assert seen.status_int == 200 and seen.json["security_group"]["shared"] is True
    listed = ask(door, "GET", "/security-groups?shared=True", token=OTHER).json["security_groups"]
    assert [item["id"] for item in listed] == [mine["id"]]
    assert ask(door, "DELETE", path, token=OTHER).status_int == 403
    assert add_rule(door, mine["id"], OTHER).status_int == 403
    rule = mine["security_group_rules"][0]["id"]
    assert ask(door, "GET", f"/security-group-rules/{rule}", token=OTHER).status_int == 200
    assert ask(door, "DELETE", f"/security-group-rules/{rule}", token=OTHER).status_int == 403


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({}, {"ethertype": "IPv4", "protocol": None, "port_range_min": None}),
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, {"port_range_max": 22}),
        (
            {"protocol": "TCP", "port_range_min": "1", "port_range_max": "65535"},
            {"protocol": "tcp", "port_range_min": None},
        ),
        ({"protocol": 17, "port_range_min": 50, "port_range_max": 55}, {"protocol": "17", "port_range_min": 50}),
        ({"protocol": "any"}, {"protocol": None}),
        ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, {"port_range_min": 8, "port_range_max": 0}),
        ({"protocol": "icmp", "port_range_min": 11}, {"port_range_min": 11, "port_range_max": None}),
        ({"protocol": "icmpv6", "ethertype": "ipv6"}, {"protocol": "ipv6-icmp", "ethertype": "IPv6"}),
        ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
        ({"protocol": "1", "ethertype": "IPv6"}, {"protocol": "58"}),
        ({"protocol": "vrrp"}, {"protocol": "vrrp"}),
        ({"remote_ip_prefix": "10.1.2.3"}, {"remote_ip_prefix": "10.1.2.3/32", "normalized_cidr": "10.1.2.3/32"}),
        ({"remote_ip_prefix": "10.1.2.3/24"}, {"remote_ip_prefix": "10.1.2.3/24", "normalized_cidr": "10.1.2.0/24"}),
        ({"remote_ip_prefix": "FE80::1/64", "ethertype": "IPv6"}, {"remote_ip_prefix": "fe80::1/64"}),
        ({"direction": "egress", "description": "out", "protocol": "udp"}, {"description": "out"}),
    ],
)
def test_rules_that_can_be(door, members, shown):
    made = group(door)
    reply = add_rule(door, made["id"], **members)
    assert reply.status_int == 201, reply.text
    rule = reply.json["security_group_rule"]
    assert {name: rule[name] for name in shown} == shown
    assert ask(door, "GET", f"/security-group-rules/{rule['id']}").json["security_group_rule"] == rule
    assert not rule["belongs_to_default_sg"] and rule["security_group_id"] == made["id"]


@pytest.mark.parametrize(
    ("members", "type_name"),
    [
        ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 79}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 80}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 80}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": -16384, "port_range_max": 80}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": "x", "port_range_max": 1}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "gre", "port_range_min": 1, "port_range_max": 2}, "SecurityGroupInvalidProtocolForPort"),
        ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 300}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 2}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "nonsense"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": "icmpv6"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"ethertype": "IPv5"}, "SecurityGroupRuleInvalidEtherType"),
        ({"remote_ip_prefix": "fe80::/64"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_ip_prefix": "10.0.0.0/24", "ethertype": "IPv6"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_ip_prefix": "nonsense"}, "InvalidCidr"),
        ({"direction": "sideways"}, "HTTPBadRequest"),
        ({"description": "a\nb"}, "HTTPBadRequest"),
        ({"unknown": 1}, "HTTPBadRequest"),
        ({"remote_address_group_id": "no-uuid"}, "HTTPBadRequest"),
    ],
)
def test_rules_that_can_not_be(door, members, type_name):
    made = group(door)
    reply = add_rule(door, made["id"], **members)
    assert reply.status_int == 400 and kind(reply) == type_name, reply.text
    assert len(ask(door, "GET", f"/security-groups/{made['id']}").json["security_group"]["security_group_rules"]) == 2


def test_remotes_must_be_there_and_only_one(door):
    one, two = group(door), group(door, name="db")
    foreign = group(door, token=OTHER)
    named = add_rule(door, one["id"], remote_group_id=two["id"])
    assert named.status_int == 201 and named.json["security_group_rule"]["remote_group_id"] == two["id"]
    both = add_rule(door, one["id"], remote_group_id=two["id"], remote_ip_prefix="10.0.0.0/8")
    assert both.status_int == 400 and kind(both) == "SecurityGroupMultipleRemoteEntites"
    assert add_rule(door, one["id"], remote_group_id=foreign["id"]).status_int == 404
    for missing in (new_id(), "no-uuid"):
        assert add_rule(door, one["id"], remote_group_id=missing).status_int == 404
    assert add_rule(door, one["id"], remote_address_group_id=new_id()).status_int == 404
    assert add_rule(door, new_id()).status_int == 404
    # A group that goes takes with it the rules that name it.
    assert ask(door, "DELETE", f"/security-groups/{two['id']}").status_int == 204
    assert len(ask(door, "GET", f"/security-groups/{one['id']}").json["security_group"]["security_group_rules"]) == 2


def test_a_rule_is_there_once_however_it_is_written(door):
    made = group(door)
    first = add_rule(door, made["id"], protocol="tcp", port_range_min=22, port_range_max=22).json
    again = add_rule(
        door, made["id"], protocol="6", port_range_min="22", port_range_max=22, remote_ip_prefix="0.0.0.0/0"
    )
    assert again.status_int == 409 and kind(again) == "SecurityGroupRuleExists"
    assert first["security_group_rule"]["id"] in again.json["NeutronError"]["message"]
    assert add_rule(door, made["id"], direction="egress").status_int == 409
    assert add_rule(door, made["id"], protocol="tcp", port_range_min=22, port_range_max=23).status_int == 201


def test_rules_made_at_once(door):
    made, other = group(door), group(door, name="b")

    def rules(*ports, group_id=made["id"]):
        item = {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp"}
        return [{**item, "port_range_min": port, "port_range_max": port} for port in ports]

    reply = ask(door, "POST", "/security-group-rules", {"security_group_rules": rules(1, 2)})
    assert reply.status_int == 201 and [r["port_range_min"] for r in reply.json["security_group_rules"]] == [1, 2]
    twice = ask(door, "POST", "/security-group-rules", {"security_group_rules": rules(3, 3)})
    assert twice.status_int == 409 and kind(twice) == "DuplicateSecurityGroupRuleInPost"
    two_groups = rules(3) + rules(3, group_id=other["id"])
    mixed = ask(door, "POST", "/security-group-rules", {"security_group_rules": two_groups})
    assert mixed.status_int == 400 and kind(mixed) == "SecurityGroupNotSingleGroupRules"
    listed = ask(door, "GET", "/security-group-rules?protocol=tcp&port_range_min=2").json["security_group_rules"]
    assert [rule["port_range_max"] for rule in listed] == [2]
    pages = ask(door, "GET", f"/security-group-rules?security_group_id={made['id']}&limit=3&sort_key=id").json
    assert len(pages["security_group_rules"]) == 3 and pages["security_group_rules_links"][0]["rel"] == "next"


def test_a_changed_rule_touches_and_wakes_the_members_hosts(door):
    made, naming = group(door), group(door, name="b")
    add_rule(door, naming["id"], remote_group_id=made["id"])
    member(door, made["id"], "h1")
    member(door, naming["id"], "h2")
    door.wakes.seen.clear()
    rule = add_rule(door, made["id"], protocol="tcp").json["security_group_rule"]
    assert door.wakes.seen == [("agent", "h1")]
    assert ask(door, "DELETE", f"/security-group-rules/{rule['id']}").status_int == 204
    assert door.wakes.seen == [("agent", "h1")] * 2
    assert ask(door, "DELETE", f"/security-group-rules/{rule['id']}").status_int == 404
    in_use = ask(door, "DELETE", f"/security-groups/{made['id']}")
    assert in_use.status_int == 409 and kind(in_use) == "SecurityGroupInUse"
    turned = ask(door, "PUT", f"/security-groups/{made['id']}", {"security_group": {"stateful": False}})
    assert turned.status_int == 409 and kind(turned) == "SecurityGroupInUse"


def test_an_address_group(door):
    body = {"address_group": {"name": "office", "addresses": ["10.1.2.3/24", "192.0.2.1", "fd00::/64"]}}
    reply = ask(door, "POST", "/address-groups", body)
    assert reply.status_int == 201, reply.text
    made = reply.json["address_group"]
    assert made["addresses"] == ["10.1.2.0/24", "192.0.2.1/32", "fd00::/64"]
    path = f"/address-groups/{made['id']}"
    sec_group = group(door)
    assert add_rule(door, sec_group["id"], remote_address_group_id=made["id"]).status_int == 201
    member(door, sec_group["id"], "h1")
    door.wakes.seen.clear()
    grown = ask(door, "PUT", f"{path}/add_addresses", {"addresses": ["198.51.100.0/24"]}).json["address_group"]
    assert grown["addresses"][-1] == "198.51.100.0/24" and door.wakes.seen == [("agent", "h1")]
    again = ask(door, "PUT", f"{path}/add_addresses", {"addresses": ["198.51.100.7/24"]})
    assert again.status_int == 400 and kind(again) == "AddressesAlreadyExist"
    less = ask(door, "PUT", f"{path}/remove_addresses", {"addresses": ["192.0.2.1/32"]}).json["address_group"]
    assert "192.0.2.1/32" not in less["addresses"]
    missing = ask(door, "PUT", f"{path}/remove_addresses", {"addresses": ["192.0.2.1/32"]})
    assert missing.status_int == 404 and kind(missing) == "AddressesNotFound"
    assert ask(door, "PUT", f"{path}/add_addresses", {"addresses": ["nonsense"]}).status_int == 400
    assert ask(door, "PUT", path, {"address_group": {"name": "new"}}).json["address_group"]["name"] == "new"
    in_use = ask(door, "DELETE", path)
    assert in_use.status_int == 409 and kind(in_use) == "AddressGroupInUse"
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    lend(door, "address_group", made["id"])
    assert ask(door, "GET", path, token=OTHER).json["address_group"]["shared"] is True
    assert ask(door, "PUT", f"{path}/add_addresses", {"addresses": ["203.0.113.0/24"]}, OTHER).status_int == 403
    unused = ask(door, "POST", "/address-groups", {"address_group": {"name": "empty"}}).json["address_group"]
    assert ask(door, "DELETE", f"/address-groups/{unused['id']}").status_int == 204
    assert [item["name"] for item in ask(door, "GET", "/address-groups").json["address_groups"]] == ["new"]

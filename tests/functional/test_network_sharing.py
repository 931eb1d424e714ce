"""RBAC policies, quotas, tags and revisions of the Network API."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER, boot

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def ask(door, method, path, body=None, token=DEMO, **headers):
    return door.ask(method, f"/network/v2.0{path}", body, token=token, **headers)


def made(door, collection, noun, members, token=DEMO):
    reply = ask(door, "POST", f"/{collection}", {noun: members}, token)
    assert reply.status_int == 201, reply.text
    return reply.json[noun]


def network(door, token=DEMO, cidr="10.0.0.0/24", **members):
    found = made(door, "networks", "network", members, token)
    made(door, "subnets", "subnet", {"network_id": found["id"], "ip_version": 4, "cidr": cidr}, token)
    return found["id"]


def lend(door, object_id, target="other", token=DEMO, **members):
    wanted = {"object_type": "network", "object_id": object_id, "action": "access_as_shared", "target_tenant": target}
    return ask(door, "POST", "/rbac-policies", {"rbac_policy": wanted | members}, token)


def port(door, network_id, token=DEMO, **members):
    return ask(door, "POST", "/ports", {"port": {"network_id": network_id, **members}}, token)


def test_a_network_is_lent_to_one_project(door):
    lent = network(door, name="lent")
    assert port(door, lent, OTHER).status_int == 404
    policy = lend(door, lent)
    assert policy.status_int == 201 and policy.json["rbac_policy"]["target_tenant"] == "other"
    seen = ask(door, "GET", f"/networks/{lent}", token=OTHER).json["network"]
    assert seen["shared"] is True and ask(door, "GET", f"/networks/{lent}").json["network"]["shared"] is False
    assert [each["id"] for each in ask(door, "GET", "/networks?shared=True", token=OTHER).json["networks"]] == [lent]
    assert ask(door, "GET", "/networks?shared=True").json["networks"] == []
    assert boot(door, token=OTHER).status_int == 202
    assert ask(door, "DELETE", f"/networks/{lent}", token=OTHER).status_int == 403
    used = ask(door, "DELETE", f"/rbac-policies/{policy.json['rbac_policy']['id']}")
    assert used.status_int == 409 and used.json["NeutronError"]["type"] == "RbacPolicyInUse"
    assert lend(door, lent).status_int == 409
    assert ask(door, "GET", "/rbac-policies", token=OTHER).json["rbac_policies"] == []
    assert len(ask(door, "GET", "/rbac-policies").json["rbac_policies"]) == 1


def test_who_may_lend_what_to_whom(door):
    mine = network(door)
    assert lend(door, mine, target="*").status_int == 403
    assert lend(door, mine, action="access_as_external").status_int == 403
    assert lend(door, mine, token=OTHER).status_int == 404
    assert lend(door, mine, token=READER).status_int == 403
    assert lend(door, mine, object_type="subnetpool").status_int == 404
    assert lend(door, mine, object_type="nonsense").status_int == 400
    assert lend(door, mine, target="a\nb").status_int == 400
    group = made(door, "security-groups", "security_group", {"name": "g"})["id"]
    lent = lend(door, group, object_type="security_group")
    assert lent.status_int == 201, lent.text
    outside = lend(door, group, "third", ADMIN, object_type="security_group", action="access_as_external")
    assert outside.status_int == 400, outside.text
    theirs = network(door, OTHER)
    assert port(door, theirs, OTHER, security_groups=[group]).json["port"]["security_groups"] == [group]
    assert ask(door, "DELETE", f"/rbac-policies/{lent.json['rbac_policy']['id']}").status_int == 409


def test_lent_to_all_and_shared_are_the_same(door):
    found = network(door, ADMIN, shared=True)
    (policy,) = ask(door, "GET", f"/rbac-policies?object_id={found}", token=ADMIN).json["rbac_policies"]
    assert policy["target_tenant"] == "*"
    assert ask(door, "DELETE", f"/rbac-policies/{policy['id']}", token=ADMIN).status_int == 204
    assert ask(door, "GET", f"/networks/{found}", token=ADMIN).json["network"]["shared"] is False
    assert ask(door, "GET", f"/networks/{found}").status_int == 404
    assert lend(door, found, "*", ADMIN).status_int == 201
    assert ask(door, "GET", f"/networks/{found}").json["network"]["shared"] is True
    assert port(door, found).status_int == 201
    again = ask(door, "PUT", f"/networks/{found}", {"network": {"shared": False}}, ADMIN)
    assert again.status_int == 409 and again.json["NeutronError"]["type"] == "InvalidSharedSetting"


def test_a_policy_is_pointed_elsewhere(door):
    found = network(door)
    policy = lend(door, found).json["rbac_policy"]
    path = f"/rbac-policies/{policy['id']}"
    assert ask(door, "PUT", path, {"rbac_policy": {"target_tenant": "*"}}).status_int == 403
    changed = ask(door, "PUT", path, {"rbac_policy": {"target_tenant": "third"}})
    assert changed.json["rbac_policy"]["target_tenant"] == "third"
    assert ask(door, "GET", f"/networks/{found}", token=OTHER).status_int == 404
    assert ask(door, "DELETE", path).status_int == 204


@pytest.mark.parametrize("noun", ["network", "subnet", "port", "subnetpool", "rbac_policy"])
def test_a_quota_is_kept(door, noun):
    assert ask(door, "PUT", "/quotas/demo", {"quota": {noun: 1}}, ADMIN).status_int == 200
    first = made(door, "networks", "network", {})["id"]
    members = {
        "network": {},
        "subnet": {"network_id": first, "ip_version": 4, "cidr": "10.{0}.0.0/24"},
        "port": {"network_id": first},
        "subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"]},
        "rbac_policy": {
            "object_type": "network",
            "object_id": first,
            "action": "access_as_shared",
            "target_tenant": "p{0}",
        },
    }[noun]
    path = "/rbac-policies" if noun == "rbac_policy" else f"/{noun}s"
    statuses = []
    for turn in range(2):
        body = {key: value.format(turn) if isinstance(value, str) else value for key, value in members.items()}
        reply = ask(door, "POST", path, {noun: body})
        statuses.append(reply.status_int)
    assert statuses == ([409, 409] if noun == "network" else [201, 409])
    assert reply.json["NeutronError"]["type"] == "OverQuota" and noun in reply.json["NeutronError"]["message"]
    details = ask(door, "GET", "/quotas/demo/details.json").json["quota"]
    assert details[noun] == {"limit": 1, "used": 1, "reserved": 0}
    assert ask(door, "DELETE", "/quotas/demo", token=ADMIN).status_int == 204
    assert ask(door, "POST", path, {noun: body}).status_int == 201


def test_ports_of_servers_count_too(door):
    network(door)
    ask(door, "PUT", "/quotas/demo", {"quota": {"port": 2}}, ADMIN)
    assert boot(door).status_int == 202
    refused = boot(door, min_count=2, max_count=2)
    assert refused.status_int == 403 and "ports" in refused.text
    assert len(ask(door, "GET", "/ports").json["ports"]) == 1
    assert boot(door).status_int == 202


def test_who_sees_and_sets_quotas(door):
    defaults = ask(door, "GET", "/quotas/demo").json["quota"]
    assert defaults["network"] == 100 and defaults["port"] == 500 and defaults["subnetpool"] == -1
    assert ask(door, "GET", "/quotas/demo/default").json["quota"] == defaults
    assert ask(door, "GET", "/quotas/other").status_int == 403
    assert ask(door, "PUT", "/quotas/demo", {"quota": {"port": 9}}).status_int == 403
    assert ask(door, "PUT", "/quotas/demo", {"quota": {"port": -2}}, ADMIN).status_int == 400
    assert ask(door, "PUT", "/quotas/demo", {"quota": {"nonsense": 1}}, ADMIN).status_int == 400
    assert ask(door, "PUT", "/quotas/demo", {"quota": {"port": "9"}}, ADMIN).json["quota"]["port"] == 9
    listed = ask(door, "GET", "/quotas", token=ADMIN).json["quotas"]
    assert [(each["project_id"], each["port"]) for each in listed] == [("demo", 9)]
    assert ask(door, "GET", "/quotas", token=OTHER).json == {"quotas": []}
    assert ask(door, "GET", "/quotas/tenant").json["tenant"]["tenant_id"] == "demo"


@pytest.mark.parametrize("collection", ["networks", "subnets", "ports", "subnetpools"])
def test_tags(door, collection):
    first = network(door)
    things = {
        "networks": lambda: {"network": {}},
        "subnets": lambda: {"subnet": {"network_id": network(door), "ip_version": 4, "cidr": "10.1.0.0/24"}},
        "ports": lambda: {"port": {"network_id": first}},
        "subnetpools": lambda: {"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"]}},
    }[collection]
    noun = collection[:-1]
    ids = [ask(door, "POST", f"/{collection}", things()).json[noun]["id"] for _ in range(2)]
    path = f"/{collection}/{ids[0]}/tags"
    assert ask(door, "PUT", path, {"tags": ["red", "blue"]}).json == {"tags": ["blue", "red"]}
    assert ask(door, "PUT", f"/{collection}/{ids[1]}/tags/red").status_int == 201
    assert ask(door, "GET", f"{path}/red").status_int == 204 and ask(door, "GET", f"{path}/green").status_int == 404
    for query, expected in (
        ("tags=red,blue", [0]),
        ("tags=red", [0, 1]),
        ("tags-any=blue,green", [0]),
        ("not-tags=red,blue", [1]),
    ):
        found = {each["id"] for each in ask(door, "GET", f"/{collection}?{query}").json[collection]}
        assert found & set(ids) == {ids[index] for index in expected}, query
    assert ids[0] not in {each["id"] for each in ask(door, "GET", f"/{collection}?not-tags-any=red").json[collection]}
    shown = ask(door, "GET", f"/{collection}/{ids[0]}").json[noun]
    assert shown["tags"] == ["blue", "red"] and shown["revision_number"] == 1
    assert ask(door, "DELETE", f"{path}/red").status_int == 204 and ask(door, "DELETE", f"{path}/red").status_int == 404
    assert ask(door, "DELETE", path).status_int == 204 and ask(door, "GET", path).json == {"tags": []}
    assert ask(door, "PUT", path, {"tags": ["a\nb"]}).status_int == 400
    assert ask(door, "PUT", path, {"tags": [f"t{index}" for index in range(51)]}).status_int == 400
    assert ask(door, "PUT", path, {"tags": ["x"]}, OTHER).status_int == 404
    assert ask(door, "PUT", path, {"tags": ["x"]}, READER).status_int == 403


def test_tags_are_added_many_at_once(door):
    made = ask(door, "POST", "/networks", {"network": {}}).json["network"]
    path = f"/networks/{made['id']}/tags"
    added = ask(door, "POST", path, {"tags": ["b", "a"]})
    assert added.status_int == 201 and added.json == {"tags": ["a", "b"]}
    assert ask(door, "POST", path, {"tags": ["c", "a"]}).json == {"tags": ["a", "b", "c"]}
    assert ask(door, "POST", path, {"tags": "c"}).status_int == 400
    assert ask(door, "POST", path, {"tags": [f"t{index}" for index in range(48)]}).status_int == 400
    assert ask(door, "POST", path, {"tags": ["d"]}, token=OTHER).status_int == 404
    assert ask(door, "GET", path).json == {"tags": ["a", "b", "c"]}


def test_only_the_revision_that_was_meant_is_changed(door):
    found = ask(door, "POST", "/networks", {"network": {}}).json["network"]["id"]
    path = f"/networks/{found}"
    assert ask(door, "PUT", path, {"network": {"name": "a"}}, If_Match="revision_number=0").status_int == 200
    late = ask(door, "PUT", path, {"network": {"name": "b"}}, If_Match="revision_number=0")
    assert late.status_int == 412 and late.json["NeutronError"]["type"] == "RevisionNumberConstraintFailed"
    assert ask(door, "GET", path).json["network"]["name"] == "a"
    # A client's "the one before" of a network that nobody changed yet.
    assert ask(door, "PUT", path, {"network": {"name": "b"}}, If_Match="revision_number=-1").status_int == 412
    assert ask(door, "DELETE", path, If_Match="revision_number=0").status_int == 412
    assert ask(door, "PUT", f"{path}/tags", {"tags": ["x"]}, If_Match="revision_number=7").status_int == 412
    assert ask(door, "DELETE", path, If_Match="nonsense").status_int == 400
    assert ask(door, "DELETE", path, If_Match="revision_number=1").status_int == 204


def test_subnets_are_part_of_their_networks_revision(door):
    made = ask(door, "POST", "/networks", {"network": {}}).json["network"]
    path = f"/networks/{made['id']}"

    def revision():
        return ask(door, "GET", path).json["network"]["revision_number"]

    wanted = {"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    subnet = ask(door, "POST", "/subnets", {"subnet": wanted}).json["subnet"]
    assert revision() == 1
    assert ask(door, "PUT", f"/subnets/{subnet['id']}", {"subnet": {"name": "x"}}).status_int == 200
    assert revision() == 2
    assert (
        door.ask(
            "PUT", f"/network/v2.0{path}", {"network": {"name": "x"}}, token=DEMO, If_Match="revision_number=1"
        ).status_int
        == 412
    )
    assert ask(door, "DELETE", f"/subnets/{subnet['id']}").status_int == 204
    assert revision() == 3

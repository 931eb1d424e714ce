"""QoS policies and bandwidth limits over the Network API."""

from __future__ import annotations

from compute_cloud import ADMIN, DEMO, OTHER
from network_cloud import ask, bind, kind, make, make_external

from nova_lite.db.models import Port
from nova_lite.db.types import new_id

MANAGER = "mia:demo:manager"


WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def policy(door, token=MANAGER, **members):
    return make(door, "policy", token, "/qos/policies", **{"name": "slow", **members})


def limit(door, policy_id, token=MANAGER, **members):
    path = f"/qos/policies/{policy_id}/bandwidth_limit_rules"
    return ask(door, "POST", path, {"bandwidth_limit_rule": members}, token)


def test_a_policy_from_creation_to_deletion(door):
    made = policy(door, description="d")
    assert made["rules"] == [] and made["shared"] is False and made["is_default"] is False
    path = f"/qos/policies/{made['id']}"
    changed = ask(door, "PUT", path, {"policy": {"name": "new"}}, MANAGER).json["policy"]
    assert changed["name"] == "new" and changed["revision_number"] == 1
    assert ask(door, "PUT", f"{path}/tags", {"tags": ["a"]}).status_int == 200
    assert ask(door, "GET", f"/policies/{made['id']}/tags").json == {"tags": ["a"]}
    assert [item["id"] for item in ask(door, "GET", "/qos/policies?name=new").json["policies"]] == [made["id"]]
    assert ask(door, "DELETE", path, token=MANAGER).status_int == 204
    gone = ask(door, "GET", path)
    assert gone.status_int == 404 and kind(gone) == "QosPolicyNotFound"


def test_limits_of_both_directions(door):
    made = policy(door)
    out = limit(door, made["id"], max_kbps=1000)
    assert out.status_int == 201 and out.json["bandwidth_limit_rule"]["direction"] == "egress"
    rule = out.json["bandwidth_limit_rule"]
    assert rule["max_burst_kbps"] == 0
    again = limit(door, made["id"], max_kbps=2000)
    assert again.status_int == 409 and kind(again) == "QosRulesConflict"
    into = limit(door, made["id"], max_kbps=500, max_burst_kbps=50, direction="ingress").json["bandwidth_limit_rule"]
    shown = ask(door, "GET", f"/qos/policies/{made['id']}").json["policy"]["rules"]
    assert [(item["direction"], item["max_kbps"], item["type"]) for item in shown] == [
        ("egress", 1000, "bandwidth_limit"),
        ("ingress", 500, "bandwidth_limit"),
    ]
    path = f"/qos/policies/{made['id']}/bandwidth_limit_rules"
    assert len(ask(door, "GET", path).json["bandwidth_limit_rules"]) == 2
    body = {"bandwidth_limit_rule": {"max_kbps": 700}}
    assert ask(door, "PUT", f"{path}/{rule['id']}", body, MANAGER).json["bandwidth_limit_rule"]["max_kbps"] == 700
    turned = {"bandwidth_limit_rule": {"direction": "ingress"}}
    assert ask(door, "PUT", f"{path}/{rule['id']}", turned, MANAGER).status_int == 409
    alias = f"/qos/alias-bandwidth-limit-rules/{into['id']}"
    assert ask(door, "GET", alias).json["alias_bandwidth_limit_rule"]["max_kbps"] == 500
    body = {"alias_bandwidth_limit_rule": {"max_kbps": 800}}
    assert ask(door, "PUT", alias, body, MANAGER).json["alias_bandwidth_limit_rule"]["max_kbps"] == 800
    assert ask(door, "DELETE", alias, token=MANAGER).status_int == 204
    assert ask(door, "DELETE", f"{path}/{rule['id']}", token=MANAGER).status_int == 204
    missing = ask(door, "GET", f"{path}/{rule['id']}")
    assert missing.status_int == 404 and kind(missing) == "QosRuleNotFound"
    for members in ({}, {"max_kbps": 0}, {"max_kbps": -1}, {"max_kbps": 1 << 31}, {"max_kbps": 1, "direction": "up"}):
        assert limit(door, made["id"], **members).status_int == 400


def test_who_may(door):
    assert ask(door, "POST", "/qos/policies", {"policy": {"name": "x"}}).status_int == 403
    mine = policy(door)
    path = f"/qos/policies/{mine['id']}"
    assert ask(door, "GET", path).status_int == 200
    assert limit(door, mine["id"], DEMO, max_kbps=1).status_int == 403
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    assert ask(door, "PUT", path, {"policy": {"shared": True}}, MANAGER).status_int == 403
    rule = limit(door, mine["id"], max_kbps=1).json["bandwidth_limit_rule"]
    assert ask(door, "GET", f"/qos/alias-bandwidth-limit-rules/{rule['id']}", token=OTHER).status_int == 404
    assert ask(door, "PUT", path, {"policy": {"shared": True}}, ADMIN).json["policy"]["shared"] is True
    assert ask(door, "GET", path, token=OTHER).status_int == 200
    assert ask(door, "DELETE", path, token=OTHER).status_int == 403
    assert limit(door, mine["id"], OTHER, max_kbps=1, direction="ingress").status_int == 403


def test_one_default_policy_a_project(door):
    first = policy(door, is_default=True)
    second = ask(door, "POST", "/qos/policies", {"policy": {"is_default": True}}, MANAGER)
    assert second.status_int == 409 and kind(second) == "QosPolicyDefaultAlreadyExists"
    other = policy(door)
    path = f"/qos/policies/{other['id']}"
    assert ask(door, "PUT", path, {"policy": {"is_default": True}}, MANAGER).status_int == 409
    first_path = f"/qos/policies/{first['id']}"
    assert ask(door, "PUT", first_path, {"policy": {"is_default": False}}, MANAGER).status_int == 200
    assert ask(door, "PUT", path, {"policy": {"is_default": True}}, MANAGER).status_int == 200
    assert policy(door, ADMIN, is_default=True)["project_id"] == "admin"


def test_what_has_a_policy_keeps_it_and_its_host_is_woken(door):
    external, _ = make_external(door)
    made = policy(door)
    floating = make(door, "floatingip", floating_network_id=external["id"], qos_policy_id=made["id"])
    in_use = ask(door, "DELETE", f"/qos/policies/{made['id']}", token=MANAGER)
    assert in_use.status_int == 409 and kind(in_use) == "QosPolicyInUse" and floating["id"] in in_use.text
    path = f"/floatingips/{floating['id']}"
    assert ask(door, "PUT", path, {"floatingip": {"qos_policy_id": None}}).status_int == 200
    network = make(door, "network")
    port = make(door, "port", network_id=network["id"])

    def limited(session):
        session.get(Port, port["id"]).qos_policy_id = made["id"]

    door.store.transact(limited)
    bind(door, port["id"], "h4")
    door.wakes.seen.clear()
    assert limit(door, made["id"], max_kbps=10).status_int == 201
    assert door.wakes.seen == [("agent", "h4")]
    assert ask(door, "DELETE", f"/qos/policies/{made['id']}", token=MANAGER).status_int == 409


def test_kinds_of_rules(door):
    assert ask(door, "GET", "/qos/rule-types").json == {"rule_types": [{"type": "bandwidth_limit"}]}
    shown = ask(door, "GET", "/qos/rule-types/bandwidth_limit").json["rule_type"]
    assert {item["parameter_name"] for item in shown["drivers"][0]["supported_parameters"]} == {
        "max_kbps",
        "max_burst_kbps",
        "direction",
    }
    assert ask(door, "GET", "/qos/rule-types/dscp_marking").status_int == 404
    assert ask(door, "GET", f"/qos/alias-bandwidth-limit-rules/{new_id()}").status_int == 404

"""Nobody reaches another project's routers, groups, policies and addresses, nor learns of them; control characters get nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, seed
from functional.conftest import open_door
from network_cloud import ask, join, make, make_external, make_subnet

from nova_lite.api.compute import MOUNT as COMPUTE
from nova_lite.api.network import MOUNT as NETWORK
from nova_lite.db.types import new_id

MANAGER = "mo:other:manager"
"""A manager of another project: may do in it what most may not."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Any]:
    made = open_door(tmp_path, (COMPUTE, NETWORK))
    seed(made, network=False)
    yield made
    made.store.close()


@pytest.fixture
def theirs(door: Any) -> dict[str, str]:
    """One of each of demo's things, by noun."""
    external, _ = make_external(door)
    router = make(door, "router", external_gateway_info={"network_id": external["id"]})
    network = make(door, "network")
    subnet = make_subnet(door, network["id"], "10.0.0.0/24")
    assert join(door, router["id"], subnet_id=subnet["id"]).status_int == 200
    policy = make(door, "policy", "mia:demo:manager", "/qos/policies")
    path = f"/qos/policies/{policy['id']}/bandwidth_limit_rules"
    limit = ask(door, "POST", path, {"bandwidth_limit_rule": {"max_kbps": 1}}, "mia:demo:manager").json
    group = make(door, "security_group", path="/security-groups", name="web")
    return {
        "external": external["id"],
        "router": router["id"],
        "network": network["id"],
        "subnet": subnet["id"],
        "port": make(door, "port", network_id=network["id"])["id"],
        "floatingip": make(door, "floatingip", floating_network_id=external["id"])["id"],
        "security_group": group["id"],
        "rule": group["security_group_rules"][0]["id"],
        "address_group": make(door, "address_group", path="/address-groups")["id"],
        "policy": policy["id"],
        "limit": limit["bandwidth_limit_rule"]["id"],
    }


@pytest.mark.parametrize("token", [OTHER, MANAGER])
def test_what_is_anothers_is_as_if_it_were_not_there(door, theirs, token):
    mine = make(door, "router", token)
    own_group = make(door, "security_group", token, "/security-groups", name="mine")
    rule = {"security_group_id": own_group["id"], "direction": "ingress"}
    floating = make(door, "floatingip", token, floating_network_id=theirs["external"])
    server = {"name": "x", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"}
    made = door.ask(
        "POST", "/compute/v2.1/servers", {"server": server}, token=token, OpenStack_API_Version="compute 2.37"
    )
    action = f"/compute/v2.1/servers/{made.json['server']['id']}/action"
    attempts = [
        ("PUT", f"/routers/{mine['id']}/add_router_interface", {"subnet_id": theirs["subnet"]}),
        ("PUT", f"/routers/{mine['id']}/add_router_interface", {"port_id": theirs["port"]}),
        ("PUT", f"/routers/{mine['id']}", {"router": {"external_gateway_info": {"network_id": theirs["network"]}}}),
        ("PUT", f"/floatingips/{floating['id']}", {"floatingip": {"port_id": theirs["port"]}}),
        ("PUT", f"/floatingips/{floating['id']}", {"floatingip": {"qos_policy_id": theirs["policy"]}}),
        (
            "POST",
            "/security-group-rules",
            {"security_group_rule": {**rule, "remote_group_id": theirs["security_group"]}},
        ),
        (
            "POST",
            "/security-group-rules",
            {"security_group_rule": {**rule, "remote_address_group_id": theirs["address_group"]}},
        ),
        (
            "POST",
            "/security-group-rules",
            {"security_group_rule": {**rule, "security_group_id": theirs["security_group"]}},
        ),
        ("POST", "/networks", {"network": {"qos_policy_id": theirs["policy"]}}),
        ("GET", f"/qos/alias-bandwidth-limit-rules/{theirs['limit']}", None),
        ("GET", f"/qos/policies/{theirs['policy']}/bandwidth_limit_rules/{theirs['limit']}", None),
        ("DELETE", f"/security-group-rules/{theirs['rule']}", None),
    ]
    for method, path, body in attempts:
        reply = ask(door, method, path, body, token)
        there = reply.json["NeutronError"]["message"]
        nowhere = ask(door, method, path.replace(theirs["limit"], gone := new_id()), _instead(body, theirs), token)
        assert reply.status_int == 404, (method, path, there)
        # And worded like what never was.
        assert (
            nowhere.status_int == 404 and nowhere.json["NeutronError"]["type"] == reply.json["NeutronError"]["type"]
        ), gone
    refused = door.ask("POST", action, {"addSecurityGroup": {"name": theirs["security_group"]}}, token=token)
    assert refused.status_int == 404


def _instead(body: Any, theirs: dict[str, str]) -> Any:
    """Return a body that names things that never were where it names theirs."""
    if isinstance(body, dict):
        return {key: _instead(value, theirs) for key, value in body.items()}
    return new_id() if body in theirs.values() else body


def test_an_address_that_is_named_and_what_binds_all_is_not_for_members(door, theirs):
    named = {"floating_network_id": theirs["external"], "floating_ip_address": "203.0.113.99"}
    snat = {"external_gateway_info": {"network_id": theirs["external"], "enable_snat": False}}
    address = {"network_id": theirs["external"], "external_fixed_ips": [{"ip_address": "203.0.113.98"}]}
    for path, body in (
        ("/floatingips", {"floatingip": named}),
        ("/qos/policies", {"policy": {}}),
        ("/routers", {"router": snat}),
        ("/routers", {"router": {"external_gateway_info": address}}),
        ("/routers", {"router": {"distributed": True}}),
    ):
        assert ask(door, "POST", path, body, DEMO).status_int == 403, body
        allowed = ask(door, "POST", path, body, ADMIN)
        assert allowed.status_int == 201, allowed.text


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x7fb", "\x1b[2J"])
def test_control_characters_get_nowhere(door, theirs, text):
    bodies = {
        "/routers": ("router", ("name", "description")),
        "/security-groups": ("security_group", ("name", "description")),
        "/address-groups": ("address_group", ("name", "description")),
        "/qos/policies": ("policy", ("name", "description")),
        "/floatingips": ("floatingip", ("description", "dns_name")),
    }
    for path, (noun, members) in bodies.items():
        for member in members:
            more = {"floating_network_id": theirs["external"]} if noun == "floatingip" else {}
            assert ask(door, "POST", path, {noun: {member: text, **more}}, ADMIN).status_int == 400, (path, member)
    rule = {"security_group_id": theirs["security_group"], "direction": "ingress"}
    for member in ("description", "protocol", "ethertype", "remote_ip_prefix", "port_range_min"):
        reply = ask(door, "POST", "/security-group-rules", {"security_group_rule": {**rule, member: text}})
        assert reply.status_int == 400, member
    more = {"addresses": [f"192.0.2.0/24{text}"]}
    assert ask(door, "PUT", f"/address-groups/{theirs['address_group']}/add_addresses", more).status_int == 400

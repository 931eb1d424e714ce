"""Routers over the Network API: gateways, interfaces, routes, and the ports that they have."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER, Statements
from network_cloud import ask, bind, join, kind, leave, make, make_external, make_subnet

from nova_lite.db.types import new_id

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def show(door, router, token=DEMO):
    return ask(door, "GET", f"/routers/{router['id']}", token=token).json["router"]


def update(door, router, token=DEMO, **members):
    return ask(door, "PUT", f"/routers/{router['id']}", {"router": members}, token)


def ports(door, token=ADMIN, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return ask(door, "GET", f"/ports?{text}", token=token).json["ports"]


def inside(door, cidr="10.0.0.0/24", **members):
    network = make(door, "network", name="inside")
    return network, make_subnet(door, network["id"], cidr, **members)


def test_a_router_from_creation_to_deletion(door):
    made = make(door, "router", name="r", description="d")
    assert made["status"] == "ACTIVE" and made["external_gateway_info"] is None and made["routes"] == []
    assert "distributed" not in made and made["project_id"] == "demo"
    seen = show(door, made, ADMIN)
    assert seen["distributed"] is True and seen["ha"] is False
    changed = update(door, made, name="new", admin_state_up=False).json["router"]
    assert changed["name"] == "new" and changed["admin_state_up"] is False and changed["revision_number"] == 1
    stale = ask(door, "PUT", f"/routers/{made['id']}", {"router": {"name": "x"}}, If_Match="revision_number=0")
    assert stale.status_int == 412
    assert ask(door, "PUT", f"/routers/{made['id']}/tags", {"tags": ["a"]}).status_int == 200
    assert [item["id"] for item in ask(door, "GET", "/routers?tags=a").json["routers"]] == [made["id"]]
    assert ask(door, "DELETE", f"/routers/{made['id']}").status_int == 204
    gone = ask(door, "GET", f"/routers/{made['id']}")
    assert gone.status_int == 404 and kind(gone) == "RouterNotFound"


def test_who_sees_and_changes_which_router(door):
    mine = make(door, "router")
    _, subnet = inside(door)
    path = f"/routers/{mine['id']}"
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    assert ask(door, "DELETE", path, token=OTHER).status_int == 404
    assert join(door, mine["id"], OTHER, subnet_id=subnet["id"]).status_int == 404
    assert ask(door, "GET", path, token=READER).status_int == 200
    assert ask(door, "DELETE", path, token=READER).status_int == 403
    assert join(door, mine["id"], READER, subnet_id=subnet["id"]).status_int == 403
    theirs = make(door, "router", OTHER)
    assert join(door, theirs["id"], OTHER, subnet_id=subnet["id"]).status_int == 404
    assert ask(door, "POST", "/routers", {"router": {"tenant_id": "other"}}).status_int == 403
    assert make(door, "router", ADMIN, tenant_id="other")["project_id"] == "other"
    for member in ("distributed", "ha"):
        assert ask(door, "POST", "/routers", {"router": {member: member == "distributed"}}).status_int == 403
    assert make(door, "router", ADMIN, distributed=True, ha=False)["distributed"] is True
    assert ask(door, "POST", "/routers", {"router": {"distributed": False}}, ADMIN).status_int == 400


def test_routers_made_at_once_and_the_quota(door):
    many = {"routers": [{"name": f"r{index}"} for index in range(10)]}
    assert len(ask(door, "POST", "/routers", many).json["routers"]) == 10
    one_more = ask(door, "POST", "/routers", {"router": {}})
    assert one_more.status_int == 409 and kind(one_more) == "OverQuota"


def test_a_gateway_is_given_changed_and_taken(door):
    network, subnet = make_external(door)
    made = make(door, "router", external_gateway_info={"network_id": network["id"]})
    gateway = made["external_gateway_info"]
    assert gateway["network_id"] == network["id"] and gateway["enable_snat"] is True
    (held,) = gateway["external_fixed_ips"]
    assert held["subnet_id"] == subnet["id"] and held["ip_address"].startswith("203.0.113.")
    (port,) = ports(door, device_id=made["id"])
    assert port["device_owner"] == "network:router_gateway" and port["project_id"] == ""
    assert port["fixed_ips"] == [held] and port["security_groups"] == []
    # The gateway's port is the system's: its project does not see it.
    assert ports(door, DEMO, device_id=made["id"]) == []
    assert (
        update(door, made, external_gateway_info={"network_id": network["id"], "enable_snat": False}).status_int == 403
    )
    wanted = {
        "network_id": network["id"],
        "enable_snat": False,
        "external_fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "203.0.113.77"}],
    }
    changed = update(door, made, ADMIN, external_gateway_info=wanted).json["router"]["external_gateway_info"]
    assert changed == wanted
    (same,) = ports(door, device_id=made["id"])
    assert same["id"] == port["id"]
    other, _ = make_external(door, "198.51.100.0/24")
    moved = update(door, made, external_gateway_info={"network_id": other["id"]}).json["router"][
        "external_gateway_info"
    ]
    assert moved["network_id"] == other["id"] and moved["enable_snat"] is True
    for nothing in ({}, None):
        assert update(door, made, external_gateway_info={"network_id": other["id"]}).status_int == 200
        assert update(door, made, external_gateway_info=nothing).json["router"]["external_gateway_info"] is None
        assert ports(door, device_id=made["id"]) == []
    assert ask(door, "DELETE", f"/networks/{network['id']}", token=ADMIN).status_int == 204


def test_gateways_that_can_not_be(door):
    network, subnet = make_external(door)
    private, _ = inside(door)
    for info, status, token in (
        ({"network_id": private["id"]}, 400, DEMO),
        ({"network_id": new_id()}, 404, DEMO),
        ({"enable_snat": False}, 400, DEMO),
        ({"network_id": "no-uuid"}, 400, DEMO),
        ({"network_id": network["id"], "external_fixed_ips": [{"ip_address": "10.9.9.9"}]}, 400, ADMIN),
        ({"network_id": network["id"], "external_fixed_ips": [{"ip_address": subnet["gateway_ip"]}]}, 400, ADMIN),
        ({"network_id": network["id"], "external_fixed_ips": [{"subnet_id": new_id()}]}, 400, ADMIN),
        ({"network_id": network["id"], "external_fixed_ips": [{}]}, 400, ADMIN),
        ({"network_id": network["id"], "unknown": 1}, 400, ADMIN),
    ):
        reply = ask(door, "POST", "/routers", {"router": {"external_gateway_info": info}}, token)
        assert reply.status_int == status, (info, reply.text)
    taken = {"network_id": network["id"], "external_fixed_ips": [{"ip_address": "203.0.113.9"}]}
    make(door, "router", ADMIN, external_gateway_info=taken)
    second = ask(door, "POST", "/routers", {"router": {"external_gateway_info": taken}}, ADMIN)
    assert second.status_int == 409
    # What was refused has left nothing.
    assert ask(door, "GET", "/routers").json["routers"] == []


def test_a_subnet_is_joined_by_its_gateways_address_and_let_go(door):
    router = make(door, "router")
    network, subnet = inside(door)
    reply = join(door, router["id"], subnet_id=subnet["id"])
    assert reply.status_int == 200, reply.text
    joined = reply.json
    assert joined["id"] == router["id"] and joined["network_id"] == network["id"] and joined["project_id"] == "demo"
    assert joined["subnet_id"] == subnet["id"] and joined["subnet_ids"] == [subnet["id"]]
    (port,) = ports(door, DEMO, device_id=router["id"])
    assert port["id"] == joined["port_id"] and port["device_owner"] == "network:router_interface"
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.1"}] and port["status"] == "ACTIVE"
    again = join(door, router["id"], subnet_id=subnet["id"])
    assert again.status_int == 400 and "already has a port on subnet" in again.text
    in_use = ask(door, "DELETE", f"/routers/{router['id']}")
    assert in_use.status_int == 409 and kind(in_use) == "RouterInUse"
    other = make(door, "router", name="other")
    taken = join(door, other["id"], subnet_id=subnet["id"])
    assert taken.status_int == 409
    left = leave(door, router["id"], subnet_id=subnet["id"])
    assert left.status_int == 200 and left.json["port_id"] == port["id"]
    assert ports(door, DEMO, device_id=router["id"]) == []
    missing = leave(door, router["id"], subnet_id=subnet["id"])
    assert missing.status_int == 404 and kind(missing) == "RouterInterfaceNotFoundForSubnet"
    assert leave(door, router["id"], subnet_id=new_id()).status_int == 404
    assert leave(door, router["id"], port_id=new_id()).status_int == 404
    assert ask(door, "DELETE", f"/routers/{router['id']}").status_int == 204


def test_a_network_is_joined_by_a_port(door):
    router = make(door, "router")
    network, subnet = inside(door)
    port = make(door, "port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}])
    joined = join(door, router["id"], port_id=port["id"])
    assert joined.status_int == 200 and joined.json["port_id"] == port["id"]
    (seen,) = ports(door, DEMO, device_id=router["id"])
    assert seen["device_owner"] == "network:router_interface"
    other = make(door, "router")
    busy = join(door, other["id"], port_id=port["id"])
    assert busy.status_int == 409 and kind(busy) == "PortInUse"
    again = join(door, router["id"], port_id=port["id"])
    assert again.status_int == 409 and kind(again) == "PortInUse"
    bare = make(door, "port", network_id=network["id"], fixed_ips=[])
    assert join(door, other["id"], port_id=bare["id"]).status_int == 400
    assert join(door, other["id"], port_id=new_id()).status_int == 404
    assert join(door, other["id"]).status_int == 400
    assert join(door, other["id"], port_id=port["id"], subnet_id=subnet["id"]).status_int == 400
    _, elsewhere = inside(door, "10.1.0.0/24")
    wrong = leave(door, router["id"], port_id=port["id"], subnet_id=elsewhere["id"])
    assert wrong.status_int == 400 and kind(wrong) == "SubnetMismatchForPort"
    assert leave(door, router["id"], port_id=port["id"], subnet_id=subnet["id"]).status_int == 200
    assert ask(door, "GET", f"/ports/{port['id']}").status_int == 404


def test_what_a_router_joins_does_not_overlap(door):
    network, _ = make_external(door)
    router = make(door, "router", external_gateway_info={"network_id": network["id"]})
    _, first = inside(door, "10.0.0.0/24")
    _, within = inside(door, "10.0.0.0/25")
    _, outside = inside(door, "203.0.113.128/25")
    _, bare = inside(door, "10.5.0.0/24", gateway_ip=None)
    assert join(door, router["id"], subnet_id=first["id"]).status_int == 200
    for subnet in (within, outside):
        reply = join(door, router["id"], subnet_id=subnet["id"])
        assert reply.status_int == 400 and "overlaps with cidr" in reply.text
    assert "must have a gateway IP" in join(door, router["id"], subnet_id=bare["id"]).text
    other = make(door, "router")
    assert join(door, other["id"], subnet_id=outside["id"]).status_int == 200
    late = update(door, other, external_gateway_info={"network_id": network["id"]})
    assert late.status_int == 400 and "overlaps" in late.text
    assert show(door, other)["external_gateway_info"] is None


def test_a_foreign_networks_subnet_is_not_joined(door):
    router = make(door, "router")
    shared = make(door, "network", ADMIN, shared=True)
    subnet = make_subnet(door, shared["id"], "10.7.0.0/24", ADMIN)
    reply = join(door, router["id"], subnet_id=subnet["id"])
    assert reply.status_int == 400 and "not owned by project making the request" in reply.text
    assert join(door, router["id"], ADMIN, subnet_id=subnet["id"]).status_int == 200


def test_ipv6_prefixes_of_one_network_share_a_leg(door):
    router = make(door, "router")
    network, four = inside(door)
    six = [make_subnet(door, network["id"], f"fd00:{index}::/64") for index in (1, 2)]
    legs = [join(door, router["id"], subnet_id=subnet["id"]).json for subnet in (four, *six)]
    assert legs[1]["port_id"] == legs[2]["port_id"] != legs[0]["port_id"]
    by_id = {port["id"]: port for port in ports(door, DEMO, device_id=router["id"])}
    assert len(by_id) == 2 and len(by_id[legs[1]["port_id"]]["fixed_ips"]) == 2
    assert leave(door, router["id"], subnet_id=six[0]["id"]).status_int == 200
    (remaining,) = [port for port in ports(door, DEMO, device_id=router["id"]) if port["id"] == legs[1]["port_id"]]
    assert [held["subnet_id"] for held in remaining["fixed_ips"]] == [six[1]["id"]]
    assert leave(door, router["id"], port_id=remaining["id"]).status_int == 200
    assert len(ports(door, DEMO, device_id=router["id"])) == 1


def test_extra_routes(door):
    router = make(door, "router")
    _, subnet = inside(door)
    join(door, router["id"], subnet_id=subnet["id"])
    one = {"destination": "192.168.0.0/24", "nexthop": "10.0.0.9"}
    two = {"destination": "192.168.1.0/24", "nexthop": "10.0.0.10"}
    assert update(door, router, routes=[one]).json["router"]["routes"] == [one]
    path = f"/routers/{router['id']}"
    added = ask(door, "PUT", f"{path}/add_extraroutes", {"router": {"routes": [one, two]}}).json["router"]
    assert added["routes"] == [one, two]
    for bad, words in (
        ({"destination": "192.168.0.0/24", "nexthop": "10.9.9.9"}, "nexthop is not connected"),
        ({"destination": "192.168.0.0/24", "nexthop": "10.0.0.1"}, "nexthop is used by router"),
        ({"destination": "nonsense", "nexthop": "10.0.0.9"}, "Invalid format for routes"),
        ({"destination": "fd00::/64", "nexthop": "10.0.0.9"}, "Invalid format for routes"),
    ):
        reply = update(door, router, routes=[bad])
        assert reply.status_int == 400 and words in reply.text and kind(reply) == "InvalidRoutes"
    assert update(door, router, routes=[one, one]).status_int == 400
    assert update(door, router, routes=[{"nexthop": "10.0.0.9"}]).status_int == 400
    assert show(door, router)["routes"] == [one, two]
    needed = leave(door, router["id"], subnet_id=subnet["id"])
    assert needed.status_int == 409 and kind(needed) == "RouterInterfaceInUseByRoute"
    less = ask(door, "PUT", f"{path}/remove_extraroutes", {"router": {"routes": [one]}}).json["router"]
    assert less["routes"] == [two]
    assert update(door, router, routes=[]).json["router"]["routes"] == []
    assert leave(door, router["id"], subnet_id=subnet["id"]).status_int == 200


def test_changes_touch_and_wake_the_hosts_behind_a_router(door):
    router = make(door, "router")
    network, subnet = inside(door)
    bind(door, make(door, "port", network_id=network["id"])["id"], "h7")
    door.wakes.seen.clear()
    join(door, router["id"], subnet_id=subnet["id"])
    assert door.wakes.seen == [("agent", "h7")]
    update(door, router, admin_state_up=False)
    assert door.wakes.seen == [("agent", "h7")] * 2
    leave(door, router["id"], subnet_id=subnet["id"])
    assert door.wakes.seen == [("agent", "h7")] * 3
    update(door, router, admin_state_up=True)
    assert door.wakes.seen == [("agent", "h7")] * 3


def test_the_systems_ports_are_not_deleted_as_ports(door):
    network, _ = make_external(door)
    router = make(door, "router", external_gateway_info={"network_id": network["id"]})
    _, subnet = inside(door)
    leg = join(door, router["id"], subnet_id=subnet["id"]).json["port_id"]
    (gateway,) = ports(door, network_id=network["id"])
    for port_id in (leg, gateway["id"]):
        assert ask(door, "DELETE", f"/ports/{port_id}", token=ADMIN).status_int == 409


@pytest.mark.parametrize(
    "path", ["/routers", "/floatingips", "/security-groups", "/security-group-rules", "/qos/policies"]
)
def test_a_listing_takes_as_many_statements_whatever_it_lists(door, path):
    network, _ = make_external(door)

    def more(count):
        for _ in range(count):
            make(door, "router", ADMIN, external_gateway_info={"network_id": network["id"]})
            make(door, "floatingip", ADMIN, floating_network_id=network["id"])
            make(door, "security_group", ADMIN, "/security-groups", name="g")
            make(door, "policy", ADMIN, "/qos/policies")

    seen = []
    for count in (2, 5):
        more(count)
        with Statements(door) as statements:
            listed = ask(door, "GET", path, token=ADMIN).json
        seen.append((len(next(iter(listed.values()))), len(statements.seen)))
    assert seen[1][0] > seen[0][0] and seen[1][1] == seen[0][1]


def test_the_addresses_that_a_router_stands_on_are_not_changed_as_a_ports(door):
    outside, _ = make_external(door)
    network, subnet = inside(door)
    other = make_subnet(door, network["id"], "10.0.1.0/24")
    router = make(door, "router", external_gateway_info={"network_id": outside["id"]})
    leg = join(door, router["id"], subnet_id=subnet["id"]).json["port_id"]
    guest = make(door, "port", network_id=network["id"], fixed_ips=[{"subnet_id": subnet["id"]}])
    floating = make(door, "floatingip", floating_network_id=outside["id"], port_id=guest["id"])

    def move(port_id, *wanted, token=ADMIN):
        return ask(door, "PUT", f"/ports/{port_id}", {"port": {"fixed_ips": list(wanted)}}, token)

    (way_out,) = ports(door, device_id=router["id"], device_owner="network:router_gateway")
    (held,) = ports(door, device_id=floating["id"])
    for reply in (
        move(leg, token=DEMO),
        move(leg, {"subnet_id": other["id"]}, token=DEMO),
        move(leg, {"subnet_id": subnet["id"]}, {"subnet_id": other["id"]}, token=DEMO),
        move(way_out["id"]),
        move(held["id"]),
        move(held["id"], {"ip_address": "203.0.113.7"}),
    ):
        assert reply.status_int == 409 and kind(reply) == "PortInUse", reply.text
        assert "fixed_ips" in reply.json["NeutronError"]["message"]
    assert show(door, router)["external_gateway_info"]["external_fixed_ips"] == way_out["fixed_ips"]
    # Another address of the same subnet is as good.
    moved = move(leg, {"ip_address": "10.0.0.9"}, token=DEMO)
    assert moved.json["port"]["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.9"}]
    assert move(held["id"], {"ip_address": floating["floating_ip_address"]}).status_int == 200

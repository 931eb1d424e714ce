"""Floating IPs over the Network API."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER
from network_cloud import ask, bind, join, kind, leave, make, make_external, make_subnet

from nova_lite.db.types import new_id
from nova_lite.network import port_removal

MANAGER = "mia:demo:manager"


WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


@pytest.fixture
def cloud(door):
    """An external network, a router, a network behind it and a port there."""
    external, outside = make_external(door)
    router = make(door, "router", external_gateway_info={"network_id": external["id"]})
    network = make(door, "network")
    subnet = make_subnet(door, network["id"], "10.0.0.0/24")
    assert join(door, router["id"], subnet_id=subnet["id"]).status_int == 200
    port = make(door, "port", network_id=network["id"])
    return {
        "external": external["id"],
        "outside": outside,
        "router": router["id"],
        "network": network["id"],
        "subnet": subnet["id"],
        "port": port["id"],
        "fixed": port["fixed_ips"][0]["ip_address"],
    }


def create(door, token=DEMO, **members):
    return ask(door, "POST", "/floatingips", {"floatingip": members}, token)


def update(door, floating, token=DEMO, **members):
    return ask(door, "PUT", f"/floatingips/{floating['id']}", {"floatingip": members}, token)


def test_a_floating_ip_from_taking_to_giving_back(door, cloud):
    made = make(door, "floatingip", floating_network_id=cloud["external"], description="d")
    assert made["status"] == "DOWN" and made["port_id"] is None and made["router_id"] is None
    assert made["floating_ip_address"].startswith("203.0.113.") and "name" not in made
    held = ask(door, "GET", f"/ports?device_id={made['id']}", token=ADMIN).json["ports"]
    assert [port["device_owner"] for port in held] == ["network:floatingip"] and held[0]["status"] == "N/A"
    led = update(door, made, port_id=cloud["port"]).json["floatingip"]
    assert led["status"] == "ACTIVE" and led["port_id"] == cloud["port"] and led["router_id"] == cloud["router"]
    assert led["fixed_ip_address"] == cloud["fixed"] and led["port_details"]["network_id"] == cloud["network"]
    assert [item["id"] for item in ask(door, "GET", "/floatingips?status=ACTIVE").json["floatingips"]] == [made["id"]]
    assert ask(door, "GET", "/floatingips?status=DOWN").json["floatingips"] == []
    by_port = ask(door, "GET", f"/floatingips?port_id={cloud['port']}&fixed_ip_address={cloud['fixed']}").json
    assert len(by_port["floatingips"]) == 1
    # What says nothing of the port leaves it.
    assert update(door, made, description="new").json["floatingip"]["port_id"] == cloud["port"]
    assert update(door, made, port_id=None).json["floatingip"]["status"] == "DOWN"
    assert update(door, made, port_id=cloud["port"]).json["floatingip"]["port_id"] == cloud["port"]
    assert update(door, made).json["floatingip"]["port_id"] is None, (
        "a body without a member takes it away, as upstream"
    )
    assert ask(door, "PUT", f"/floatingips/{made['id']}/tags", {"tags": ["a"]}).status_int == 200
    assert ask(door, "GET", f"/floatingips/{made['id']}").json["floatingip"]["tags"] == ["a"]
    assert ask(door, "DELETE", f"/floatingips/{made['id']}").status_int == 204
    gone = ask(door, "GET", f"/floatingips/{made['id']}")
    assert gone.status_int == 404 and kind(gone) == "FloatingIpNotFound"
    assert ask(door, "GET", f"/ports?device_id={made['id']}", token=ADMIN).json["ports"] == []


def test_it_is_taken_with_its_port_at_once(door, cloud):
    made = make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    assert made["status"] == "ACTIVE" and made["fixed_ip_address"] == cloud["fixed"]
    second = create(door, floating_network_id=cloud["external"], port_id=cloud["port"])
    assert second.status_int == 409 and kind(second) == "FloatingIpPortAlreadyAssociated"
    assert len(ask(door, "GET", "/floatingips").json["floatingips"]) == 1


def test_an_address_that_is_named(door, cloud):
    named = {"floating_network_id": cloud["external"], "floating_ip_address": "203.0.113.50"}
    assert create(door, **named).status_int == 403
    assert create(door, MANAGER, **named).json["floatingip"]["floating_ip_address"] == "203.0.113.50"
    taken = create(door, ADMIN, **named)
    assert taken.status_int == 409
    assert create(door, ADMIN, **{**named, "floating_ip_address": "192.0.2.1"}).status_int == 400
    assert create(door, ADMIN, **{**named, "floating_ip_address": "nonsense"}).status_int == 400
    more = make_subnet(door, cloud["external"], "198.51.100.0/24", ADMIN)
    chosen = make(door, "floatingip", floating_network_id=cloud["external"], subnet_id=more["id"])
    assert chosen["floating_ip_address"].startswith("198.51.100.")
    assert create(door, floating_network_id=cloud["external"], subnet_id=new_id()).status_int == 400


def test_it_needs_an_external_network_that_reaches_the_port(door, cloud):
    inner = create(door, floating_network_id=cloud["network"])
    assert inner.status_int == 400 and "is not a valid external network" in inner.text
    assert create(door, floating_network_id=new_id()).status_int == 404
    assert create(door).status_int == 400
    elsewhere, _ = make_external(door, "198.51.100.0/24")
    reply = create(door, floating_network_id=elsewhere["id"], port_id=cloud["port"])
    assert reply.status_int == 404 and kind(reply) == "ExternalGatewayForFloatingIpNotFound"
    assert f"External network {elsewhere['id']} is not reachable from subnet {cloud['subnet']}" in reply.text
    empty = make(door, "network", ADMIN, **{"router:external": True})
    assert "does not contain any IPv4 subnet" in create(door, floating_network_id=empty["id"]).text
    assert create(door, floating_network_id=cloud["external"], port_id=new_id()).status_int == 404
    assert ask(door, "GET", "/floatingips").json["floatingips"] == []


def test_which_address_of_the_port_it_leads_to(door, cloud):
    two = make(
        door,
        "port",
        network_id=cloud["network"],
        fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}],
    )
    members = {"floating_network_id": cloud["external"], "port_id": two["id"]}
    assert "multiple fixed IPv4 addresses" in create(door, **members).text
    one = create(door, **members, fixed_ip_address="10.0.0.51").json["floatingip"]
    assert one["fixed_ip_address"] == "10.0.0.51"
    other = create(door, **members, fixed_ip_address="10.0.0.50")
    assert other.status_int == 201
    assert "does not have fixed ip" in create(door, **members, fixed_ip_address="10.0.0.52").text
    alone = create(door, floating_network_id=cloud["external"], fixed_ip_address="10.0.0.50")
    assert alone.status_int == 400 and "without a port_id" in alone.text
    bare = make(door, "port", network_id=cloud["network"], fixed_ips=[])
    assert "no fixed IPv4 addresses" in create(door, floating_network_id=cloud["external"], port_id=bare["id"]).text
    moved = update(door, one, port_id=cloud["port"], fixed_ip_address=cloud["fixed"]).json["floatingip"]
    assert moved["port_id"] == cloud["port"]


def test_who_sees_and_changes_which(door, cloud):
    mine = make(door, "floatingip", floating_network_id=cloud["external"])
    path = f"/floatingips/{mine['id']}"
    assert ask(door, "GET", path, token=OTHER).status_int == 404
    assert update(door, mine, OTHER, port_id=None).status_int == 404
    assert ask(door, "DELETE", path, token=OTHER).status_int == 404
    assert ask(door, "GET", path, token=READER).status_int == 200
    assert ask(door, "DELETE", path, token=READER).status_int == 403
    theirs = make(door, "floatingip", OTHER, floating_network_id=cloud["external"])
    assert update(door, theirs, OTHER, port_id=cloud["port"]).status_int == 404
    foreign = {"floating_network_id": cloud["external"], "tenant_id": "other"}
    assert create(door, **foreign).status_int == 403
    given = create(door, ADMIN, **foreign).json["floatingip"]
    assert given["project_id"] == "other"


def test_router_parts_that_it_needs_stay(door, cloud):
    made = make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    kept = leave(door, cloud["router"], subnet_id=cloud["subnet"])
    assert kept.status_int == 409 and kind(kept) == "RouterInterfaceInUseByFloatingIp"
    path = f"/routers/{cloud['router']}"
    gateway = ask(door, "PUT", path, {"router": {"external_gateway_info": {}}})
    assert gateway.status_int == 409 and kind(gateway) == "RouterExternalGatewayInUseByFloatingIp"
    assert ask(door, "DELETE", path).status_int == 409
    assert update(door, made, port_id=None).status_int == 200
    assert leave(door, cloud["router"], subnet_id=cloud["subnet"]).status_int == 200
    assert ask(door, "DELETE", path).status_int == 204


def test_it_leads_nowhere_when_its_port_goes(door, cloud):
    made = make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    door.store.transact(lambda session: port_removal.drop(session, [cloud["port"]]))
    left = ask(door, "GET", f"/floatingips/{made['id']}").json["floatingip"]
    assert left["status"] == "DOWN" and left["port_id"] is None and left["fixed_ip_address"] is None


def test_the_guests_host_is_touched_and_woken(door, cloud):
    bind(door, cloud["port"], "h3")
    door.wakes.seen.clear()
    made = make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    update(door, made, port_id=None)
    update(door, made, port_id=cloud["port"])
    assert ask(door, "DELETE", f"/floatingips/{made['id']}").status_int == 204
    assert door.wakes.seen == [("agent", "h3")] * 4


def test_an_address_that_ports_share_wakes_the_hosts_of_its_network(door, cloud):
    """The port that stands for it is on no host: whoever has a port on its network may have the address."""
    pairs = [{"ip_address": cloud["fixed"]}]
    for host in ("h3", "h4"):
        bind(door, make(door, "port", network_id=cloud["network"], allowed_address_pairs=pairs)["id"], host)
    door.wakes.seen.clear()
    made = make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    assert made["status"] == "ACTIVE" and sorted(door.wakes.seen) == [("agent", "h3"), ("agent", "h4")]
    door.wakes.seen.clear()
    assert ask(door, "DELETE", f"/ports/{cloud['port']}").status_int == 204
    assert {("agent", "h3"), ("agent", "h4")} <= set(door.wakes.seen)


def test_what_the_body_may_not_say(door, cloud):
    for members in (
        {"floating_network_id": "no-uuid"},
        {"floating_network_id": cloud["external"], "unknown": 1},
        {"floating_network_id": cloud["external"], "description": "a\nb"},
        {"floating_network_id": cloud["external"], "fixed_ip_address": "nonsense", "port_id": cloud["port"]},
    ):
        assert create(door, **members).status_int == 400
    limited = create(door, floating_network_id=cloud["external"], qos_policy_id=new_id())
    assert limited.status_int == 404 and kind(limited) == "QosPolicyNotFound"


def test_an_external_network_goes_with_the_floating_ips_that_lead_nowhere(door, cloud):
    other, _ = make_external(door, "198.51.100.0/24")
    idle = make(door, "floatingip", floating_network_id=other["id"])
    assert ask(door, "DELETE", f"/networks/{other['id']}", token=ADMIN).status_int == 204
    assert ask(door, "GET", f"/floatingips/{idle['id']}").status_int == 404
    make(door, "floatingip", floating_network_id=cloud["external"], port_id=cloud["port"])
    assert ask(door, "DELETE", f"/networks/{cloud['external']}", token=ADMIN).status_int == 409

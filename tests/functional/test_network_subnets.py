"""Subnets of both IP versions, their changes, and the pools that they come from."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER
from network_cloud import make, make_external

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def ask(door, method, path, body=None, token=DEMO):
    return door.ask(method, f"/network/v2.0{path}", body, token=token)


def network(door, token=DEMO, **members):
    reply = ask(door, "POST", "/networks", {"network": members}, token)
    assert reply.status_int == 201, reply.text
    return reply.json["network"]["id"]


def subnet(door, network_id, cidr=None, version=4, token=DEMO, **members):
    body = {"network_id": network_id, "ip_version": version, **members} | ({"cidr": cidr} if cidr else {})
    return ask(door, "POST", "/subnets", {"subnet": body}, token)


def port(door, network_id, token=DEMO, **members):
    return ask(door, "POST", "/ports", {"port": {"network_id": network_id, **members}}, token)


def pool(door, token=DEMO, **members):
    wanted = {"name": "pool", "prefixes": ["10.0.0.0/16"], **members}
    return ask(door, "POST", "/subnetpools", {"subnetpool": wanted}, token)


SLAAC = {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
MAC = "fa:16:3e:aa:bb:cc"
EUI = "fd00::f816:3eff:feaa:bbcc"


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateless"])
def test_guests_make_their_address_of_their_mac(door, mode):
    found = network(door)
    before = port(door, found, mac_address="fa:16:3e:00:00:01").json["port"]
    assert before["fixed_ips"] == [] and before["ip_allocation"] == "none"
    made = subnet(door, found, "fd00::/64", 6, ipv6_address_mode=mode, ipv6_ra_mode=mode)
    assert made.status_int == 201, made.text
    six = made.json["subnet"]["id"]
    held = ask(door, "GET", f"/ports/{before['id']}").json["port"]["fixed_ips"]
    assert held == [{"subnet_id": six, "ip_address": "fd00::f816:3eff:fe00:1"}]
    new = port(door, found, mac_address=MAC).json["port"]
    assert new["fixed_ips"] == [{"subnet_id": six, "ip_address": EUI}]
    four = subnet(door, found, "10.0.0.0/24").json["subnet"]["id"]
    both = port(door, found, fixed_ips=[{"subnet_id": four}]).json["port"]["fixed_ips"]
    assert {each["subnet_id"] for each in both} == {four, six}
    other = port(door, found, fixed_ips=[{"subnet_id": six, "ip_address": "fd00::5"}])
    assert (other.status_int, other.json["NeutronError"]["type"]) == (400, "AllocationOnAutoAddressSubnet")
    moved = ask(door, "PUT", f"/ports/{new['id']}", {"port": {"mac_address": "fa:16:3e:00:00:09"}}).json["port"]
    assert moved["fixed_ips"] == [{"subnet_id": six, "ip_address": "fd00::f816:3eff:fe00:9"}]
    # Such addresses go with their subnet.
    assert ask(door, "DELETE", f"/subnets/{six}").status_int == 204
    assert ask(door, "GET", f"/ports/{new['id']}").json["port"]["fixed_ips"] == []


def test_stateful_addresses_come_from_the_pools(door):
    found = network(door)
    mode = {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"}
    pools = [{"start": "fd00::10", "end": "fd00::11"}]
    assert subnet(door, found, "fd00::/120", 6, allocation_pools=pools, **mode).status_int == 201
    given = {port(door, found).json["port"]["fixed_ips"][0]["ip_address"] for _ in range(2)}
    assert given == {"fd00::10", "fd00::11"} and port(door, found).status_int == 409


@pytest.mark.parametrize(
    "members",
    [
        {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "dhcpv6-stateless"},
        {"ipv6_address_mode": "nonsense"},
        {**SLAAC, "enable_dhcp": False},
        {**SLAAC, "cidr": "fd00::/80"},
        {**SLAAC, "cidr": "10.0.0.0/24", "ip_version": 4},
        {"gateway_ip": "fd01::1"},
        {"host_routes": [{"destination": "10.0.0.0/8", "nexthop": "fd00::1"}]},
        {"dns_nameservers": ["a\nb"]},
    ],
)
def test_an_ipv6_subnet_that_can_not_be(door, members):
    wanted = {"cidr": "fd00::/64", "ip_version": 6, **members}
    reply = ask(door, "POST", "/subnets", {"subnet": {"network_id": network(door), **wanted}})
    assert reply.status_int == 400, reply.text


def test_ipv6_needs_its_mtu(door):
    assert subnet(door, network(door, mtu=1279), "fd00::/64", 6).status_int == 409
    found = network(door, mtu=1280)
    assert subnet(door, found, "fd00::/64", 6, gateway_ip="fe80::1").json["subnet"]["gateway_ip"] == "fe80::1"
    assert ask(door, "PUT", f"/networks/{found}", {"network": {"mtu": 1279}}).status_int == 409


def test_a_subnet_is_changed(door):
    made = subnet(door, network(door), "10.0.0.0/24").json["subnet"]
    path = f"/subnets/{made['id']}"
    routes = [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"}]
    wanted = {
        "name": "new",
        "enable_dhcp": False,
        "gateway_ip": "10.0.0.254",
        "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.9"}],
        "dns_nameservers": ["9.9.9.9"],
        "host_routes": routes,
    }
    changed = ask(door, "PUT", path, {"subnet": wanted}).json["subnet"]
    assert {name: changed[name] for name in wanted} == wanted and changed["revision_number"] == 1
    for members, status in (
        ({"gateway_ip": "10.0.0.5"}, 409),
        ({"gateway_ip": "10.1.0.1"}, 400),
        ({"allocation_pools": [{"start": "10.0.0.250", "end": "10.0.0.254"}]}, 409),
        ({"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.2"}]}, 400),
        ({"cidr": "10.1.0.0/24"}, 400),
        ({"ipv6_ra_mode": "slaac"}, 400),
        ({"dns_nameservers": [f"9.9.9.{last}" for last in range(6)]}, 400),
    ):
        assert ask(door, "PUT", path, {"subnet": members}).status_int == status, members
    assert ask(door, "PUT", path, {"subnet": {"gateway_ip": None}}).json["subnet"]["gateway_ip"] is None


def test_subnets_come_from_a_pool(door):
    made = pool(door, prefixes=["10.0.0.0/23", "10.0.2.0/24"], default_prefixlen=24, min_prefixlen=24).json[
        "subnetpool"
    ]
    assert made["prefixes"] == ["10.0.0.0/23", "10.0.2.0/24"] and made["default_prefixlen"] == "24"
    given = [subnet(door, network(door), subnetpool_id=made["id"]).json["subnet"] for _ in range(2)]
    assert [each["cidr"] for each in given] == ["10.0.0.0/24", "10.0.1.0/24"]
    small = subnet(door, network(door), subnetpool_id=made["id"], prefixlen=26).json["subnet"]
    assert small["cidr"] == "10.0.2.0/26" and small["subnetpool_id"] == made["id"]
    named = subnet(door, network(door), "10.0.2.128/25", subnetpool_id=made["id"])
    assert named.json["subnet"]["cidr"] == "10.0.2.128/25"
    for members, status in (
        ({}, 409),
        ({"prefixlen": 23}, 400),
        ({"cidr": "10.0.2.128/26"}, 409),
        ({"cidr": "10.9.0.0/24"}, 409),
        ({"version": 6}, 400),
    ):
        assert subnet(door, network(door), subnetpool_id=made["id"], **members).status_int == status, members
    assert subnet(door, network(door, OTHER), subnetpool_id=made["id"], token=OTHER).status_int == 404
    assert subnet(door, network(door)).status_int == 400
    assert ask(door, "DELETE", f"/subnetpools/{made['id']}").status_int == 400
    assert ask(door, "DELETE", f"/subnets/{given[0]['id']}").status_int == 204
    assert subnet(door, network(door), subnetpool_id=made["id"]).json["subnet"]["cidr"] == "10.0.0.0/24"


def test_a_pools_quota_and_its_changes(door):
    made = pool(door, default_quota=512, default_prefixlen=24).json["subnetpool"]
    assert [subnet(door, network(door), subnetpool_id=made["id"]).status_int for _ in range(3)] == [201, 201, 409]
    path = f"/subnetpools/{made['id']}"
    assert ask(door, "PUT", path, {"subnetpool": {"prefixes": ["10.1.0.0/16"]}}).status_int == 400
    grown = ask(door, "PUT", path, {"subnetpool": {"prefixes": ["10.0.0.0/16", "10.1.0.0/16"], "default_quota": None}})
    assert grown.json["subnetpool"]["prefixes"] == ["10.0.0.0/15"]
    assert ask(door, "PUT", path, {"subnetpool": {"min_prefixlen": 30, "max_prefixlen": 20}}).status_int == 400
    assert ask(door, "PUT", path, {"subnetpool": {"is_default": True}}).status_int == 403
    assert pool(door, shared=True).status_int == 403
    for members in (
        {"prefixes": []},
        {"prefixes": ["nonsense"]},
        {"prefixes": ["10.0.0.0/8", "fd00::/48"]},
        {"prefixes": ["0.0.0.0/0"]},
        {"max_prefixlen": 33},
        {"default_prefixlen": 4},
        {"name": "a\nb"},
    ):
        assert pool(door, **members).status_int == 400, members


def test_the_default_pool(door):
    assert subnet(door, network(door), use_default_subnetpool=True).status_int == 400
    assert pool(door, ADMIN, is_default=True, shared=True, default_prefixlen=24).status_int == 201
    assert pool(door, ADMIN, is_default=True).status_int == 400
    assert pool(door, ADMIN, is_default=True, prefixes=["fd00::/48"]).status_int == 201
    assert subnet(door, network(door), use_default_subnetpool=True).json["subnet"]["cidr"] == "10.0.0.0/24"
    assert subnet(door, network(door), version=6, use_default_subnetpool=True).json["subnet"]["cidr"] == "fd00::/64"


def service(door, network_id, cidr, *types, **members):
    made = subnet(door, network_id, cidr, 6 if ":" in cidr else 4, service_types=list(types), **members)
    assert made.status_int == 201, made.text
    assert made.json["subnet"]["service_types"] == list(types)
    return made.json["subnet"]["id"]


def places(reply):
    assert reply.status_int == 201, reply.text
    return {each["subnet_id"] for each in reply.json["port"]["fixed_ips"]}


def test_subnets_for_ports_of_some_owners(door):
    found = network(door)
    guests = service(door, found, "10.0.0.0/24", "compute:nova", "compute:home")
    owned = {"device_owner": "compute:nova"}
    assert places(port(door, found, **owned)) == {guests}
    refused = port(door, found)
    assert refused.status_int == 409 and found in refused.text, "every subnet is for others"
    assert refused.json["NeutronError"]["type"] == "IpAddressGenerationFailureNoMatchingSubnet"
    for fixed in ({"subnet_id": guests}, {"ip_address": "10.0.0.9"}):
        assert port(door, found, fixed_ips=[fixed]).status_int == 409
    assert places(port(door, found, fixed_ips=[])) == set()
    rest = service(door, found, "10.1.0.0/24")
    assert places(port(door, found)) == {rest}
    assert port(door, found, fixed_ips=[{"subnet_id": guests}]).status_int == 400
    assert places(port(door, found, **owned)) == {guests}, "what is for it comes first"
    assert places(port(door, found, fixed_ips=[{"subnet_id": rest}], **owned)) == {rest}
    # What ports hold they keep, and what they ask for later is judged alike.
    held = port(door, found, **owned).json["port"]
    assert ask(door, "PUT", f"/subnets/{guests}", {"subnet": {"service_types": ["network:dhcp"]}}).status_int == 200
    assert ask(door, "GET", f"/ports/{held['id']}").json["port"]["fixed_ips"] == held["fixed_ips"]
    more = {"port": {"fixed_ips": [*held["fixed_ips"], {"subnet_id": rest}]}}
    assert len(ask(door, "PUT", f"/ports/{held['id']}", more).json["port"]["fixed_ips"]) == 2
    more["port"]["fixed_ips"].append({"subnet_id": guests})
    assert ask(door, "PUT", f"/ports/{held['id']}", more).status_int == 400
    assert (
        ask(door, "PUT", f"/subnets/{guests}", {"subnet": {"service_types": []}}).json["subnet"]["service_types"] == []
    )
    assert places(port(door, found)) == {guests}


def test_a_subnet_is_full_and_the_next_one_is_taken(door):
    found = network(door)
    small = service(door, found, "10.0.0.0/30", "compute:nova", gateway_ip=None)
    rest = service(door, found, "10.1.0.0/24")
    taken = [places(port(door, found, device_owner="compute:nova")) for _ in range(3)]
    assert taken == [{small}, {small}, {rest}]


def test_automatic_addresses_of_some_owners_alone(door):
    found = network(door)
    before = [
        port(door, found, mac_address=f"fa:16:3e:00:00:0{n}", device_owner=owner).json["port"]["id"]
        for n, owner in enumerate(("", "compute:nova"))
    ]
    six = service(door, found, "fd00::/64", "compute:nova", **SLAAC)
    held = [ask(door, "GET", f"/ports/{each}").json["port"]["fixed_ips"] for each in before]
    assert held[0] == [] and [each["subnet_id"] for each in held[1]] == [six]
    four = service(door, found, "10.0.0.0/24")
    assert places(port(door, found)) == {four}
    assert places(port(door, found, device_owner="compute:nova")) == {four, six}


def test_floating_ips_and_gateways_have_subnets_of_their_own(door):
    external, _ = make_external(door, "203.0.113.0/24")
    floats = ask(
        door,
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": external["id"],
                "ip_version": 4,
                "cidr": "198.51.100.0/24",
                "service_types": ["network:floatingip"],
            }
        },
        ADMIN,
    ).json["subnet"]["id"]
    made = make(door, "floatingip", floating_network_id=external["id"])
    assert made["floating_ip_address"].startswith("198.51.100.")
    router = make(door, "router", external_gateway_info={"network_id": external["id"]})
    (fixed,) = router["external_gateway_info"]["external_fixed_ips"]
    assert fixed["ip_address"].startswith("203.0.113.") and fixed["subnet_id"] != floats
    for subnet_id in {fixed["subnet_id"], floats}:
        body = {"subnet": {"service_types": ["compute:nova"]}}
        assert ask(door, "PUT", f"/subnets/{subnet_id}", body, ADMIN).status_int == 200
    refused = ask(door, "POST", "/floatingips", {"floatingip": {"floating_network_id": external["id"]}})
    assert refused.status_int == 409
    wanted = {"router": {"external_gateway_info": {"network_id": external["id"]}}}
    assert ask(door, "POST", "/routers", wanted).status_int == 409


def test_service_types_that_are_none(door):
    found = network(door)
    for wrong in ("compute:nova", ["nova"], [1], ["compute:nova", "compute:nova"], ["network:a\nb"], [""]):
        made = subnet(door, found, "10.0.0.0/24", service_types=wrong)
        assert made.status_int == 400 and "service_types" in made.text, wrong

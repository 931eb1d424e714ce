"""What the Network API says of bad input: Neutron's type of error, and a message that names the field."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO
from network_cloud import ask, kind, make, make_external, make_subnet

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def said(reply, status=400):
    assert reply.status_int == status, reply.text
    return reply.json["NeutronError"]["message"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"gateway_ip": "abc"}, ["gateway_ip", "'abc' is not a 'ipv4' or 'ipv6'"]),
        ({"dns_nameservers": ["8.8.8.8", "8.8.8.300"]}, ["dns_nameservers[1]", "'8.8.8.300'"]),
        ({"dns_nameservers": ["8.8.8.8"] * 6}, ["dns_nameservers"]),
        ({"host_routes": [{"destination": "10.9.0.0/16"}]}, ["host_routes[0]", "'nexthop' is a required property"]),
        ({"host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}] * 2}, ["host_routes", "unique"]),
        ({"allocation_pools": [{"start": "x", "end": "10.0.0.9"}]}, ["start", "'x' is not a 'ipv4' or 'ipv6'"]),
        ({"name": "a\nb"}, ["name", "is not a text without control characters"]),
    ],
)
def test_a_subnets_bad_field_is_named(door, members, words):
    network = make(door, "network")
    body = {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **members}}
    reply = ask(door, "POST", "/subnets", body)
    message = said(reply)
    assert all(word in message for word in words) and "subnet." not in message, message
    assert kind(reply) == "HTTPBadRequest"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "wide"}]}, ["extra_dhcp_opts", "mtu", "'wide'"]),
        ({"extra_dhcp_opts": [{"opt_name": "no-such", "opt_value": "1"}]}, ["extra_dhcp_opts", "'no-such'"]),
        ({"extra_dhcp_opts": [{"opt_name": "53", "opt_value": "1"}]}, ["extra_dhcp_opts", "53"]),
        ({"extra_dhcp_opts": [{"opt_name": "dns-server", "opt_value": "x"}]}, ["extra_dhcp_opts", "dns-server"]),
        ({"extra_dhcp_opts": [{"opt_name": "mtu,x", "opt_value": "1"}]}, ["opt_name", "of a DHCP option"]),
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9"}]}, ["fixed_ips", "10.0.0.9"]),
        ({"fixed_ips": [{}]}, ["fixed_ips[0]", "'ip_address', 'subnet_id'"]),
        ({"allowed_address_pairs": [{"ip_address": "x"}]}, ["ip_address", "'cidr'"]),
        ({"security_groups": ["x"]}, ["security_groups[0]", "'uuid'"]),
        ({"dns_name": "a_b"}, ["dns_name", "is not a host name"]),
    ],
)
def test_a_ports_bad_field_is_named(door, members, words):
    network = make(door, "network")
    make_subnet(door, network["id"], "10.0.0.0/24")
    port = make(door, "port", network_id=network["id"])
    for reply in (
        ask(door, "POST", "/ports", {"port": {"network_id": network["id"], **members}}),
        ask(door, "PUT", f"/ports/{port['id']}", {"port": members}),
    ):
        message = said(reply)
        assert all(word in message for word in words), message


def test_lists_of_a_subnet_may_be_null(door):
    network = make(door, "network")
    subnet = make_subnet(door, network["id"], "10.0.0.0/24", dns_nameservers=None, host_routes=None)
    assert subnet["dns_nameservers"] == [] and subnet["host_routes"] == []
    body = {"subnet": {"dns_nameservers": None, "host_routes": None}}
    assert ask(door, "PUT", f"/subnets/{subnet['id']}", body).json["subnet"]["dns_nameservers"] == []


def test_types_of_errors_are_neutrons(door):
    assert kind(ask(door, "PATCH", "/networks")) == "HTTPMethodNotAllowed"
    text = ask(door, "POST", "/networks", "x", Content_Type="text/plain")
    assert text.status_int == 415 and kind(text) == "HTTPUnsupportedMediaType"
    gateway = ask(door, "POST", "/routers", {"router": {"external_gateway_info": {"enable_snat": True}}})
    assert kind(gateway) == "HTTPBadRequest"
    assert "One of ['network', 'networks'] is required" in said(ask(door, "POST", "/networks", {}))


def test_no_text_has_a_nul(door):
    network = make(door, "network", ADMIN)
    for query in ("name=%00", "tags=a%00", "marker=%00"):
        assert query.partition("=")[0] in said(ask(door, "GET", f"/networks?{query}"))
    profile = {"port": {"network_id": network["id"], "binding:profile": {"a": ["\0"]}}}
    assert "a[0]" in said(ask(door, "POST", "/ports", profile, ADMIN))
    pool = {"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"], "default_quota": 1 << 31}}
    assert "default_quota" in said(ask(door, "POST", "/subnetpools", pool))


def test_two_names_of_a_project_agree(door):
    body = {"network": {"tenant_id": "demo", "project_id": "other"}}
    assert said(ask(door, "POST", "/networks", body, ADMIN)) == "'project_id' and 'tenant_id' do not match"
    assert (
        ask(door, "POST", "/networks", {"network": {"tenant_id": "demo", "project_id": "demo"}}, DEMO).status_int == 201
    )


def test_nothing_is_lent_to_everybody_by_leaving_the_target_out(door):
    network = make(door, "network", ADMIN)
    wanted = {"object_type": "network", "object_id": network["id"], "action": "access_as_shared"}
    assert "target_tenant" in said(ask(door, "POST", "/rbac-policies", {"rbac_policy": wanted}, ADMIN))
    assert ask(door, "GET", f"/networks/{network['id']}", token=ADMIN).json["network"]["shared"] is False


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("revision_number=x", "revision_number"),
        ("admin_state_up=maybe", "admin_state_up"),
        ("shared=maybe", "shared"),
        ("limit=-1", "limit"),
        ("created_at=soon", "created_at"),
        ("changed_since=soon", "changed_since"),
        ("sort_key=name&sort_key=foo", "sort_key"),
        ("sort_key=name&sort_dir=up", "sort_dir"),
    ],
)
def test_a_bad_filter_is_named(door, query, word):
    assert word in said(ask(door, "GET", f"/networks?{query}"))


THINGS = ["networks", "subnets", "ports", "routers", "floatingips", "security-groups", "security-group-rules"]
THINGS += ["subnetpools", "address-groups", "qos/policies"]


@pytest.mark.parametrize("path", THINGS)
def test_all_things_are_found_and_sorted_by_their_times(door, path):
    network = make(door, "network")
    make_subnet(door, network["id"], "10.0.0.0/24")
    member = path.rpartition("/")[2].replace("-", "_")
    everything = ask(door, "GET", f"/{path}?sort_key=created_at&sort_key=id").json[member]
    assert ask(door, "GET", f"/{path}?sort_key=updated_at&sort_dir=desc").status_int == 200
    for each in everything:
        found = ask(door, "GET", f"/{path}?created_at={each['created_at']}&id={each['id']}").json[member]
        assert [one["id"] for one in found] == [each["id"]]
    assert ask(door, "GET", f"/{path}?changed_since=2001-01-01T00:00:00Z").json[member] or not everything
    assert ask(door, "GET", f"/{path}?created_at=9999-12-31T23:59:59Z").json[member] == []
    assert ask(door, "GET", f"/{path}?changed_since=2999-01-01T00:00:00Z").json[member] == []
    assert ask(door, "GET", f"/{path}?revision_number=999").json[member] == []


def test_statuses_of_routers_and_floating_ips(door):
    outside, _ = make_external(door)
    router = make(door, "router")
    floating = make(door, "floatingip", floating_network_id=outside["id"])

    def ids(path):
        (found,) = ask(door, "GET", path).json.values()
        return [each["id"] for each in found]

    assert ids("/routers?status=ACTIVE") == [router["id"]] and ids("/routers?status=ERROR") == []
    assert ids("/floatingips?status=DOWN") == ids("/floatingips?status=DOWN&status=ACTIVE") == [floating["id"]]
    assert ids("/floatingips?status=ERROR") == ids("/floatingips?status=ACTIVE") == []


def test_only_the_fields_asked_for(door):
    network = make(door, "network", ADMIN)
    path = f"/network-ip-availabilities?network_id={network['id']}&fields=total_ips"
    assert ask(door, "GET", path, token=ADMIN).json == {"network_ip_availabilities": [{"total_ips": 0}]}
    zones = ask(door, "GET", "/availability_zones?resource=network&fields=name").json["availability_zones"]
    assert all(set(zone) == {"name"} for zone in zones)


def test_more_addresses_than_64_bits_count(door):
    network = make(door, "network", ADMIN)
    for cidr in ("fd00:1::/48", "10.0.0.0/24"):
        make_subnet(door, network["id"], cidr, ADMIN)
    path = f"/network-ip-availabilities/{network['id']}"
    seen = ask(door, "GET", path, token=ADMIN)
    assert seen.status_int == 200
    assert seen.json["network_ip_availability"]["total_ips"] == (1 << 80) - 2 + 253


def test_addresses_of_a_port_come_in_their_order(door):
    network = make(door, "network")
    make_subnet(door, network["id"], "10.0.0.0/24")
    wanted = ["10.0.0.100", "10.0.0.9", "10.0.0.20"]
    port = make(door, "port", network_id=network["id"], fixed_ips=[{"ip_address": address} for address in wanted])
    assert [held["ip_address"] for held in port["fixed_ips"]] == ["10.0.0.9", "10.0.0.20", "10.0.0.100"]


def test_of_several_forms_the_one_that_was_meant_is_explained(door):
    network = make(door, "network")

    def refused(networks):
        server = {"name": "s", "imageRef": network["id"], "flavorRef": "1", "networks": networks}
        reply = door.ask(
            "POST", "/compute/v2.1/servers", {"server": server}, token=DEMO, OpenStack_API_Version="compute 2.96"
        )
        assert reply.status_int == 400
        return reply.json["badRequest"]["message"]

    assert "networks. Value: foo. 'foo' is not one of ['none', 'auto']" in refused("foo")
    assert "attribute fixed_ip. Value: x." in refused([{"uuid": network["id"], "fixed_ip": "x"}])
    assert "attribute tag." in refused([{"uuid": network["id"], "tag": "a/b"}])

"""What the Network API says of bad input: Neutron's type of error, and a message that names the field."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, seed
from network_cloud import ask, kind, make, make_subnet


@pytest.fixture
def door(compute_door):
    seed(compute_door, network=False)
    return compute_door


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
        ({"extra_dhcp_opts": [{"opt_name": "dns-server", "opt_value": "fd00::1"}]}, ["extra_dhcp_opts", "dns-server"]),
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

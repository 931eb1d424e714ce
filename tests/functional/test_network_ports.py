"""What ports can be given and what is changed of them: addresses, groups, security, pairs, DHCP options, names, binding."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER, Statements, boot, build

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def ask(door, method, path, body=None, token=DEMO):
    return door.ask(method, f"/network/v2.0{path}", body, token=token)


def network(door, token=DEMO, cidr="10.0.0.0/24", **members):
    found = ask(door, "POST", "/networks", {"network": members}, token).json["network"]["id"]
    subnet = {"network_id": found, "ip_version": 4, "cidr": cidr}
    assert ask(door, "POST", "/subnets", {"subnet": subnet}, token).status_int == 201
    return found


def port(door, network_id, token=DEMO, **members):
    return ask(door, "POST", "/ports", {"port": {"network_id": network_id, **members}}, token)


def change(door, made, token=DEMO, **members):
    return ask(door, "PUT", f"/ports/{made['id']}", {"port": members}, token)


def group(door, name="web", token=DEMO):
    made = ask(door, "POST", "/security-groups", {"security_group": {"name": name}}, token)
    return made.json["security_group"]["id"]


def default_group(door, token=DEMO):
    return ask(door, "GET", "/security-groups?name=default", token=token).json["security_groups"][0]["id"]


def test_ports_are_in_their_projects_default_group(door):
    found = network(door)
    made = port(door, found).json["port"]
    assert made["security_groups"] == [default_group(door)] and made["port_security_enabled"] is True
    web = group(door)
    assert port(door, found, security_groups=[web]).json["port"]["security_groups"] == [web]
    assert port(door, found, security_groups=[]).json["port"]["security_groups"] == []
    theirs = group(door, token=OTHER)
    assert port(door, found, security_groups=[theirs]).status_int == 404
    changed = change(door, made, security_groups=[web]).json["port"]
    assert changed["security_groups"] == [web] and changed["revision_number"] == 1
    assert change(door, made, security_groups=[theirs]).status_int == 404
    listed = ask(door, "GET", f"/ports?security_groups={web}").json["ports"]
    assert len(listed) == 2
    server = boot(door).json["server"]["id"]
    (own,) = ask(door, "GET", f"/ports?device_id={server}").json["ports"]
    assert own["security_groups"] == [default_group(door)]


def test_port_security_off(door):
    found = network(door)
    web = group(door)
    made = port(door, found, port_security_enabled=False).json["port"]
    assert made["security_groups"] == [] and made["port_security_enabled"] is False
    refused = port(door, found, port_security_enabled=False, security_groups=[web])
    assert refused.json["NeutronError"]["type"] == "PortSecurityAndIpRequiredForSecurityGroups"
    pairs = [{"ip_address": "10.0.0.9"}]
    assert port(door, found, port_security_enabled=False, allowed_address_pairs=pairs).status_int == 409
    secured = port(door, found).json["port"]
    refused = change(door, secured, port_security_enabled=False)
    assert refused.status_int == 409
    assert refused.json["NeutronError"]["type"] == "PortSecurityPortHasSecurityGroup"
    assert change(door, secured, port_security_enabled=False, security_groups=[]).status_int == 200
    plain = network(door, port_security_enabled=False)
    assert port(door, plain).json["port"]["port_security_enabled"] is False


def test_addresses_are_changed(door):
    found = network(door)
    made = port(door, found).json["port"]
    subnet_id = made["fixed_ips"][0]["subnet_id"]
    first = made["fixed_ips"][0]["ip_address"]
    both = [{"subnet_id": subnet_id, "ip_address": first}, {"ip_address": "10.0.0.200"}]
    changed = change(door, made, fixed_ips=both).json["port"]["fixed_ips"]
    assert {each["ip_address"] for each in changed} == {first, "10.0.0.200"}
    assert change(door, made, fixed_ips=[{"subnet_id": subnet_id}]).json["port"]["fixed_ips"][0] in changed
    other = port(door, found, fixed_ips=[{"ip_address": "10.0.0.50"}]).json["port"]
    for wanted, status in (
        ([{"ip_address": "10.0.0.50"}], 409),
        ([{"ip_address": "10.9.0.1"}], 400),
        ([{"subnet_id": found}], 400),
        ([{"ip_address": "nonsense"}], 400),
        ([{}], 400),
    ):
        assert change(door, made, fixed_ips=wanted).status_int == status, wanted
    assert change(door, other, fixed_ips=[]).json["port"]["fixed_ips"] == []
    assert change(door, made, fixed_ips=[{"ip_address": "10.0.0.50"}]).status_int == 200
    query = f"/ports?fixed_ips=ip_address_substr=0.0.5&fixed_ips=subnet_id={subnet_id}"
    assert [each["id"] for each in ask(door, "GET", query).json["ports"]] == [made["id"]]


def test_the_mac_is_changed_where_nothing_is_bound(door):
    found = network(door)
    pairs = [{"ip_address": "10.0.0.9"}, {"ip_address": "10.2.0.0/16", "mac_address": "02:00:00:00:00:07"}]
    made = port(door, found, allowed_address_pairs=pairs).json["port"]
    assert made["allowed_address_pairs"][0] == {"ip_address": "10.0.0.9", "mac_address": made["mac_address"]}
    changed = change(door, made, mac_address="02:00:00:00:00:AA").json["port"]
    assert changed["mac_address"] == "02:00:00:00:00:aa"
    assert [each["mac_address"] for each in changed["allowed_address_pairs"]] == [
        "02:00:00:00:00:aa",
        "02:00:00:00:00:07",
    ]
    other = port(door, found).json["port"]
    assert change(door, other, mac_address="02:00:00:00:00:aa").status_int == 409
    assert change(door, other, mac_address="01:00:00:00:00:aa").status_int == 400
    bound = port(door, found, ADMIN, **{"binding:host_id": "host1", "tenant_id": "demo"}).json["port"]
    assert change(door, bound, mac_address="02:00:00:00:00:bb").json["NeutronError"]["type"] == "PortBound"


@pytest.mark.parametrize(
    "members",
    [
        {"allowed_address_pairs": [{"ip_address": "10.0.0.300"}]},
        {"allowed_address_pairs": [{"mac_address": "02:00:00:00:00:07"}]},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9"}]},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.9", "mac_address": "x"}]},
        {"extra_dhcp_opts": [{"opt_name": "a\nb", "opt_value": "x"}]},
        {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "a\nb"}]},
        {"extra_dhcp_opts": [{"opt_name": "bootfile-name"}]},
        {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "x", "ip_version": 5}]},
        {"extra_dhcp_opts": [{"opt_name": "router", "opt_value": "fd00::1,10.0.0.1"}]},
        {"extra_dhcp_opts": [{"opt_name": "router", "opt_value": "fd00::x"}]},
        {"dns_name": "a_b"},
        {"dns_name": "a\nb"},
        {"binding:vnic_type": "direct"},
        {"security_groups": ["x"]},
        {"device_id": "a\nb"},
        {"status": "ACTIVE"},
    ],
)
def test_a_port_that_can_not_be(door, members):
    found = network(door)
    made = port(door, found).json["port"]
    assert port(door, found, **members).status_int == 400
    assert change(door, made, **members).status_int == 400
    assert len(ask(door, "GET", "/ports").json["ports"]) == 1


def test_dhcp_options_and_names(door):
    found = network(door)
    options = [{"opt_name": "bootfile-name", "opt_value": "a"}, {"opt_name": "42", "opt_value": "10.0.0.1"}]
    made = port(door, found, extra_dhcp_opts=options, dns_name="Web").json["port"]
    assert made["extra_dhcp_opts"] == [{**option, "ip_version": 4} for option in options]
    address = made["fixed_ips"][0]["ip_address"]
    assert made["dns_assignment"] == [{"ip_address": address, "hostname": "web", "fqdn": "web.openstacklocal."}]
    wanted = [{"opt_name": "bootfile-name", "opt_value": "b"}, {"opt_name": "42", "opt_value": None}]
    changed = change(door, made, extra_dhcp_opts=wanted, dns_name="").json["port"]
    assert changed["extra_dhcp_opts"] == [{"opt_name": "bootfile-name", "opt_value": "b", "ip_version": 4}]
    assert changed["dns_assignment"][0]["hostname"] == "host-" + address.replace(".", "-")


def test_a_dhcp_option_of_addresses_of_the_other_version(door):
    """Clients write it for ports on IPv6 networks and name no version, as Tempest does."""
    options = [
        {"opt_name": "server-ip-address", "opt_value": "2015::badd"},
        {"opt_name": "dns-server", "opt_value": "10.0.0.1", "ip_version": 6},
    ]
    made = port(door, network(door), extra_dhcp_opts=options)
    assert made.status_int == 201, made.text
    assert made.json["port"]["extra_dhcp_opts"] == [{"ip_version": 4, **option} for option in options]


def test_what_only_a_networks_owner_chooses(door):
    shared = network(door, ADMIN, shared=True)
    for members in (
        {"mac_address": "02:00:00:00:00:01"},
        {"fixed_ips": [{"ip_address": "10.0.0.9"}]},
        {"port_security_enabled": False},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}]},
        {"binding:host_id": "host1"},
        {"binding:profile": {"a": "b"}},
        {"device_owner": "network:dhcp"},
        {"tenant_id": "other"},
    ):
        assert port(door, shared, **members).status_int == 403, members
    made = port(door, shared).json["port"]
    assert "binding:host_id" not in made and made["binding:vnic_type"] == "normal"
    subnet_id = made["fixed_ips"][0]["subnet_id"]
    assert port(door, shared, fixed_ips=[{"subnet_id": subnet_id}]).status_int == 201
    assert change(door, made, mac_address="02:00:00:00:00:01").status_int == 403
    # A client that sends back what is there changes nothing.
    same = {name: made[name] for name in ("mac_address", "fixed_ips", "port_security_enabled", "device_owner")}
    assert change(door, made, name="x", **same).status_int == 200
    assert change(door, made, READER, name="x").status_int == 403
    assert port(door, shared, READER).status_int == 403
    mine = network(door)
    gateway = port(door, mine, fixed_ips=[{"ip_address": "10.0.0.1"}])
    assert gateway.status_int == 201


def test_a_device_is_not_a_users_to_name(door):
    found = network(door)
    server = boot(door).json["server"]["id"]
    build(door, server)
    for members in ({"device_id": server}, {"device_id": server, "device_owner": "compute:nova"}):
        assert port(door, found, token=DEMO, **members).status_int == 400, members
    made = port(door, found).json["port"]
    stolen = change(door, made, device_id=server)
    assert stolen.status_int == 400 and "device_id" in stolen.text
    (own,) = (each for each in ask(door, "GET", f"/ports?device_id={server}").json["ports"])
    for members in ({"device_id": ""}, {"device_owner": "x"}):
        assert change(door, own, **members).status_int == 409, members
    assert change(door, own, ADMIN, **{"binding:host_id": "elsewhere"}).status_int == 409
    assert ask(door, "DELETE", f"/ports/{own['id']}").status_int == 409
    word = change(door, made, device_id="appliance-7", device_owner="mine").json["port"]
    assert (word["device_id"], word["device_owner"]) == ("appliance-7", "mine")
    assert ask(door, "DELETE", f"/ports/{made['id']}").status_int == 204


def test_binding_is_an_admins(door):
    found = network(door)
    members = {"binding:host_id": "host1", "binding:profile": {"a": "b"}}
    made = port(door, found, ADMIN, **members).json["port"]
    assert made["binding:vif_type"] == "bridge" and made["binding:vif_details"] == {"port_filter": True}
    assert made["binding:profile"] == {"a": "b"}
    assert len(ask(door, "GET", "/ports?binding:host_id=host1", token=ADMIN).json["ports"]) == 1
    assert ask(door, "GET", "/ports?binding:host_id=host1").status_int == 403
    assert ask(door, "GET", "/ports?sort_key=binding:host_id").status_int == 403
    assert ask(door, "GET", "/ports?sort_key=binding:host_id", token=ADMIN).status_int == 200
    assert ask(door, "GET", "/networks?sort_key=provider:physical_network").status_int == 403
    unbound = change(door, made, ADMIN, **{"binding:host_id": ""}).json["port"]
    assert unbound["binding:vif_type"] == "unbound"


def test_making_a_port_takes_a_handful_of_statements(door):
    found = network(door)
    port(door, found)
    with Statements(door) as statements:
        assert port(door, found, dns_name="x").status_int == 201
    assert len(statements.seen) <= 24, statements.seen


def test_a_networks_owner_removes_others_ports(door):
    found = network(door)
    policy = {"object_type": "network", "object_id": found, "action": "access_as_shared", "target_tenant": "other"}
    assert ask(door, "POST", "/rbac-policies", {"rbac_policy": policy}).status_int == 201
    theirs = port(door, found, OTHER).json["port"]
    assert change(door, theirs, name="x").status_int == 403
    assert ask(door, "DELETE", f"/ports/{theirs['id']}").status_int == 204


def test_names_are_those_that_hosts_answer_with(door):
    found = network(door, dns_domain="shop.example.")
    free = port(door, found, dns_name="till").json["port"]
    assert free["dns_assignment"][0]["fqdn"] == "till.shop.example."
    server = boot(door, name="Web 1", networks=[{"uuid": found}]).json["server"]["id"]
    (own,) = ask(door, "GET", f"/ports?device_id={server}").json["ports"]
    assert own["dns_name"] == "web-1" and own["dns_assignment"][0]["fqdn"] == "web-1.shop.example."
    # What a client sends back stays what it was.
    assert change(door, own, dns_name=own["dns_name"]).json["port"]["dns_name"] == "web-1"
    named = boot(door, name="other", networks=[{"port": free["id"]}]).json["server"]["id"]
    (kept,) = ask(door, "GET", f"/ports?device_id={named}").json["ports"]
    assert kept["dns_name"] == "till"

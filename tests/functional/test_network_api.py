"""Networks, subnets and ports over the Network API."""

from __future__ import annotations

import ipaddress

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER, boot

WITH_NETWORK = False
"""Of :func:`conftest.door`: the tests make their own."""


def ask(door, method, path, body=None, token=DEMO):
    return door.ask(method, f"/network/v2.0{path}", body, token=token)


def network(door, token=DEMO, **members):
    reply = ask(door, "POST", "/networks", {"network": members}, token)
    assert reply.status_int == 201, reply.text
    return reply.json["network"]


def subnet(door, network_id, cidr="10.0.0.0/24", token=DEMO, **members):
    body = {"network_id": network_id, "ip_version": 4, "cidr": cidr, **members}
    return ask(door, "POST", "/subnets", {"subnet": body}, token)


def port(door, network_id, token=DEMO, **members):
    return ask(door, "POST", "/ports", {"port": {"network_id": network_id, **members}}, token)


def test_version_documents_and_extensions(door):
    versions = door.ask("GET", "/network/", token=None).json["versions"]
    assert [version["id"] for version in versions] == ["v2.0"]
    assert ask(door, "GET", "/", token=None).status_int == 200
    aliases = [extension["alias"] for extension in ask(door, "GET", "/extensions").json["extensions"]]
    assert "provider" in aliases and "router" in aliases and "l3-ha" not in aliases
    assert ask(door, "GET", "/extensions/provider").status_int == 200
    assert ask(door, "GET", "/extensions/l3-ha").status_int == 404


def test_a_network_from_creation_to_deletion(door):
    made = network(door, name="mine", description="d")
    assert made["status"] == "ACTIVE" and made["mtu"] == 1450 and not made["shared"] and made["project_id"] == "demo"
    assert "provider:segmentation_id" not in made
    seen = ask(door, "GET", f"/networks/{made['id']}", token=ADMIN).json["network"]
    assert seen["provider:segmentation_id"] == 1
    assert network(door, name="two", token=ADMIN)["provider:segmentation_id"] == 2
    changed = ask(door, "PUT", f"/networks/{made['id']}", {"network": {"name": "new"}}).json["network"]
    assert changed["name"] == "new" and changed["revision_number"] == 1
    made_subnet = subnet(door, made["id"]).json["subnet"]
    assert ask(door, "GET", f"/networks/{made['id']}").json["network"]["subnets"] == [made_subnet["id"]]
    assert ask(door, "DELETE", f"/networks/{made['id']}").status_int == 204
    assert ask(door, "GET", f"/networks/{made['id']}").status_int == 404
    assert ask(door, "GET", f"/subnets/{made_subnet['id']}").status_int == 404


def test_who_sees_and_changes_which_network(door):
    mine = network(door, name="mine")
    shared = network(door, token=ADMIN, name="all", shared=True)
    assert {item["name"] for item in ask(door, "GET", "/networks").json["networks"]} == {"mine", "all"}
    assert {item["name"] for item in ask(door, "GET", "/networks", token=OTHER).json["networks"]} == {"all"}
    assert ask(door, "GET", f"/networks/{mine['id']}", token=OTHER).status_int == 404
    assert ask(door, "DELETE", f"/networks/{mine['id']}", token=OTHER).status_int == 404
    assert ask(door, "DELETE", f"/networks/{shared['id']}").status_int == 403
    assert subnet(door, shared["id"]).status_int == 403
    assert subnet(door, mine["id"], token=OTHER).status_int == 404
    assert ask(door, "POST", "/networks", {"network": {"shared": True}}).status_int == 403
    assert ask(door, "POST", "/networks", {"network": {"tenant_id": "other"}}).status_int == 403
    assert ask(door, "POST", "/networks", {"network": {}}, READER).status_int == 403
    assert ask(door, "PUT", f"/networks/{mine['id']}", {"network": {"shared": True}}).status_int == 403
    assert network(door, token=ADMIN, tenant_id="other")["project_id"] == "other"


def test_a_subnets_defaults_are_neutrons(door):
    made = subnet(door, network(door)["id"], cidr="10.1.2.77/24").json["subnet"]
    assert made["cidr"] == "10.1.2.0/24" and made["gateway_ip"] == "10.1.2.1" and made["enable_dhcp"] is True
    assert made["allocation_pools"] == [{"start": "10.1.2.2", "end": "10.1.2.254"}]
    middle = subnet(door, network(door)["id"], gateway_ip="10.0.0.10").json["subnet"]
    assert middle["allocation_pools"] == [
        {"start": "10.0.0.1", "end": "10.0.0.9"},
        {"start": "10.0.0.11", "end": "10.0.0.254"},
    ]
    none = subnet(door, network(door)["id"], gateway_ip=None).json["subnet"]
    assert none["gateway_ip"] is None and none["allocation_pools"][0]["start"] == "10.0.0.1"
    six = subnet(door, network(door)["id"], cidr="fd00::/64", ip_version=6).json["subnet"]
    assert six["gateway_ip"] == "fd00::1" and six["allocation_pools"][0]["start"] == "fd00::2"


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"cidr": "nonsense"}, 400),
        ({"cidr": "10.0.0.0/31"}, 400),
        ({"cidr": "0.0.0.0/0"}, 400),
        ({"cidr": "127.0.0.0/8"}, 400),
        ({"ip_version": 6}, 400),
        ({"ip_version": 5}, 400),
        ({"gateway_ip": "10.0.1.1"}, 400),
        ({"gateway_ip": "10.0.0.255"}, 400),
        ({"gateway_ip": "nonsense"}, 400),
        ({"allocation_pools": [{"start": "10.0.0.10", "end": "10.0.1.20"}]}, 400),
        ({"allocation_pools": [{"start": "10.0.0.20", "end": "10.0.0.10"}]}, 400),
        ({"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.10"}]}, 409),
        (
            {
                "allocation_pools": [
                    {"start": "10.0.0.5", "end": "10.0.0.10"},
                    {"start": "10.0.0.8", "end": "10.0.0.20"},
                ]
            },
            409,
        ),
        ({"dns_nameservers": ["evil\nserver"]}, 400),
        ({"host_routes": [{"destination": "nowhere", "nexthop": "10.0.0.2"}]}, 400),
        ({"name": "x" * 256}, 400),
        ({"name": "a\nb"}, 400),
        ({"unknown": 1}, 400),
    ],
)
def test_a_subnet_that_can_not_be(door, members, status):
    reply = subnet(door, network(door)["id"], **members)
    assert reply.status_int == status and set(reply.json["NeutronError"]) == {"type", "message", "detail"}
    assert ask(door, "GET", "/subnets").json == {"subnets": []}


def test_subnets_of_a_network_do_not_overlap(door):
    one, two = network(door), network(door)
    assert subnet(door, one["id"]).status_int == 201
    overlapping = subnet(door, one["id"], cidr="10.0.0.128/25")
    assert overlapping.status_int == 400 and "overlaps with another subnet" in overlapping.text
    assert subnet(door, two["id"]).status_int == 201


def test_a_port_gets_an_address_that_nobody_else_has(door):
    owner = network(door)
    subnet(door, owner["id"], cidr="10.0.0.0/29")
    made = [port(door, owner["id"]).json["port"] for _ in range(5)]
    addresses = {item["fixed_ips"][0]["ip_address"] for item in made}
    assert addresses == {f"10.0.0.{last}" for last in range(2, 7)}
    assert len({item["mac_address"] for item in made}) == 5
    full = port(door, owner["id"])
    assert full.status_int == 409 and "No more IP addresses" in full.text
    assert len(ask(door, "GET", "/ports").json["ports"]) == 5
    assert ask(door, "DELETE", f"/ports/{made[0]['id']}").status_int == 204
    assert port(door, owner["id"]).json["port"]["fixed_ips"] == made[0]["fixed_ips"]
    assert ask(door, "DELETE", f"/networks/{owner['id']}").status_int == 409
    assert ask(door, "DELETE", f"/subnets/{made[0]['fixed_ips'][0]['subnet_id']}").status_int == 409


def test_a_port_with_wishes(door):
    owner = network(door)
    four = subnet(door, owner["id"]).json["subnet"]
    six = subnet(door, owner["id"], cidr="fd00::/64", ip_version=6).json["subnet"]
    both = port(door, owner["id"]).json["port"]["fixed_ips"]
    assert {item["subnet_id"] for item in both} == {four["id"], six["id"]}
    asked = port(door, owner["id"], mac_address="02:00:00:00:00:0A", fixed_ips=[{"ip_address": "10.0.0.200"}])
    made = asked.json["port"]
    assert made["mac_address"] == "02:00:00:00:00:0a"
    assert made["fixed_ips"] == [{"subnet_id": four["id"], "ip_address": "10.0.0.200"}]
    only = port(door, owner["id"], fixed_ips=[{"subnet_id": six["id"]}]).json["port"]["fixed_ips"]
    assert [item["subnet_id"] for item in only] == [six["id"]]
    assert port(door, owner["id"], fixed_ips=[]).json["port"]["fixed_ips"] == []
    for members, status in (
        ({"mac_address": "02:00:00:00:00:0a"}, 409),
        ({"fixed_ips": [{"ip_address": "10.0.0.200"}]}, 409),
        ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400),
        ({"fixed_ips": [{"ip_address": "10.9.9.9"}]}, 400),
        ({"fixed_ips": [{"subnet_id": owner["id"]}]}, 400),
        ({"mac_address": "01:00:00:00:00:0a"}, 400),
        ({"mac_address": "nonsense"}, 400),
        ({"device_owner": "network:dhcp"}, 403),
        ({"name": "a\nb"}, 400),
    ):
        assert port(door, owner["id"], **members).status_int == status, members


def test_ports_are_filtered_and_belong_to_their_project(door):
    shared = network(door, token=ADMIN, name="all", shared=True)
    subnet(door, shared["id"], token=ADMIN)
    server_id = boot(door).json["server"]["id"]
    mine = port(door, shared["id"], name="mine").json["port"]
    theirs = port(door, shared["id"], token=OTHER).json["port"]
    address = mine["fixed_ips"][0]["ip_address"]
    for query, names in {
        f"device_id={server_id}": [""],
        "name=mine": ["mine"],
        f"mac_address={mine['mac_address'].upper()}": ["mine"],
        f"fixed_ips=ip_address={address}": ["mine"],
        f"fixed_ips=ip_address={address}&fixed_ips=subnet_id={mine['fixed_ips'][0]['subnet_id']}": ["mine"],
        f"network_id={shared['id']}&name=mine": ["mine"],
        "status=active": [],
        "tenant_id=other": [],
    }.items():
        listed = ask(door, "GET", f"/ports?{query}").json["ports"]
        assert [item["name"] for item in listed] == names, query
    assert ask(door, "GET", f"/ports/{theirs['id']}").status_int == 404
    assert ask(door, "DELETE", f"/ports/{theirs['id']}").status_int == 404
    assert len(ask(door, "GET", "/ports", token=ADMIN).json["ports"]) == 3
    (used,) = ask(door, "GET", f"/ports?device_id={server_id}").json["ports"]
    assert ask(door, "DELETE", f"/ports/{used['id']}").status_int == 409
    assert ask(door, "GET", "/ports?fields=id&fields=name&name=mine").json == {
        "ports": [{"id": mine["id"], "name": "mine"}]
    }
    renamed = ask(door, "PUT", f"/ports/{mine['id']}", {"port": {"name": "new", "admin_state_up": False}}).json["port"]
    assert renamed["name"] == "new" and renamed["admin_state_up"] is False


def test_pages_walk_all_both_ways(door):
    for index in range(7):
        network(door, name=f"n{index}")
    whole = [item["name"] for item in ask(door, "GET", "/networks?sort_key=name&sort_dir=desc").json["networks"]]
    assert whole == [f"n{index}" for index in reversed(range(7))]
    seen, path = [], "/networks?sort_key=name&sort_dir=desc&limit=3"
    while path:
        page = ask(door, "GET", path).json
        seen.append([item["name"] for item in page["networks"]])
        links = {link["rel"]: link["href"] for link in page.get("networks_links", [])}
        path = links["next"].partition("/v2.0")[2] if "next" in links else None
        if len(seen) == 2:
            back = ask(door, "GET", links["previous"].partition("/v2.0")[2]).json["networks"]
            assert [item["name"] for item in back] == seen[0]
    assert [name for page_names in seen for name in page_names] == whole
    assert ask(door, "GET", "/networks?marker=nope").status_int == 400
    assert ask(door, "GET", "/networks?sort_key=nope").status_int == 400


def test_a_large_network_is_as_quick_to_allocate_from(door):
    from nova_lite.network import ports

    owner = network(door)
    subnet(door, owner["id"], cidr="10.64.0.0/16")
    wanted = [ports.ServerPort("server", "demo", owner["id"]) for _ in range(300)]
    door.store.transact(lambda session: ports.create_for_servers(session, wanted, "fa:16:3e"))
    held = {item["fixed_ips"][0]["ip_address"] for item in ask(door, "GET", "/ports").json["ports"]}
    assert len(held) == 300
    assert all(ipaddress.ip_address(address) in ipaddress.ip_network("10.64.0.0/16") for address in held)


def test_beyond_the_last_page_the_way_leads_back(door):
    for name in "abcd":
        network(door, name=name)
    path = "/networks?limit=2&sort_key=name&fields=name&fields=id"
    pages = []
    while path:
        reply = ask(door, "GET", path).json
        pages.append([each["name"] for each in reply["networks"]])
        links = {link["rel"]: link["href"].partition("/v2.0")[2] for link in reply.get("networks_links", ())}
        path = links.get("next")
    assert pages == [["a", "b"], ["c", "d"], []]
    last = ask(door, "GET", links["previous"]).json["networks"]
    assert [each["name"] for each in last] == ["c", "d"]


def test_backwards_from_the_end(door):
    for name in "abcde":
        network(door, name=name)
    path, pages = "/networks?limit=2&sort_key=name&page_reverse=True", []
    while path:
        reply = ask(door, "GET", path).json
        pages.append([each["name"] for each in reply["networks"]])
        links = {link["rel"]: link["href"].partition("/v2.0")[2] for link in reply.get("networks_links", ())}
        path = links.get("previous")
    assert pages == [["d", "e"], ["b", "c"], ["a"]]


@pytest.mark.parametrize(
    ("path", "noun"),
    [("/security-groups", "security_group"), ("/address-groups", "address_group"), ("/qos/policies", "policy")],
)
def test_links_lead_to_the_path_that_was_asked(door, path, noun):
    for name in "ab":
        assert ask(door, "POST", path, {noun: {"name": name}}, ADMIN).status_int == 201
    plural = "policies" if noun == "policy" else f"{noun}s"
    first = ask(door, "GET", f"{path}?limit=1&sort_key=name", token=ADMIN).json
    assert len(first[plural]) == 1
    links = {link["rel"]: link["href"].partition("/v2.0")[2] for link in first[f"{plural}_links"]}
    second = ask(door, "GET", links["next"], token=ADMIN)
    assert second.status_int == 200 and len(second.json[plural]) == 1
    assert second.json[plural][0]["name"] > first[plural][0]["name"]

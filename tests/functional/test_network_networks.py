"""What networks can be: carried by providers, external, several at once; what the API tells of hosts and of addresses left."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, Statements, boot, seed
from functional.conftest import open_door
from network_cloud import bind, join, kind, make

from nova_lite.api.compute import MOUNT as COMPUTE
from nova_lite.api.network import MOUNT as NETWORK
from nova_lite.identity import keys


@pytest.fixture
def door(tmp_path):
    physical = ["public:", "wires:eth9"]
    door = open_door(tmp_path, (COMPUTE, NETWORK), **{"network.physical_networks": physical})
    seed(door, network=False)
    yield door
    door.store.close()


def ask(door, method, path, body=None, token=DEMO, **headers):
    return door.ask(method, f"/network/v2.0{path}", body, token=token, **headers)


def network(door, token=ADMIN, **members):
    reply = ask(door, "POST", "/networks", {"network": members}, token)
    assert reply.status_int == 201, reply.text
    return reply.json["network"]


def subnet(door, network_id, cidr="10.0.0.0/24", token=ADMIN, **members):
    body = {"network_id": network_id, "ip_version": 6 if ":" in cidr else 4, "cidr": cidr, **members}
    reply = ask(door, "POST", "/subnets", {"subnet": body}, token)
    assert reply.status_int == 201, reply.text
    return reply.json["subnet"]


def provider(found):
    return tuple(found[f"provider:{name}"] for name in ("network_type", "physical_network", "segmentation_id"))


def wanted(kind, physical=None, number=None):
    names = ("network_type", "physical_network", "segmentation_id")
    members = zip(names, (kind, physical, number), strict=True)
    return {f"provider:{name}": value for name, value in members if value is not None}


def test_what_carries_a_network(door):
    assert provider(network(door, **wanted("vxlan", None, 77))) == ("vxlan", None, 77)
    assert provider(network(door, **wanted("flat", "wires"))) == ("flat", "wires", None)
    assert provider(network(door, **wanted("vlan", "wires", 12))) == ("vlan", "wires", 12)
    assert provider(network(door, **wanted("local"))) == ("local", None, None)
    free = network(door, **wanted("vlan", "wires"))
    assert 1 <= free["provider:segmentation_id"] <= 4094 and free["mtu"] == 1500
    assert provider(network(door))[0] == "vxlan"
    numbers = [each["provider:segmentation_id"] for each in ask(door, "GET", "/networks", token=ADMIN).json["networks"]]
    assert len(numbers) == 6
    found = ask(door, "GET", "/networks?provider:network_type=vlan&provider:segmentation_id=12", token=ADMIN)
    assert len(found.json["networks"]) == 1
    assert ask(door, "GET", "/networks?provider:segmentation_id=77").status_int == 403


@pytest.mark.parametrize(
    ("members", "status", "kind"),
    [
        (wanted("flat"), 400, "InvalidInput"),
        (wanted("flat", "nowhere"), 400, "InvalidInput"),
        (wanted("flat", "wires", 3), 400, "InvalidInput"),
        (wanted("vlan", "public", 3), 400, "InvalidInput"),
        (wanted("vlan", "wires", 4095), 400, "InvalidInput"),
        (wanted("vxlan", None, 1 << 24), 400, "InvalidInput"),
        (wanted("vxlan", "wires"), 400, "InvalidInput"),
        (wanted("gre"), 400, "HTTPBadRequest"),
        ({"provider:segmentation_id": 3}, 400, "InvalidInput"),
        (wanted("vlan", "wires", 5), 409, "VlanIdInUse"),
        (wanted("vxlan", None, 5), 409, "TunnelIdInUse"),
        (wanted("flat", "public"), 409, "FlatNetworkInUse"),
        ({"mtu": 1451}, 400, "InvalidInput"),
        ({"mtu": 67}, 400, "InvalidInput"),
        ({"is_default": True}, 400, "InvalidInput"),
        ({"dns_domain": "no dot"}, 400, "HTTPBadRequest"),
        ({"qos_policy_id": "11111111-1111-4111-8111-111111111111"}, 404, "QosPolicyNotFound"),
        ({"vlan_transparent": True}, 400, "HTTPBadRequest"),
    ],
)
def test_a_network_that_can_not_be(door, members, status, kind):
    for taken in (wanted("vlan", "wires", 5), wanted("vxlan", None, 5), wanted("flat", "public")):
        network(door, **taken)
    reply = ask(door, "POST", "/networks", {"network": members}, ADMIN)
    assert (reply.status_int, reply.json["NeutronError"]["type"]) == (status, kind), reply.text
    assert len(ask(door, "GET", "/networks", token=ADMIN).json["networks"]) == 3


def test_only_admins_say_what_carries(door):
    assert ask(door, "POST", "/networks", {"network": wanted("local")}).status_int == 403
    assert ask(door, "POST", "/networks", {"network": {"is_default": True}}).status_int == 403


def test_an_external_network_takes_the_first_physical_one(door):
    outside = network(door, **{"router:external": True, "is_default": True})
    assert provider(outside) == ("flat", "public", None) and outside["is_default"] is True
    second = network(door, **{"router:external": True})
    assert provider(second)[:2] == ("flat", "wires")
    again = ask(door, "PUT", f"/networks/{second['id']}", {"network": {"is_default": True}}, ADMIN)
    assert (again.status_int, again.json["NeutronError"]["type"]) == (409, "DefaultExternalNetworkExists")
    seen = ask(door, "GET", "/networks?router:external=True", token=OTHER).json["networks"]
    assert {each["id"] for each in seen} == {outside["id"], second["id"]} and "provider:network_type" not in seen[0]
    subnet(door, outside["id"], "172.24.4.0/24")
    refused = ask(door, "POST", "/ports", {"port": {"network_id": outside["id"]}})
    assert refused.status_int == 404


def test_several_at_once_or_none(door):
    made = ask(door, "POST", "/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert made.status_int == 201 and [each["name"] for each in made.json["networks"]] == ["a", "b"]
    first = made.json["networks"][0]["id"]
    body = {
        "subnets": [{"network_id": first, "ip_version": 4, "cidr": cidr} for cidr in ("10.0.0.0/24", "10.0.0.0/25")]
    }
    assert ask(door, "POST", "/subnets", body).status_int == 400
    assert ask(door, "GET", "/subnets").json == {"subnets": []}
    subnet(door, first, "10.0.0.0/29", DEMO)
    ports = {"ports": [{"network_id": first, "tags": ["x"]} for _ in range(5)]}
    made = ask(door, "POST", "/ports", ports)
    assert made.status_int == 201 and len(made.json["ports"]) == 5 and made.json["ports"][0]["tags"] == ["x"]
    assert ask(door, "POST", "/ports", {"ports": [{"network_id": first}]}).status_int == 409
    assert ask(door, "POST", "/ports", {"ports": []}).status_int == 400
    assert ask(door, "POST", "/ports", {}).status_int == 400


def test_the_number_of_queries_does_not_grow(door):
    first = network(door, DEMO)["id"]
    subnet(door, first, token=DEMO)

    def count(path):
        with Statements(door) as statements:
            assert ask(door, "GET", path).status_int == 200
        return len(statements.seen)

    paths = ("/networks", "/subnets", "/ports", "/subnetpools")
    assert ask(door, "POST", "/ports", {"port": {"network_id": first}}).status_int == 201
    assert (
        ask(door, "POST", "/subnetpools", {"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"]}}).status_int == 201
    )
    few = [count(path) for path in paths]
    ask(door, "POST", "/ports", {"ports": [{"network_id": first, "tags": ["a", "b"]} for _ in range(30)]})
    ask(door, "POST", "/networks", {"networks": [{} for _ in range(30)]})
    assert [count(path) for path in paths] == few


def test_hosts_are_agents_to_read(door):
    (agent,) = ask(door, "GET", "/agents", token=ADMIN).json["agents"]
    assert agent["host"] == "host1" and agent["alive"] is True and agent["resources_synced"] is True
    assert ask(door, "GET", f"/agents/{agent['id']}", token=ADMIN).json["agent"] == agent
    assert ask(door, "GET", "/agents?host=other", token=ADMIN).json == {"agents": []}
    assert ask(door, "GET", "/agents").json == {"agents": []}
    assert ask(door, "GET", f"/agents/{agent['id']}").status_int == 403
    assert ask(door, "GET", "/agents/nope", token=ADMIN).status_int == 404
    zones = ask(door, "GET", "/availability_zones").json["availability_zones"]
    assert zones == [
        {"name": "nova", "resource": "network", "state": "available"},
        {"name": "nova", "resource": "router", "state": "available"},
    ]


def test_who_provides_what(door):
    (provider,) = ask(door, "GET", "/service-providers").json["service_providers"]
    assert provider == {"service_type": "L3_ROUTER_NAT", "name": "nova_lite", "default": True}
    for query, there in (
        ("service_type=L3_ROUTER_NAT", True),
        ("service_type=VPN", False),
        ("name=ha", False),
        ("default=true", True),
        ("default=False", False),
    ):
        found = ask(door, "GET", f"/service-providers?{query}").json["service_providers"]
        assert found == [provider] * there, query
    assert ask(door, "GET", "/service-providers?fields=name").json == {"service_providers": [{"name": "nova_lite"}]}
    assert ask(door, "GET", "/extensions/service-type").status_int == 200


def test_hints_of_availability_zones(door):
    made = network(door, DEMO, availability_zone_hints=["nova"])
    assert made["availability_zone_hints"] == ["nova"] and made["availability_zones"] == []
    assert network(door, DEMO, availability_zone_hints=[])["availability_zone_hints"] == []
    router = make(door, "router", availability_zone_hints=["nova"])
    assert router["availability_zone_hints"] == ["nova"] and router["availability_zones"] == []
    # Where they are: on hosts with guests there.
    subnet_id = subnet(door, made["id"], "10.0.0.0/24", DEMO)["id"]
    assert join(door, router["id"], subnet_id=subnet_id).status_int == 200
    bind(door, make(door, "port", network_id=made["id"])["id"], "host1")
    for path, name in ((f"/networks/{made['id']}", "network"), (f"/routers/{router['id']}", "router")):
        shown = ask(door, "GET", path).json[name]
        assert (shown["availability_zone_hints"], shown["availability_zones"]) == (["nova"], ["nova"])
    for name in ("network", "router"):
        refused = ask(door, "POST", f"/{name}s", {name: {"availability_zone_hints": ["nova", "moon"]}})
        assert refused.status_int == 404 and kind(refused) == "AvailabilityZoneNotFound"
        assert "moon" in refused.json["NeutronError"]["message"]
        for wrong in ("nova", [1], ["nova", "nova"], [""], ["a\nb"], [f"zone-{n:03}" for n in range(50)]):
            refused = ask(door, "POST", f"/{name}s", {name: {"availability_zone_hints": wrong}})
            assert refused.status_int == 400 and "availability_zone_hints" in refused.json["NeutronError"]["message"]
        thing = made if name == "network" else router
        changed = ask(door, "PUT", f"/{name}s/{thing['id']}", {name: {"availability_zone_hints": ["nova"]}})
        assert changed.status_int == 400, "they are said once"
    aliases = {each["alias"] for each in ask(door, "GET", "/extensions").json["extensions"]}
    assert {"network_availability_zone", "router_availability_zone"} <= aliases


def test_addresses_that_are_left(door):
    first = network(door, DEMO, name="n")["id"]
    made = subnet(door, first, "10.0.0.0/28", DEMO)
    assert ask(door, "POST", "/ports", {"ports": [{"network_id": first}] * 3}).status_int == 201
    (found,) = ask(door, "GET", "/network-ip-availabilities?network_name=n", token=ADMIN).json[
        "network_ip_availabilities"
    ]
    assert (found["total_ips"], found["used_ips"]) == (13, 3)
    assert found["subnet_ip_availability"][0]["subnet_id"] == made["id"]
    one = ask(door, "GET", f"/network-ip-availabilities/{first}", token=ADMIN).json["network_ip_availability"]
    assert one == found and ask(door, "GET", "/network-ip-availabilities").status_int == 403


def test_a_topology_that_nobody_described(door):
    path = "/auto-allocated-topology/demo"
    dry = ask(door, "GET", f"{path}?fields=dry-run")
    assert (dry.status_int, dry.json["NeutronError"]["type"]) == (409, "AutoAllocationFailure")
    assert boot(door, version="2.37", networks="auto").status_int == 400
    outside = network(door, **{"router:external": True})
    subnet(door, outside["id"], "172.24.4.0/24")
    assert ask(door, "GET", f"{path}?fields=dry-run").json["auto_allocated_topology"]["id"] == "dry-run=pass"
    assert boot(door, version="2.37", networks="auto").status_int == 202
    made = ask(door, "GET", path).json["auto_allocated_topology"]
    assert made["project_id"] == "demo"
    assert ask(door, "GET", "/auto-allocated-topology/None").json["auto_allocated_topology"] == made
    (port,) = ask(door, "GET", "/ports?device_owner=compute:nova").json["ports"]
    assert port["network_id"] == made["id"]
    (router,) = ask(door, "GET", "/routers").json["routers"]
    assert router["external_gateway_info"]["network_id"] == outside["id"]
    assert ask(door, "GET", path, token=OTHER).status_int == 403
    assert ask(door, "DELETE", path).status_int == 409
    assert ask(door, "GET", "/auto-allocated-topology/other", token=OTHER).status_int == 200
    assert ask(door, "DELETE", "/auto-allocated-topology/other", token=OTHER).status_int == 204
    assert ask(door, "GET", "/networks", token=OTHER).json["networks"][0]["id"] == outside["id"]
    assert ask(door, "GET", "/routers", token=OTHER).json == {"routers": []}


def test_a_server_that_is_asked_for_again_has_one_topology(door):
    keys.ensure(keys.key_repository(door.services.conf))
    outside = network(door, **{"router:external": True})
    subnet(door, outside["id"], "172.24.4.0/24")
    server = {"name": "vm", "imageRef": IMAGE, "flavorRef": "1", "networks": "auto"}
    headers = {"OpenStack_API_Version": "compute 2.37", "Idempotency_Key": "once"}
    replies = [door.ask("POST", "/compute/v2.1/servers", {"server": server}, token=DEMO, **headers) for _ in range(2)]
    assert [reply.status_int for reply in replies] == [202, 202]
    assert replies[0].json["server"]["id"] == replies[1].json["server"]["id"]
    assert len(ask(door, "GET", "/ports?device_owner=compute:nova").json["ports"]) == 1
    assert len(ask(door, "GET", "/routers").json["routers"]) == 1


def test_a_change_tells_the_hosts_that_it_concerns(door):
    first = network(door, DEMO)["id"]
    made = subnet(door, first, token=DEMO)
    port = {"network_id": first, "binding:host_id": "host1"}
    bound = ask(door, "POST", "/ports", {"port": port}, ADMIN).json["port"]
    door.wakes.seen.clear()
    for path, body in (
        (f"/networks/{first}", {"network": {"admin_state_up": False}}),
        (f"/subnets/{made['id']}", {"subnet": {"dns_nameservers": ["9.9.9.9"]}}),
        (f"/ports/{bound['id']}", {"port": {"admin_state_up": False}}),
    ):
        assert ask(door, "PUT", path, body, ADMIN).status_int == 200
        assert ("agent", "host1") in door.wakes.seen, path
        door.wakes.seen.clear()
    assert ask(door, "PUT", f"/ports/{bound['id']}", {"port": {"name": "x"}}, ADMIN).status_int == 200
    assert door.wakes.seen == []
    assert ask(door, "DELETE", f"/ports/{bound['id']}", token=ADMIN).status_int == 204
    assert ("agent", "host1") in door.wakes.seen

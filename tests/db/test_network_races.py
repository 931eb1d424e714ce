"""What of networks can't be had twice, on each database, with everybody asking at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rows import add_server
from sqlalchemy import func, select

from nova_lite import conf as configuration
from nova_lite.compute import server_fixed_ips
from nova_lite.db.models import FixedIp, Network, Port, QuotaLimit, RbacPolicy, Router, Subnet
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NovaLiteError
from nova_lite.network import (
    auto_topology,
    networks,
    port_changes,
    ports,
    rbac,
    rbac_policies,
    subnetpools,
    subnets,
    tags,
)
from nova_lite.network.networks import NewNetwork
from nova_lite.network.ports import NewPort, WantedAddress
from nova_lite.network.rbac_policies import NewPolicy
from nova_lite.network.segments import Segment
from nova_lite.network.subnetpools import NewPool
from nova_lite.network.subnets import NewSubnet

CONF = configuration.load([], {"network.physical_networks": ["public:", "wires:eth9"]})
MAC = "fa:16:3e"


def at_once(count: int, work: Callable[[int], Any], *refusals: type[NovaLiteError]) -> list[Any]:
    """Run *work* with 0, 1, … at the same time; return what came of those that were not refused."""
    refused = refusals or (Conflict,)

    def one(index: int) -> Any:
        try:
            return work(index)
        except refused:
            return None

    with ThreadPoolExecutor(8) as pool:
        return [result for result in pool.map(one, range(count)) if result is not None]


def limit(store: Store, noun: str, most: int) -> None:
    row = QuotaLimit(project_id="project", user_id="", resource=f"network.{noun}", hard_limit=most)
    store.transact(lambda session: session.add(row))


def make_network(store: Store, cidr: str = "10.0.0.0/24") -> str:
    found = networks.create(store, NewNetwork("project")).network.id
    subnets.create(store, NewSubnet(found, cidr), None)
    return found


def count(store: Store, model: Any) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_a_network_quota_is_not_passed(store):
    limit(store, "network", 5)
    made = at_once(16, lambda _: networks.create(store, NewNetwork("project"), CONF))
    assert len(made) == 5 == count(store, Network)


def test_a_port_quota_is_not_passed_by_users_and_servers_together(store):
    limit(store, "port", 7)
    found = make_network(store)

    def make(index: int) -> int:
        if index % 2:
            ports.create(store, NewPort(found, "project"), None, MAC, CONF)
        else:
            wanted = [ports.ServerPort("server", "project", found)]
            store.transact(lambda session: ports.create_for_servers(session, wanted, MAC, CONF))
        return 1

    assert sum(at_once(18, make)) == 7 == count(store, Port)


def test_a_pool_gives_each_range_once(store):
    pool = subnetpools.create(store, NewPool("project", "p", ("10.0.0.0/21",), default_prefixlen=24), CONF)
    homes = [networks.create(store, NewNetwork("project")).network.id for _ in range(12)]
    made = at_once(12, lambda index: subnets.create(store, NewSubnet(homes[index], subnetpool_id=pool.id), None).cidr)
    assert sorted(made) == [f"10.0.{third}.0/24" for third in range(8)]


def test_subnets_of_a_network_that_are_made_at_once_do_not_overlap(store):
    found = networks.create(store, NewNetwork("project")).network.id
    made = at_once(8, lambda index: subnets.create(store, NewSubnet(found, f"10.0.0.0/{20 + index}"), None), Invalid)
    assert len(made) == 1 == count(store, Subnet)


@pytest.mark.parametrize(
    "segment",
    [Segment("flat", "wires"), Segment("vlan", "wires", 7), Segment("vxlan", None, 7)],
    ids=lambda s: s.network_type,
)
def test_a_segment_goes_to_one_network(store, segment):
    made = at_once(8, lambda _: networks.create(store, NewNetwork("project", segment=segment), CONF))
    assert len(made) == 1


def test_networks_of_all_types_have_numbers_of_their_own(store):
    kinds = [Segment("local"), Segment("vlan", "wires"), Segment()]
    made = at_once(18, lambda index: networks.create(store, NewNetwork("project", segment=kinds[index % 3]), CONF))
    rows = [shown.network for shown in made]
    assert len({row.segmentation_id for row in rows}) == 18
    assert len({row.vlan for row in rows if row.vlan}) == 6
    assert all((row.segmentation_id < 1 << 24) == (row.network_type == "vxlan") for row in rows)


def test_one_default_external_network(store):
    made = at_once(
        6,
        lambda _: networks.create(
            store, NewNetwork("project", external=True, is_default=True, segment=Segment()), CONF
        ),
    )
    assert len(made) == 1


def test_one_default_pool(store):
    def make(_: int) -> Any:
        return subnetpools.create(store, NewPool("project", "p", ("10.0.0.0/8",), is_default=True), CONF)

    assert len(at_once(6, make, Invalid)) == 1


def test_an_address_that_two_ports_change_to(store):
    found = make_network(store)
    made = [ports.create(store, NewPort(found, "project"), None, MAC).port.id for _ in range(6)]
    wanted = {"addresses": (WantedAddress(address="10.0.0.250"),)}
    won = at_once(6, lambda index: port_changes.change(store, made[index], wanted, scope=None) is not None)
    assert len(won) == 1


def test_a_mac_that_two_ports_change_to(store):
    found = make_network(store)
    made = [ports.create(store, NewPort(found, "project"), None, MAC).port.id for _ in range(6)]
    wanted = {"mac_address": "02:00:00:00:00:01"}
    assert len(at_once(6, lambda index: port_changes.change(store, made[index], wanted, scope=None) is not None)) == 1


def test_one_topology_a_project(store):
    outside = networks.create(store, NewNetwork("admin", external=True), CONF).network.id
    subnets.create(store, NewSubnet(outside, "172.24.4.0/24"), None)
    made = at_once(8, lambda _: auto_topology.ensure(store, CONF, "project").network_id)
    assert len(made) == 8 and len(set(made)) == 1
    assert count(store, Network) == 2 and count(store, Router) == 1
    auto_topology.delete(store, "project")
    assert count(store, Network) == 1 and count(store, Router) == 0


def test_a_network_is_lent_to_one_project_once(store):
    found = make_network(store)
    new = NewPolicy("project", "network", found, rbac.SHARED, "other")
    assert len(at_once(6, lambda _: rbac_policies.create(store, new, None, CONF))) == 1 == count(store, RbacPolicy)


def test_tags_that_are_added_at_once_are_all_there(store):
    found = networks.create(store, NewNetwork("project")).network.id
    at_once(10, lambda index: tags.add(store, Network, found, [f"t{index % 5}"]))
    assert tags.read(store, found) == [f"t{index}" for index in range(5)]
    with store.read() as session:
        assert session.get_one(Network, found).revision == 10


def test_addresses_that_a_server_is_given_at_once_are_all_its_own(store):
    found, server_id = make_network(store), add_server(store)
    wanted = [ports.ServerPort(server_id, "project", found)]
    store.transact(lambda session: ports.create_for_servers(session, wanted, MAC, CONF))

    def give(_: int) -> bool:
        server_fixed_ips.add(store, server_id, found, "project", override_lock=False)
        return True

    assert at_once(6, give) == [True] * 6
    with store.read() as session:
        addresses = list(session.scalars(select(FixedIp.address).join(Port).where(Port.device_id == server_id)))
    assert len(addresses) == 7
    taken = at_once(
        6,
        lambda index: server_fixed_ips.remove(store, server_id, addresses[index], "project", override_lock=False) or 1,
    )
    assert len(taken) == 6
    assert count(store, FixedIp) == 1


def test_one_who_is_never_first_is_told_to_try_again(store, monkeypatch):
    found, server_id = make_network(store), add_server(store)
    wanted = [ports.ServerPort(server_id, "project", found)]
    store.transact(lambda session: ports.create_for_servers(session, wanted, MAC, CONF))
    held = server_fixed_ips._held

    def held_until_now(session: Any, port_id: str) -> Any:
        port_changes.change(store, port_id, {"name": "other"}, scope=None)
        return held(session, port_id)

    monkeypatch.setattr(server_fixed_ips, "_held", held_until_now)
    with pytest.raises(Conflict, match="try again"):
        server_fixed_ips.add(store, server_id, found, "project", override_lock=False)

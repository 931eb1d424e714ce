"""Addresses, MACs and segment numbers that can't be given twice, on each database, with everybody asking at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from rows import add_server
from sqlalchemy import event, func, select

from nova_lite.compute import flavors, listing
from nova_lite.compute.listing import Listing
from nova_lite.db.models import FixedIp, Port
from nova_lite.errors import Conflict
from nova_lite.network import addresses, networks, port_changes, ports, subnets

MAC = "fa:16:3e"


def network(store, cidr, **values):
    made = networks.create(store, networks.NewNetwork("project", "net"))
    subnets.create(store, subnets.NewSubnet(made.network.id, cidr, **values), None)
    return made.network.id


def ask(store, network_id, count=1):
    wanted = [ports.ServerPort("server", "project", network_id) for _ in range(count)]
    try:
        store.transact(lambda session: ports.create_for_servers(session, wanted, MAC))
    except Conflict as error:
        assert error.code == "network.ip_address_generation_failure"
        return 0
    return count


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_pool_is_given_out_to_the_last_address_and_not_beyond(store, at_once):
    network_id = network(store, "10.0.0.0/26")
    with ThreadPoolExecutor(8) as pool:
        given = sum(pool.map(lambda _: ask(store, network_id, at_once), range(61 // at_once + 8)))
    with store.read() as session:
        addresses = list(session.scalars(select(FixedIp.address)))
        rows = session.scalar(select(func.count()).select_from(Port))
    # A refused request leaves nothing behind.
    assert len(addresses) == len(set(addresses)) == given == rows
    assert 61 - at_once < given <= 61
    assert "10.0.0.1" not in addresses


def test_a_free_address_is_found_without_reading_those_that_are_held(store):
    network_id = network(store, "10.0.0.0/16")
    assert ask(store, network_id, 50) == 50
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    assert ask(store, network_id) == 1
    event.remove(store.engine, "before_cursor_execute", note)
    looks = [text for text in seen if "FROM fixed_ips" in text]
    assert len(looks) <= (1 if store.backend == "mysql" else 0) and len(seen) <= 10


def test_one_address_that_all_want_goes_to_one(store):
    network_id = network(store, "10.0.0.0/24")

    def hold(_):
        new = ports.NewPort(network_id, "project", addresses=(ports.WantedAddress(address="10.0.0.9"),))
        try:
            return ports.create(store, new, None, MAC).port.id
        except Conflict as error:
            assert error.code == "network.ip_address_in_use"
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [port for port in pool.map(hold, range(12)) if port]
    assert len(winners) == 1


def test_the_same_mac_goes_to_one(store):
    network_id = network(store, "10.0.0.0/24")

    def make(_):
        try:
            return ports.create(store, ports.NewPort(network_id, "project", mac_address="02:00:00:00:00:01"), None, MAC)
        except Conflict as error:
            assert error.code == "network.mac_address_in_use"
            return None

    with ThreadPoolExecutor(4) as pool:
        assert sum(made is not None for made in pool.map(make, range(6))) == 1


def test_a_port_is_bound_to_one_server(store):
    network_id = network(store, "10.0.0.0/24")
    port_id = ports.create(store, ports.NewPort(network_id, "project"), None, MAC).port.id

    def bind(server):
        try:
            store.transact(lambda session: ports.bind_to_server(session, port_id, server, "project", 0))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(bind, [f"server-{index}" for index in range(6)])) == 1


def test_networks_that_are_made_at_once_have_numbers_of_their_own(store):
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: networks.create(store, networks.NewNetwork("project")), range(18)))
    assert len({shown.network.segmentation_id for shown in made}) == 18


def test_the_second_subnet_is_used_when_the_first_is_full(store):
    network_id = network(store, "10.0.0.0/29")
    subnets.create(store, subnets.NewSubnet(network_id, "10.0.1.0/29"), None)
    assert [ask(store, network_id) for _ in range(11)] == [1] * 10 + [0]


def test_flavors_of_the_same_name_made_at_once(store):
    def make(index):
        try:
            return flavors.create(store, flavors.NewFlavor("same", 1, 1, 1, f"id-{index}"))
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert sum(made is not None for made in pool.map(make, range(8))) == 1


def test_every_filter_and_sort_means_the_same_on_each_database(store):
    one = add_server(
        store, name="web-1", tags=["a", "B", 'q"t'], flavor={"id": "f1"}, image_properties={"kernel_id": "k"}, host=None
    )
    two = add_server(store, name="data-1", tags=["b"], flavor={"id": "f2"}, locked=True, vm_state="stopped")

    def ids(**wanted):
        return [identifier for identifier, _ in listing.find(store, Listing("project", **wanted))]

    assert ids(matching={"name": "^web-[0-9]$"}) == [one]
    assert ids(equal={"flavor": ["f2"]}) == [two]
    assert ids(equal={"kernel_id": ["k"]}) == [one]
    assert ids(equal={"locked": [True]}) == [two]
    assert ids(tags={"tags": ["a", "B"]}) == [one]
    assert ids(tags={"tags": ['q"t']}) == [one]
    assert ids(tags={"tags": ["b"]}) == [two]
    assert ids(tags={"not-tags-any": ["a"]}) == [two]
    assert ids(statuses=["SHUTOFF"]) == [two]
    assert ids(ip="10") == []
    for name in listing.SORT:
        for descending in (False, True):
            whole = ids(sort=((name, descending),))
            first = ids(sort=((name, descending),), limit=1)
            rest = ids(sort=((name, descending),), marker=first[0])
            assert sorted(whole) == sorted([one, two]) and first + rest == whole, name


def test_an_address_that_a_port_has_already_is_not_taken_for_one_more(store, monkeypatch):
    network_id = network(store, "10.0.0.0/24")
    port = ports.create(store, ports.NewPort(network_id, "project"), None, MAC).port

    def held():
        with store.read() as session:
            query = select(FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id == port.id)
            return [ports.WantedAddress(*row) for row in session.execute(query)]

    (first,) = held()
    monkeypatch.setattr(addresses, "_guess", lambda _subnet, _count: [first.address])
    wanted = (first, ports.WantedAddress(first.subnet_id))
    port_changes.change(store, port.id, {"addresses": wanted}, scope=None)
    assert len(held()) == 2

"""What an agent reads of its host's networks: all that concerns the host, nothing else, in queries that do not grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rows import add_host, add_server
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from nova_lite.agent.network_keeper import NetworkKeeper
from nova_lite.agent.network_rows import local_ports, read_host_state
from nova_lite.db.models import (
    FixedIp,
    FloatingIp,
    Network,
    Port,
    PortSecurityGroup,
    QosPolicy,
    QosRule,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
)
from nova_lite.db.store import Store
from nova_lite.db.types import new_id
from nova_lite.host.fake import FakeNetworks
from nova_lite.host.network_state import HostState
from nova_lite.host.networks import checks
from nova_lite.network import security_groups, touch

Add = Callable[..., Any]


class Cloud:
    """Two hosts, a tenant's network behind a router, and the outside."""

    def __init__(self, store: Store) -> None:
        self.store = store
        add_host(store, "h1", address="198.18.0.1")
        add_host(store, "h2", address="198.18.0.2")
        self.inside, self.inside_subnet = self.network(5, "10.0.0.0/24")
        self.beside, self.beside_subnet = self.network(6, "10.1.0.0/24")
        self.outside, self.outside_subnet = self.network(7, "172.24.4.0/24", external=True, enable_dhcp=False)
        self.group = store.transact(lambda session: security_groups.ensure_default(session, "project"))
        self.router = new_id()
        gateway = self.port(self.outside, self.outside_subnet, "172.24.4.9", owner="network:router_gateway")
        self.add(
            Router(id=self.router, project_id="project", external_network_id=self.outside, gateway_port_id=gateway)
        )
        for network, subnet, address in (
            (self.inside, self.inside_subnet, "10.0.0.1"),
            (self.beside, self.beside_subnet, "10.1.0.1"),
        ):
            self.port(network, subnet, address, owner="network:router_interface", device=self.router)

    def add(self, *things: Any) -> None:
        self.store.transact(lambda session: session.add_all(things))

    def network(self, number: int, cidr: str, *, enable_dhcp: bool = True, **values: Any) -> tuple[str, str]:
        network, subnet = new_id(), new_id()
        self.add(Network(id=network, project_id="project", segmentation_id=number, **values))
        first = cidr.replace(".0/24", ".1")
        last = cidr.replace(".0/24", ".254")
        pools = [{"start": cidr.replace(".0/24", ".100"), "end": last}]
        self.add(
            Subnet(
                id=subnet,
                network_id=network,
                project_id="project",
                cidr=cidr,
                gateway_ip=first,
                enable_dhcp=enable_dhcp,
                pools=pools,
            )
        )
        return network, subnet

    def port(
        self, network: str, subnet: str, address: str, *, owner: str = "compute:nova", device: str = "", **values: Any
    ) -> str:
        port_id = new_id()
        mac = "fa:16:3e:" + ":".join(port_id[index : index + 2] for index in (0, 2, 4))
        self.add(
            Port(
                id=port_id,
                network_id=network,
                project_id="project",
                mac_address=mac,
                device_id=device,
                device_owner=owner,
                **values,
            )
        )
        self.add(FixedIp(subnet_id=subnet, address=address, port_id=port_id))
        return port_id

    def guest(self, host: str, address: str, **values: Any) -> tuple[str, str]:
        """Add a server with a port on the inside network, in the project's default group."""
        server = add_server(self.store, host=host, **values)
        port = self.port(self.inside, self.inside_subnet, address, device=server, host=host)
        self.add(PortSecurityGroup(port_id=port, group_id=self.group))
        return server, port

    def floating_ip(self, address: str, port: str, fixed: str) -> None:
        """Let an address of the outside lead to a port's *fixed* one."""
        outer = self.port(self.outside, self.outside_subnet, address, owner="network:floatingip")
        self.add(
            FloatingIp(
                id=new_id(),
                project_id="project",
                floating_network_id=self.outside,
                floating_port_id=outer,
                address=address,
                port_id=port,
                fixed_address=fixed,
                router_id=self.router,
            )
        )

    def read(self, host: str, **options: Any) -> Any:
        with self.store.read() as session:
            return read_host_state(session, host, **options)


@pytest.fixture
def cloud(store: Store) -> Cloud:
    return Cloud(store)


def test_a_host_without_guests_has_nothing(cloud: Cloud) -> None:
    cloud.guest("h2", "10.0.0.20")
    state, lacking = cloud.read("h1")
    assert not state.networks and not state.ports and not state.routers and not lacking


def test_all_that_concerns_a_host(cloud: Cloud) -> None:
    server, port = cloud.guest("h1", "10.0.0.10")
    _, far = cloud.guest("h2", "10.0.0.20")
    cloud.floating_ip("172.24.4.20", port, "10.0.0.10")
    state, lacking = cloud.read("h1")
    assert set(state.networks) == {cloud.inside, cloud.beside, cloud.outside}
    assert set(state.ports) == {port}
    assert state.ports[port].server_id == server and state.ports[port].group_ids == (cloud.group,)
    (remote,) = state.networks[cloud.inside].remote
    assert (remote.addresses, remote.host_address) == (("10.0.0.20",), "198.18.0.2")
    assert set(state.members[cloud.group]) == {"10.0.0.10", "10.0.0.20"}
    router = state.routers[cloud.router]
    assert {leg.network_id for leg in router.legs} == {cloud.inside, cloud.beside}
    assert [(each.floating, each.fixed) for each in router.floating] == [("172.24.4.20", "10.0.0.10")]
    assert router.gateway is None and lacking.routers == (cloud.router,) and lacking.dhcp == (cloud.inside,)
    assert far not in state.ports
    assert not cloud.read("h2")[0].routers[cloud.router].floating, "a floating IP is on its guest's host"


def test_a_floating_ip_to_an_address_that_ports_share(cloud: Cloud) -> None:
    """It concerns each host with a port that may have the address, as long as the port that stands for it is on none."""
    standing = cloud.port(cloud.inside, cloud.inside_subnet, "10.0.0.99", owner="")
    cloud.floating_ip("172.24.4.20", standing, "10.0.0.99")
    _, first = cloud.guest("h1", "10.0.0.10")
    cloud.guest("h2", "10.0.0.20")

    def shared(host: str) -> list[tuple[str, str, bool]]:
        return [(f.floating, f.fixed, f.shared) for f in cloud.read(host)[0].routers[cloud.router].floating]

    def pairs(port_id: str, *cidrs: str) -> None:
        value = [{"ip_address": cidr, "mac_address": "fa:16:3e:00:00:01"} for cidr in cidrs]
        cloud.store.transact(
            lambda s: s.execute(update(Port).where(Port.id == port_id).values(allowed_address_pairs=value))
        )

    assert shared("h1") == shared("h2") == []
    pairs(first, "10.0.0.98", "2001:db8::/64")
    assert shared("h1") == []
    pairs(first, "10.0.0.96/30")
    assert shared("h1") == [("172.24.4.20", "10.0.0.99", True)] and shared("h2") == []
    cloud.store.transact(lambda s: s.execute(update(Port).where(Port.id == standing).values(host="h2")))
    assert shared("h1") == [], "a port that is somewhere has its address itself"


def test_a_pass_supplies_what_is_lacking_once(cloud: Cloud) -> None:
    cloud.guest("h1", "10.0.0.10")
    cloud.guest("h2", "10.0.0.20")
    states = []
    for host in ("h1", "h2", "h1"):
        keeper = NetworkKeeper(cloud.store, FakeNetworks(), host)
        states.append(keeper.ensure().state)
    first = states[0]
    legs = [state.routers[cloud.router].gateway for state in states]
    assert [address for _, address in legs[0].addresses] == ["172.24.4.9"], "the first host has the router's own"
    assert legs[1].port_id != legs[0].port_id and legs[2] == legs[0]
    assert legs[0].next_hops == legs[1].next_hops == ("172.24.4.1",)
    dhcp = [state.networks[cloud.inside].dhcp for state in states]
    assert dhcp[0] is not None and dhcp[0] == dhcp[1] == dhcp[2], "one DHCP port a network, the same on each host"
    assert first.networks[cloud.beside].dhcp is None, "a network without guests here needs none"


def test_servers_on_their_way(cloud: Cloud) -> None:
    gone, _ = cloud.guest("h1", "10.0.0.11", task_state="deleting")
    _, failed = cloud.guest("h1", "10.0.0.12", vm_state="error")
    kept, port = cloud.guest("h1", "10.0.0.13")
    assert set(cloud.read("h1")[0].ports) == {port}
    assert not cloud.read("h1", without={kept})[0].ports
    assert len(cloud.read("h1", also={gone})[0].ports) == 2
    assert failed not in cloud.read("h1", also={gone})[0].ports


def test_limits_and_rules(cloud: Cloud) -> None:
    _, port = cloud.guest("h1", "10.0.0.10")
    policy, other = new_id(), new_id()
    cloud.add(QosPolicy(id=policy, project_id="project", name="slow"))
    cloud.add(QosRule(id=new_id(), policy_id=policy, direction="egress", max_kbps=1000, max_burst_kbps=100))
    cloud.add(SecurityGroup(id=other, project_id="project", name="web"))
    cloud.add(
        SecurityGroupRule(
            id=new_id(),
            group_id=other,
            project_id="project",
            direction="ingress",
            ethertype="IPv6",
            protocol="icmp",
            same="x",
        ),
        PortSecurityGroup(port_id=port, group_id=other),
    )

    def limit(session: Session) -> None:
        session.get_one(Network, cloud.inside).qos_policy_id = policy

    cloud.store.transact(limit)
    state, _ = cloud.read("h1")
    qos = state.ports[port].qos
    assert qos is not None and (qos.egress_kbps, qos.egress_burst_kb, qos.ingress_kbps) == (1000, 100, None)
    (rule,) = state.groups[other].rules
    assert (rule.version, rule.protocol) == (6, 58), "ICMP of an IPv6 rule is ICMPv6"


def test_a_dhcp_option_of_addresses_of_the_other_version_is_not_for_the_host(cloud: Cloud) -> None:
    """The host would refuse the port for it."""
    _, port = cloud.guest("h1", "10.0.0.10")
    options = (("server-ip-address", "fd00::1", 4), ("dns-server", "10.0.0.1", 6), ("router", "10.0.0.9", 4))
    stored = [{"opt_name": name, "opt_value": value, "ip_version": version} for name, value, version in options]
    cloud.store.transact(
        lambda session: session.execute(update(Port).where(Port.id == port).values(extra_dhcp_opts=stored))
    )
    state, _ = cloud.read("h1")
    [found] = state.ports.values()
    assert found.dhcp_options == (("router", "10.0.0.9", 4),)
    checks.port(found, state.networks[found.network_id])


def test_the_number_of_queries_does_not_grow(cloud: Cloud) -> None:
    counts = []
    for batch in range(2):
        for index in range(4):
            cloud.guest("h1", f"10.0.0.{20 + batch * 10 + index}")
            cloud.guest("h2", f"10.0.0.{60 + batch * 10 + index}")
        seen: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any, seen: list[str] = seen) -> None:
            seen.append(statement)

        event.listen(cloud.store.engine, "before_cursor_execute", note)
        cloud.read("h1")
        event.remove(cloud.store.engine, "before_cursor_execute", note)
        counts.append(len([text for text in seen if text.lstrip().upper().startswith("SELECT")]))
    assert counts[0] == counts[1] <= 25


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_comes_is_not_looked_for_among_all_the_hosts_ports(cloud: Cloud) -> None:
    """The other databases know how many ports a host has."""
    server, port = cloud.guest("h1", "10.0.0.10")
    plans: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "FROM ports" in statement and not statement.startswith("EXPLAIN"):
            raw = connection.connection.dbapi_connection
            plans.extend(str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(cloud.store.engine, "before_cursor_execute", note)
    with cloud.store.read() as session:
        assert [row.id for row in local_ports(session, "h1", (), (), only=[server])] == [port]
        assert not local_ports(session, "h2", (), (), only=[server]), "it is on another host"
    event.remove(cloud.store.engine, "before_cursor_execute", note)
    assert plans and not [plan for plan in plans if "ix_ports_host" in plan]


def test_what_fails_is_tried_again_more_and_more_seldom(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = cloud.guest("h1", "10.0.0.10")
    networks = FakeNetworks()
    networks.refuse[port] = "no"
    keeper = NetworkKeeper(cloud.store, networks, "h1")
    cloud.store.transact(lambda session: touch.touch_ports(session, port))
    moment = [1000.0]
    monkeypatch.setattr("nova_lite.agent.network_keeper.time.monotonic", lambda: moment[0])
    waits = []
    for _ in range(3):
        assert keeper.is_behind()
        assert keeper.ensure().failed == {port: "no"}
        began = moment[0]
        while not keeper.is_behind():
            moment[0] += 0.5
        waits.append(moment[0] - began)
    assert waits == [2.0, 4.0, 8.0]
    keeper.ensure()
    assert not keeper.is_behind()
    cloud.store.transact(lambda session: touch.touch_ports(session, port))
    assert keeper.is_behind(), "something new is asked for"
    networks.refuse.clear()
    assert not keeper.ensure().failed and not keeper.is_behind()


def test_an_address_stays_allowed_that_another_member_has_too(cloud: Cloud) -> None:
    """Two networks of a project may have the same addresses, and their ports are in its default group all the same."""
    twin, subnet = cloud.network(8, "10.0.0.0/24")
    keeper = NetworkKeeper(cloud.store, FakeNetworks(), "h1")
    mine = [cloud.guest("h1", f"10.0.0.{number}") for number in (10, 11, 12, 13)]
    other = cloud.port(twin, subnet, "10.0.0.10", host="h2")
    pairs = [{"ip_address": "10.0.0.11", "mac_address": "fa:16:3e:00:00:01"}]
    paired = cloud.port(twin, subnet, "10.0.0.50", host="h2", allowed_address_pairs=pairs)
    cloud.add(*(PortSecurityGroup(port_id=each, group_id=cloud.group) for each in (other, paired)))
    for server, port in mine:
        keeper.plug(server, (port,))
    keeper.ensure()
    for server, _ in mine[:3]:
        keeper.unplug(server)
    assert keeper.state.members[cloud.group] == ("10.0.0.10", "10.0.0.11", "10.0.0.13", "10.0.0.50")


def test_what_came_and_went_makes_the_same_state_as_all_read_anew(cloud: Cloud) -> None:
    networks = FakeNetworks()
    keeper = NetworkKeeper(cloud.store, networks, "h1")
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    def whole() -> HostState:
        return NetworkKeeper(cloud.store, FakeNetworks(), "h1").ensure().state

    first, port = cloud.guest("h1", "10.0.0.10")
    keeper.plug(first, (port,))
    keeper.ensure()
    event.listen(cloud.store.engine, "before_cursor_execute", note)
    keeper.ensure()
    all_of_it = len(seen)
    later = [cloud.guest("h1", f"10.0.0.{20 + index}") for index in range(3)]
    for server, its in later:
        del seen[:]
        (nic,) = keeper.plug(server, (its,))
        assert nic.port_id == its and len(seen) < all_of_it / 2
    event.remove(cloud.store.engine, "before_cursor_execute", note)
    assert keeper.state == whole()
    keeper.unplug(later[0][0])
    gone = later[0][1]
    assert gone not in networks.devices and "10.0.0.20" not in keeper.state.members[cloud.group]
    keeper.plug(later[0][0], (gone,))
    assert keeper.state == whole(), "it came again"
    _, far = cloud.guest("h2", "10.0.0.90")
    cloud.store.transact(lambda session: touch.touch_ports(session, far, besides="h2"))
    keeper.plug(*(later[1][0], (later[1][1],)))
    assert keeper.state == whole(), "what others changed is read too"
    cloud.store.transact(lambda session: session.execute(update(Port).where(Port.id == far).values(host="h1")))
    moved = cloud.store.transact(lambda session: session.get_one(Port, far).device_id)
    cloud.store.transact(lambda session: session.execute(update(Server).where(Server.id == moved).values(host="h1")))
    keeper.plug(moved, (far,))
    assert keeper.state == whole() and not keeper.state.networks[cloud.inside].remote, "it was on the other host"
    cloud.floating_ip("172.24.4.50", port, "10.0.0.10")
    cloud.store.transact(lambda session: touch.touch_ports(session, port))
    keeper.ensure()
    keeper.unplug(first)
    assert not keeper.state.routers[cloud.router].floating
    keeper.plug(first, (port,))
    assert keeper.state == whole() and keeper.state.routers[cloud.router].floating, "its floating IP came with it"
    for server, _ in (*later, (first, port), (moved, far)):
        keeper.unplug(server)
    assert not networks.devices and not keeper.state.networks

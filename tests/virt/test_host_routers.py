"""Routers for real: between networks, out through SNAT, in through floating IPs, in namespaces of the test's own."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from host_sandbox import (
    OUTSIDE,
    Sandbox,
    a_floating,
    a_network,
    a_port,
    a_router,
    a_state,
    an_id,
    an_outside,
    sandbox,
    with_v6,
)

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RouterSpec
from nova_lite.host.networks import devices
from nova_lite.host.ports import NetworksFailed

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox", "conntrack")),
    reason="needs root, dnsmasq, nft, ip, busybox and conntrack",
)

SERVE = (
    "import socket\ns=socket.create_server(('0.0.0.0',{port}))\nprint('ready')\n"
    "while True:\n c,a=s.accept()\n c.sendall(a[0].encode())\n c.close()"
)
"""Tells whoever connects from which address it came."""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


@dataclass
class Cloud:
    """Two networks of one router and one of another, each with a guest; an external network whose outside is the host."""

    box: Sandbox
    out: NetworkSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    routers: list[RouterSpec]

    @property
    def state(self) -> HostState:
        return a_state([*self.networks, self.out], self.ports, self.routers)


@pytest.fixture
def cloud(box: Sandbox) -> Cloud:
    out = an_outside()
    networks = [a_network(5, "10.0.1"), a_network(6, "10.0.2"), a_network(7, "10.0.1")]
    ports = [a_port(network, 10, f"g{network.number}") for network in networks]
    routers = [a_router(networks[:2], out, 10), a_router(networks[2:], out, 11)]
    made = Cloud(box, out, networks, ports, routers)
    box.networks.apply(made.state)
    return made


def guests(cloud: Cloud) -> list[str]:
    return [cloud.box.settled(port, network) for port, network in zip(cloud.ports, cloud.networks, strict=True)]


def asks(box: Sandbox, namespace: str, address: str, port: int = 8000, timeout: float = 30) -> str:
    """Return from which address a server saw a connection from *namespace*; empty: there was none."""
    code = (
        f"import socket\ntry: s=socket.create_connection(('{address}',{port}),timeout={timeout})\n"
        "except OSError: print()\nelse: print(s.recv(100).decode())"
    )
    return box.inside(namespace, "python3", "-c", code).strip()


@pytest.fixture
def served(cloud: Cloud) -> Iterator[tuple[Cloud, list[str]]]:
    """A cloud whose outside and first guest serve at port 8000."""
    inside = guests(cloud)
    servers = [cloud.box.python(name, SERVE.format(port=8000)) for name in (cloud.box.outside, *inside)]
    for server in servers:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
    yield cloud, inside
    for server in servers:
        server.kill()
        server.wait()


def test_between_networks_of_a_router_and_no_others(served: tuple[Cloud, list[str]]) -> None:
    cloud, (one, two, other) = served
    assert asks(cloud.box, one, "10.0.2.10") == "10.0.1.10", "no translation between networks"
    assert asks(cloud.box, two, "10.0.1.10") == "10.0.2.10"
    assert not cloud.box.pings(other, "10.0.2.10", wait=1), "another router's network is not to be reached"
    assert cloud.box.pings(other, "10.0.1.1") and cloud.box.pings(one, "169.254.169.254")


def test_out_through_snat(served: tuple[Cloud, list[str]]) -> None:
    cloud, (one, two, other) = served
    for guest in (one, two, other):
        assert asks(cloud.box, guest, OUTSIDE) == "198.51.100.1", "the outside sees the host"
    server = cloud.box.python(cloud.box.host, SERVE.format(port=8000))
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        assert asks(cloud.box, one, "172.24.4.1", timeout=1) == "", (
            "of the host guests reach nothing but its answers to pings"
        )
        assert asks(cloud.box, one, "198.51.100.1", timeout=1) == ""
        assert cloud.box.pings(one, "172.24.4.1")
    finally:
        server.kill()
        server.wait()
    # Nobody outside comes in by a fixed address.
    cloud.box.ip(cloud.box.host, "route", "add", "10.0.2.0/24", "via", "172.24.4.10")
    assert asks(cloud.box, cloud.box.host, "10.0.2.10", timeout=1) == ""


ANSWER = (
    "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('0.0.0.0',53))\nprint('ready')\n"
    "while True:\n q,a=s.recvfrom(512)\n"
    " s.sendto(q[:2]+b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0'+q[12:q.index(b'\\0',12)+5]"
    "+b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4'+bytes([192,0,2,99]),a)"
)
"""Answers every question for an address with 192.0.2.99."""


def test_dns_of_the_outside_by_the_networks_own_way_out(box: Sandbox) -> None:
    box.overrides["network.dns_servers"] = OUTSIDE
    box.conf = box.configured()
    box.restart()
    network, out = a_network(5, "10.0.1"), an_outside()
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network, out], [port], [a_router([network], out)]))
    guest = box.settled(port, network)
    server = box.python(box.outside, ANSWER)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        said = box.inside(guest, "busybox", "nslookup", "-type=a", "www.example.test", "10.0.1.2", check=False)
        assert "192.0.2.99" in said
        said = box.inside(guest, "busybox", "nslookup", "-type=a", "nobody.openstacklocal", "10.0.1.2", check=False)
        assert "192.0.2.99" not in said, "our own domain is nobody else's to answer for"
    finally:
        server.kill()
        server.wait()


def test_in_through_a_floating_ip(served: tuple[Cloud, list[str]]) -> None:
    cloud, (one, two, other) = served
    box = cloud.box
    cloud.routers = [
        replace(cloud.routers[0], floating=(a_floating("172.24.4.100", cloud.ports[0]),)),
        replace(cloud.routers[1], floating=(a_floating("172.24.4.101", cloud.ports[2]),)),
    ]
    box.networks.apply(cloud.state)
    assert asks(box, box.host, "172.24.4.100") == "172.24.4.1"
    assert asks(box, two, "172.24.4.100") == "172.24.4.10", "from another network of the router: hairpin"
    assert asks(box, one, "172.24.4.100") == "172.24.4.100", "from itself"
    assert asks(box, one, "172.24.4.101") == "172.24.4.100", "from one project to another, whose addresses are the same"
    assert asks(box, other, "172.24.4.100") == "172.24.4.101"
    # It leaves by its floating IP: the host sees it before it masquerades.
    assert box.pings(one, OUTSIDE)
    shown = box.inside(box.host, "conntrack", "-L", "-p", "icmp", check=False)
    assert re.search(r"src=172\.24\.4\.100 dst=198\.51\.100\.2", shown), shown


def test_routers_whose_ids_begin_alike(cloud: Cloud) -> None:
    """Two routers with the same first 8 digits (and more) share nothing on a host."""
    box = cloud.box
    first, second = cloud.routers
    cloud.routers = [first, replace(second, router_id=first.router_id[:24] + second.router_id[24:])]
    box.networks.apply(cloud.state)
    one, _, other = guests(cloud)
    assert box.pings(one, OUTSIDE) and box.pings(other, OUTSIDE) and box.pings(one, "10.0.2.10")
    assert len([name for name in box.rooms() if name.startswith("nl-rtr-")]) == 2
    box.restart()
    box.networks.apply(cloud.state)
    assert box.pings(one, OUTSIDE) and box.pings(other, OUTSIDE)
    cloud.routers = [first]
    box.networks.apply(cloud.state)
    assert box.pings(one, OUTSIDE) and not box.pings(other, OUTSIDE, wait=1)
    # A port whose device would be another's: refused in words, and that other keeps its own.
    taken = cloud.ports[0]
    alike = replace(a_port(cloud.networks[1], 33, "alike"), port_id=taken.port_id[:12] + an_id()[12:])
    cloud.ports.append(alike)
    with pytest.raises(NetworksFailed, match="ids begin alike") as caught:
        box.networks.apply(cloud.state)
    assert set(caught.value.failed) == {alike.port_id}
    assert box.pings(one, OUTSIDE)


def test_a_floating_ip_that_moves_takes_open_connections_with_it(cloud: Cloud) -> None:
    box = cloud.box
    guests(cloud)
    first, second = cloud.routers
    cloud.routers = [replace(first, floating=(a_floating("172.24.4.100", cloud.ports[0]),)), second]
    box.networks.apply(cloud.state)
    assert box.pings(box.host, "172.24.4.100")
    cloud.routers = [first, replace(second, floating=(a_floating("172.24.4.100", cloud.ports[2]),))]
    box.networks.apply(cloud.state)
    # The neighbour was told: no waiting for an entry to grow old.
    assert box.pings(box.host, "172.24.4.100", wait=10)
    mac = second.gateway.mac if second.gateway else ""
    assert mac in box.ip(box.host, "neigh", "show", "172.24.4.100")
    room = box.room(devices.router_namespace(first.router_id))
    assert "172.24.4.100" not in box.inside(room, "conntrack", "-L", check=False)
    cloud.routers = [first, second]
    box.networks.apply(cloud.state)
    assert not box.pings(box.host, "172.24.4.100", wait=1)


def test_without_snat_addresses_stay_and_others_come_in(box: Sandbox) -> None:
    network, out = a_network(5, "10.0.1"), an_outside()
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network, out], [port], [a_router([network], out, snat=False)]))
    guest = box.settled(port, network)
    assert not box.pings(guest, "172.24.4.1", wait=1), "the outside has no way back"
    box.ip(box.host, "route", "add", "10.0.1.0/24", "via", "172.24.4.10")
    assert box.pings(guest, "172.24.4.1") and box.pings(box.host, "10.0.1.10")


def test_extra_routes(box: Sandbox) -> None:
    """A guest routes to a network behind it; the router is told, then told otherwise."""
    networks = [a_network(5, "10.0.1"), a_network(6, "10.0.2")]
    ports = [a_port(networks[0], 10, "a"), a_port(networks[1], 20, "appliance")]
    router = a_router(networks, routes=(("192.168.77.0/24", "10.0.2.20"),))
    box.networks.apply(a_state(networks, ports, [router]))
    guest, appliance = (box.settled(port, network) for port, network in zip(ports, networks, strict=True))
    box.ip(appliance, "address", "add", "192.168.77.1/24", "dev", "lo")
    assert box.pings(guest, "192.168.77.1")
    for routes in ((("192.168.77.0/24", "10.0.2.99"),), ()):
        box.networks.apply(a_state(networks, ports, [replace(router, routes=routes)]))
        assert not box.pings(guest, "192.168.77.1", wait=1)
    unreachable = replace(router, routes=(("192.168.77.0/24", "203.0.113.9"), ("192.168.77.0/28", "10.0.2.20")))
    with pytest.raises(NetworksFailed, match=r"192\.168\.77\.0/24 via 203\.0\.113\.9") as caught:
        box.networks.apply(a_state(networks, ports, [unreachable]))
    assert set(caught.value.failed) == {router.router_id}
    assert box.pings(guest, "192.168.77.1"), "the other route was made all the same"


def test_ipv6_is_routed_as_it_is(box: Sandbox) -> None:
    networks = [
        with_v6(a_network(5, "10.0.1"), "slaac", "2001:db8:1"),
        with_v6(a_network(6, "10.0.2"), "slaac", "2001:db8:2"),
    ]
    ports = [a_port(network, 16, "g") for network in networks]
    box.networks.apply(a_state(networks, ports, [a_router(networks)]))
    one, two = (box.settled(port, network) for port, network in zip(ports, networks, strict=True))
    deadline = time.monotonic() + 60
    while "default" not in box.ip(one, "-6", "route") or "default" not in box.ip(two, "-6", "route"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert box.pings(one, "2001:db8:2::10")
    shown = box.inside(two, "cat", "/proc/net/if_inet6")
    assert "20010db800020000" in shown


def test_a_router_that_is_down_or_gone_leads_nowhere(cloud: Cloud) -> None:
    box = cloud.box
    one, _, other = guests(cloud)
    assert box.pings(one, "10.0.2.10")
    up = cloud.routers
    cloud.routers = [replace(up[0], up=False), up[1]]
    box.networks.apply(cloud.state)
    assert not box.pings(one, "10.0.2.10", wait=1) and box.pings(other, OUTSIDE)
    cloud.routers = up
    box.networks.apply(cloud.state)
    assert box.pings(one, "10.0.2.10")
    cloud.routers = up[1:]
    box.networks.apply(cloud.state)
    assert not box.pings(one, OUTSIDE, wait=1) and box.pings(other, OUTSIDE)
    assert len([name for name in box.rooms() if name.startswith("nl-rtr-")]) == 1
    assert len([name for name in box.links() if name.startswith(("nl-rt", "nl-gw"))]) == 2


def test_an_interface_and_a_gateway_that_come_and_go(box: Sandbox) -> None:
    networks, out = [a_network(5, "10.0.1"), a_network(6, "10.0.2")], an_outside()
    ports = [a_port(network, 10, "g") for network in networks]
    whole = a_router(networks, out)
    alone = replace(whole, legs=whole.legs[:1], gateway=None)
    box.networks.apply(a_state([*networks, out], ports, [alone]))
    one, two = (box.settled(port, network) for port, network in zip(ports, networks, strict=True))
    assert box.pings(one, "10.0.1.1") and not box.pings(one, OUTSIDE, wait=1) and not box.pings(two, "10.0.2.1", wait=1)
    box.networks.apply(a_state([*networks, out], ports, [whole]))
    assert box.pings(one, OUTSIDE) and box.pings(two, "10.0.1.10")
    box.networks.apply(a_state([*networks, out], ports, [alone]))
    assert box.pings(one, "10.0.1.1") and not box.pings(one, OUTSIDE, wait=1) and not box.pings(two, "10.0.2.1", wait=1)


def test_namespaces_answer_for_nothing_else(cloud: Cloud) -> None:
    """What listens in a router's or network's namespace is reached by guests for metadata only, and from outside not at all."""
    box = cloud.box
    guest = guests(cloud)[0]
    rooms = [box.room(devices.router_namespace(cloud.routers[0].router_id)), box.room("nl-net-5")]
    servers = [box.python(room, SERVE.format(port=port)) for room in rooms for port in (80, 8000)]
    for server in servers:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        for address in ("10.0.1.1", "10.0.1.2", "169.254.169.254"):
            assert asks(box, guest, address, timeout=1) == ""
        for address in ("10.0.1.1", "10.0.1.2"):
            assert asks(box, guest, address, port=80, timeout=1) == ""
        assert asks(box, guest, "169.254.169.254", port=80) == "10.0.1.10"
        box.ip(guest, "route", "add", "169.254.169.254/32", "dev", "eth0")
        assert asks(box, guest, "169.254.169.254", port=80) == "10.0.1.10", "by the network's own leg"
        box.ip(box.host, "route", "add", "169.254.169.254/32", "via", "172.24.4.10")
        for address in ("172.24.4.10", "169.254.169.254"):
            for port in (80, 8000):
                assert asks(box, box.host, address, port=port, timeout=1) == ""
        assert box.pings(box.host, "172.24.4.10")
    finally:
        for server in servers:
            server.kill()
            server.wait()


def test_a_flat_network_on_an_interface(box: Sandbox) -> None:
    """The interface joins the bridge: guests and routers are where it is plugged in."""
    box.ip(box.host, "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", box.outside)
    box.ip(box.outside, "address", "add", "192.0.2.1/24", "dev", "wire0")
    box.ip(box.outside, "link", "set", "wire0", "up")
    box.overrides["network.physical_networks"] = "public:wire0"
    box.conf = box.configured()
    box.restart()
    out = an_outside(prefix="192.0.2")
    network = a_network(5, "10.0.1")
    port, direct = a_port(network, 10, "a"), a_port(out, 50, "direct")
    router = a_router([network], out, 20, floating=(a_floating("192.0.2.30", port),))
    box.networks.apply(a_state([network, out], [port, direct], [router]))
    guest, flat = box.settled(port, network), box.settled(direct, out)
    assert box.pings(guest, "192.0.2.1") and box.pings(flat, "192.0.2.1") and box.pings(box.outside, "192.0.2.30")
    assert "192.0.2" not in box.ip(box.host, "address"), "the host has no part in it"
    box.networks.apply(HostState())
    assert "master" not in box.ip(box.host, "link", "show", "wire0"), "the interface is let go"


def test_interfaces_that_can_not_be_used(box: Sandbox) -> None:
    box.overrides["network.physical_networks"] = "used:up0,none:nowhere0,free:free0"
    box.ip(box.host, "link", "add", "free0", "type", "veth", "peer", "name", "free1")
    box.conf = box.configured()
    box.restart()
    base = an_outside()
    cases = {
        "used": "up0 has an address of the host's own",
        "none": "no interface nowhere0",
        "elsewhere": "not on the physical network elsewhere",
    }
    for name, words in cases.items():
        with pytest.raises(NetworksFailed, match=words):
            box.networks.apply(a_state([replace(base, physical_network=name)]))
    assert "master" not in box.ip(box.host, "link", "show", "up0")
    wide = replace(base, physical_network="free", mtu=9000)
    with pytest.raises(NetworksFailed, match="MTU of 1500, and the network one of 9000"):
        box.networks.apply(a_state([wide]))
    tagged = replace(base, physical_network="free", kind="vlan", vlan=12)
    try:
        box.networks.apply(a_state([tagged]))
    except NetworksFailed as error:
        assert "kernel has no VLAN devices" in error.message
    else:
        assert "nl-vl16777216" in box.links()
    box.networks.clean()
    box.ip(box.host, "link", "del", "free0")

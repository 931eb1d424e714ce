"""Two hosts with a wire between them: networks that span them by VXLAN, and routers that are on both."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from host_sandbox import (
    Sandbox,
    a_network,
    a_port,
    a_router,
    a_state,
    an_outside,
    sandbox,
    two_hosts,
    with_v6,
)

from nova_lite.host.network_state import GatewayLeg, HostState, NetworkSpec, PortSpec, RemotePort, RouterSpec
from nova_lite.host.networks import devices, overlay
from nova_lite.host.ports import NetworksFailed

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)

ENDS = ("203.0.113.1", "203.0.113.2")


@pytest.fixture
def hosts() -> Iterator[tuple[Sandbox, Sandbox]]:
    with two_hosts() as made:
        yield made


def spread(
    networks: list[NetworkSpec], placed: list[tuple[int, PortSpec]], routers: list[list[RouterSpec]]
) -> list[HostState]:
    """Return each host's state: *placed* are (host, port); a port elsewhere is a remote one."""
    states = []
    for here in range(2):
        specs = []
        for network in networks:
            remote = tuple(
                RemotePort(port.mac, tuple(a for _, a in port.addresses), ENDS[host], port.hostname)
                for host, port in placed
                if host != here and port.network_id == network.network_id and network.kind == "vxlan"
            )
            ends = tuple(sorted({each.host_address for each in remote}))
            specs.append(replace(network, remote=remote, remote_hosts=ends))
        states.append(a_state(specs, [port for host, port in placed if host == here], routers[here]))
    return states


def apply(hosts: tuple[Sandbox, Sandbox], states: list[HostState]) -> None:
    for host, state in zip(hosts, states, strict=True):
        host.networks.apply(state)


def captured(box: Sandbox, device: str = "tun0") -> subprocess.Popen[str]:
    """Start to collect the frames inside VXLAN packets that *device* sends, as hexadecimal lines, until SIGTERM."""
    code = (
        "import signal,socket\nended=[]\nsignal.signal(signal.SIGTERM,lambda *_: ended.append(1))\n"
        "s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(3))\n"
        f"s.bind(('{device}',0))\ns.settimeout(0.5)\nprint('on')\n"
        "while True:\n"
        " try: d,a=s.recvfrom(65536)\n"
        " except TimeoutError:\n"
        "  if ended: break\n"
        "  continue\n"
        " if a[2]==4 and d[12:14]==b'\\x08\\0' and d[23]==17 and d[36:38]==b'\\x12\\xb5': print(d[50:].hex())\n"
    )
    started = box.python(box.host, code)
    assert started.stdout is not None and started.stdout.readline() == "on\n"
    return started


def test_a_network_on_two_hosts(hosts: tuple[Sandbox, Sandbox]) -> None:
    one, two = hosts
    network = with_v6(a_network(), "dhcpv6-stateful")
    here, there = a_port(network, 16, "here"), a_port(network, 17, "there")
    apply(hosts, spread([network], [(0, here), (1, there)], [[], []]))
    guest, other = one.guest(here, network), two.guest(there, network)
    assert one.dhcp(guest)["ip"] == "10.11.12.16", "its own host answers"
    assert two.dhcp(other)["ip"] == "10.11.12.17"
    assert one.pings(guest, "10.11.12.17")
    for box, name, port in ((one, guest, here), (two, other, there)):
        box.ip(name, "address", "add", f"{port.addresses[1][1]}/64", "dev", "eth0", "nodad")
    assert one.pings(guest, "2001:db8:5::11")
    said = one.inside(guest, "busybox", "nslookup", "there.openstacklocal", "10.11.12.2", check=False)
    assert "10.11.12.17" in said, "names of guests on other hosts are known"


def test_what_leaves_a_host(hosts: tuple[Sandbox, Sandbox]) -> None:
    """ARP for known addresses is answered on the spot; nothing that is the same on every host is seen from another."""
    one, two = hosts
    network, beside = a_network(5, "10.0.1"), a_network(6, "10.0.2")
    ports = [(0, a_port(network, 10, "a")), (1, a_port(network, 11, "b")), (1, a_port(beside, 12, "c"))]
    ports.append((0, a_port(beside, 13, "d")))
    router = a_router([network, beside])
    apply(hosts, spread([network, beside], ports, [[router], [router]]))
    guest = one.settled(ports[0][1], network)
    two.settled(ports[1][1], network)
    two.settled(ports[2][1], beside)
    capture = captured(one)
    assert one.pings(guest, "10.0.1.11"), "to another host in the same network"
    assert one.pings(guest, "10.0.2.12"), "to another host in another network: each direction by its own host's router"
    assert one.pings(guest, "10.0.1.1") and one.pings(guest, "10.0.1.2")
    one.dhcp(guest)
    capture.terminate()
    frames = capture.communicate(timeout=60)[0].split()
    assert frames, "something went to the other host"
    kinds = {frame[24:28] for frame in frames}
    assert "0806" not in kinds, "no ARP"
    ours = {leg.mac for leg in router.legs} | {n.dhcp.mac for n in (network, beside) if n.dhcp}
    sources = {":".join(frame[12:24][i : i + 2] for i in range(0, 12, 2)) for frame in frames}
    assert not sources & ours
    assert overlay.host_mac(ENDS[0]) in sources, "what is routed leaves with the host's own MAC"


def test_a_router_on_two_hosts_leads_out_on_each(hosts: tuple[Sandbox, Sandbox]) -> None:
    network, out = a_network(5, "10.0.1"), an_outside()
    ports = [(0, a_port(network, 10, "a")), (1, a_port(network, 11, "b"))]
    router = a_router([network], out, 20)
    assert router.gateway is not None
    second: GatewayLeg = a_router([network], out, 21).gateway  # type: ignore[assignment]
    apply(hosts, spread([network, out], ports, [[router], [replace(router, gateway=second)]]))
    for box, (_, port) in zip(hosts, ports, strict=True):
        guest = box.settled(port, network)
        assert box.pings(guest, "10.0.1.1") and box.pings(guest, "198.51.100.2")


def test_a_port_that_moves_is_found_at_once(hosts: tuple[Sandbox, Sandbox]) -> None:
    """As in a live migration: first on both hosts, then on the other; the guest that stays notices nothing."""
    one, two = hosts
    network = a_network()
    stays, moves = a_port(network, 10, "stays"), a_port(network, 11, "moves")
    apply(hosts, spread([network], [(0, stays), (0, moves)], [[], []]))
    guest, before = one.settled(stays, network), one.settled(moves, network)
    assert one.pings(guest, "10.11.12.11")
    assert devices.vxlan_name(5) not in one.links(), "nothing to reach elsewhere: no tunnel"
    apply(hosts, spread([network], [(0, stays), (0, moves), (1, moves)], [[], []]))
    assert one.pings(guest, "10.11.12.11"), "while it is on both, the one here counts"
    one.ip(before, "link", "set", "eth0", "down")
    two.settled(moves, network)
    apply(hosts, spread([network], [(0, stays), (1, moves)], [[], []]))
    assert one.pings(guest, "10.11.12.11")
    assert devices.device_name(moves.port_id) not in one.links()


def test_tunnels_come_and_go_with_the_database(hosts: tuple[Sandbox, Sandbox]) -> None:
    one, _ = hosts
    network = a_network()
    here, there, late = (a_port(network, last, f"p{last}") for last in (10, 11, 12))
    apply(hosts, spread([network], [(0, here), (1, there)], [[], []]))
    assert there.mac in one.ip(one.host, "neigh", "show", "dev", "nl-br5")
    apply(hosts, spread([network], [(0, here), (1, late)], [[], []]))
    table = one.inside(one.host, "bridge", "fdb", "show", "dev", "nl-vx5")
    assert late.mac in table and there.mac not in table
    assert there.mac not in one.ip(one.host, "neigh", "show", "dev", "nl-br5")
    one.restart()
    one.inside(one.host, "bridge", "fdb", "del", late.mac, "dev", "nl-vx5", "self")
    one.inside(one.host, "bridge", "fdb", "add", "fa:16:3e:99:99:99", "dev", "nl-vx5", "dst", "203.0.113.9")
    apply(hosts, spread([network], [(0, here), (1, late)], [[], []]))
    table = one.inside(one.host, "bridge", "fdb", "show", "dev", "nl-vx5")
    assert f"{late.mac} dst {ENDS[1]}" in table and "99:99" not in table, "an agent that starts asks the kernel"
    apply(hosts, spread([network], [(0, here)], [[], []]))
    assert devices.vxlan_name(5) not in one.links()
    assert late.mac not in one.ip(one.host, "neigh", "show", "dev", "nl-br5")
    assert "nova_lite_overlay" not in one.rules()


def test_a_host_whose_address_comes_late() -> None:
    """Without [network] local_ip the end of tunnels is the default route's address, as soon as there is one."""
    with sandbox() as box:
        box.ip(box.host, "route", "del", "default")
        network = a_network()
        port = a_port(network, 10, "a", "tap")
        away = RemotePort("fa:16:3e:05:00:0b", ("10.11.12.11",), "203.0.113.2", "b")
        state = a_state([replace(network, remote=(away,), remote_hosts=("203.0.113.2",))], [port])
        with pytest.raises(NetworksFailed, match="local_ip"):
            box.networks.apply(state)
        assert devices.device_name(port.port_id) in box.links(), "what is here works"
        box.ip(box.host, "route", "add", "default", "via", "198.51.100.2")
        box.networks.apply(state)
        assert "local 198.51.100.1" in box.ip(box.host, "-d", "link", "show", "nl-vx5")


def test_the_operator_is_told_of_tunnels_that_are_too_narrow(
    hosts: tuple[Sandbox, Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    network = replace(a_network(), mtu=1500)
    apply(hosts, spread([network], [(0, a_port(network, 10, "a")), (1, a_port(network, 11, "b"))], [[], []]))
    assert "mtu-too-large" in caplog.text and "tunnels_carry=1450" in caplog.text


def test_full_frames_pass_between_hosts(hosts: tuple[Sandbox, Sandbox]) -> None:
    one, two = hosts
    network = a_network()
    ports = [(0, a_port(network, 10, "a")), (1, a_port(network, 11, "b"))]
    apply(hosts, spread([network], ports, [[], []]))
    guest = one.settled(ports[0][1], network)
    other = two.settled(ports[1][1], network)
    serve = "import socket\ns=socket.create_server(('0.0.0.0',8000))\nprint('ready')\nc,_=s.accept()\nn=0\nwhile (d:=c.recv(65536)): n+=len(d)\nprint(n)"
    server = two.python(other, serve)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    send = (
        "import socket\ns=socket.create_connection(('10.11.12.11',8000),timeout=30)\ns.sendall(b'x'*3000000)\ns.close()"
    )
    began = time.monotonic()
    one.inside(guest, "python3", "-c", send)
    assert server.communicate(timeout=60)[0].strip() == "3000000"
    assert time.monotonic() - began < 60
    assert one.pings(guest, "10.11.12.11", "-s", "1422"), "1450 octets of IP, whole"

"""Bridges, dnsmasq, taps and rules for real, in namespaces of the test's own; guests are busybox behind a veth."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from host_sandbox import OUTSIDE, Sandbox, a_network, a_port, plug_all, run, sandbox

from nova_lite.host.networks import HostNetworks, devices
from nova_lite.host.ports import HostError

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)

SERVE = "import socket\ns=socket.create_server(('0.0.0.0',{port}))\nprint('ready')\nwhile True:\n c,_=s.accept()\n c.sendall(b'x'*{size})\n c.close()"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def fetch(box: Sandbox, namespace: str, address: str, port: int, timeout: float = 5) -> int:
    """Return how many bytes a TCP client in *namespace* gets; 0: it can't connect."""
    code = (
        f"import socket\ntry: s=socket.create_connection(('{address}',{port}),timeout={timeout})\n"
        "except OSError: print(0)\nelse:\n n=0\n while (d:=s.recv(65536)): n+=len(d)\n print(n)"
    )
    return int(box.inside(namespace, "python3", "-c", code))


@pytest.fixture
def served(box: Sandbox) -> Iterator[Sandbox]:
    """A sandbox whose host and outside serve 300 kB at port 8000."""
    servers = [box.python(name, SERVE.format(port=8000, size=300_000)) for name in (box.host, box.outside)]
    for server in servers:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
    yield box
    for server in servers:
        server.kill()
        server.wait()


def test_a_guest_gets_its_address_name_and_way_out(served: Sandbox) -> None:
    box = served
    network = a_network(dns=())
    ports = [a_port(network, 10, "alpha"), a_port(network, 11, "beta")]
    bridge = plug_all(box.networks, network, ports)
    alpha, beta = (box.guest(port, bridge) for port in ports)
    lease = box.dhcp(alpha)
    assert {key: lease.get(key) for key in ("ip", "mask", "router", "dns", "mtu", "hostname", "lease")} == {
        "ip": "10.11.12.10",
        "mask": "24",
        "router": "10.11.12.1",
        "dns": "10.11.12.1",
        "mtu": "1450",
        "hostname": "alpha",
        "lease": "86400",
    }
    assert box.dhcp(beta)["ip"] == "10.11.12.11"
    for name in ("beta", "beta.openstacklocal"):
        assert "10.11.12.11" in box.inside(alpha, "busybox", "nslookup", name, "10.11.12.1", check=False)
    box.inside(alpha, "busybox", "ping", "-c1", "-W2", "10.11.12.11")
    box.inside(alpha, "busybox", "ping", "-c1", "-W2", "10.11.12.1")
    box.inside(box.host, "busybox", "ping", "-c1", "-W2", "10.11.12.10")
    assert fetch(box, alpha, OUTSIDE, 8000) == 300_000
    # The outside sees the host's address, and has no way in.
    box.ip(box.outside, "route", "add", "10.11.12.0/24", "via", "198.51.100.1")
    assert "0 packets received" in box.inside(box.outside, "busybox", "ping", "-c1", "-W1", "10.11.12.10", check=False)


def test_a_guest_reaches_nothing_else_of_the_host(served: Sandbox) -> None:
    box = served
    network = a_network()
    ports = [a_port(network, 10, "alpha")]
    guest = box.guest(ports[0], plug_all(box.networks, network, ports))
    box.dhcp(guest)
    for address in ("10.11.12.1", "198.51.100.1"):
        assert fetch(box, guest, address, 8000, timeout=1) == 0
    assert "0 packets received" in box.inside(guest, "busybox", "ping", "-c1", "-W1", "198.51.100.1", check=False)
    server = box.python(guest, SERVE.format(port=80, size=5000))
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        assert fetch(box, box.host, "10.11.12.10", 80) == 5000
    finally:
        server.kill()
        server.wait()


def test_two_networks_do_not_meet(box: Sandbox) -> None:
    networks = [a_network(5, "10.11.12"), a_network(6, "10.11.13")]
    guests = []
    for network in networks:
        port = a_port(network, 10, "same-name")
        guests.append(box.guest(port, plug_all(box.networks, network, [port])))
        assert box.dhcp(guests[-1])["ip"] == port.addresses[0][1]
    for target in ("10.11.13.10", "10.11.13.1"):
        assert "0 packets received" in box.inside(guests[0], "busybox", "ping", "-c1", "-W1", target, check=False)


def test_a_spoofed_source_does_not_leave(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "liar")
    guest = box.guest(port, plug_all(box.networks, network, [port]))
    box.dhcp(guest)
    box.inside(guest, "busybox", "ping", "-c1", "-W2", OUTSIDE)
    box.ip(guest, "address", "add", "203.0.113.7/32", "dev", "eth0")
    box.ip(box.outside, "route", "add", "203.0.113.7/32", "via", "198.51.100.1")
    box.ip(box.host, "route", "add", "203.0.113.7/32", "dev", devices.bridge_name(5))
    assert "0 packets received" in box.inside(
        guest, "busybox", "ping", "-c1", "-W1", "-I", "203.0.113.7", OUTSIDE, check=False
    )


def test_without_nat_there_is_no_way_out() -> None:
    with sandbox(**{"network.nat": False}) as box:
        network = a_network()
        port = a_port(network, 10, "alpha")
        guest = box.guest(port, plug_all(box.networks, network, [port]))
        assert box.dhcp(guest)["ip"] == "10.11.12.10"
        assert "0 packets received" in box.inside(guest, "busybox", "ping", "-c1", "-W1", OUTSIDE, check=False)
        assert box.inside(box.host, "sysctl", "-n", "net.ipv4.conf.up0.forwarding").strip() == "0"


def test_a_stranger_gets_no_lease(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "alpha")
    stranger = replace(a_port(network, 12, "beta"), mac="fa:16:3e:99:99:99")
    bridge = plug_all(box.networks, network, [port])
    assert box.dhcp(box.guest(stranger, bridge), tries=2) == {}


def test_an_address_goes_to_its_next_owner_at_once(box: Sandbox) -> None:
    """dnsmasq would keep it for the lease's day: the lease of the unplugged port is released in its name."""
    network = a_network()
    stays, first = a_port(network, 10, "stays"), a_port(network, 11, "first")
    bridge = plug_all(box.networks, network, [stays, first])
    assert box.dhcp(box.guest(first, bridge))["ip"] == "10.11.12.11"
    box.networks.unplug(5, first.port_id, [stays])
    second = replace(a_port(network, 11, "second"), mac="fa:16:3e:aa:bb:cc")
    box.networks.plug(network, second, [stays, second])
    assert box.dhcp(box.guest(second, bridge))["ip"] == "10.11.12.11"
    said = box.inside(box.host, "busybox", "nslookup", "first.openstacklocal", "10.11.12.1", check=False)
    assert "10.11.12.11" not in said


def test_more_options_reach_the_guest(box: Sandbox) -> None:
    network = a_network(dns=("192.0.2.53", "192.0.2.54"), routes=(("192.168.7.0/24", "10.11.12.9"),))
    port = a_port(network, 10, "3600")
    lease = box.dhcp(box.guest(port, plug_all(box.networks, network, [port])))
    assert lease["lease"] == "86400", "a host name of digits is not a lease time"
    assert lease["dns"] == "192.0.2.53 192.0.2.54" or lease["dns"] == "192.0.2.53"
    assert lease["staticroutes"].split() == ["192.168.7.0/24", "10.11.12.9", "0.0.0.0/0", "10.11.12.1"]


def test_an_address_range_of_the_host_is_refused(box: Sandbox) -> None:
    network = a_network(prefix="198.51.100", gateway="198.51.100.77")
    with pytest.raises(HostError, match=r"198\.51\.100\.0/24 overlaps with 198\.51\.100\.1/24 on up0"):
        box.networks.plug(network, a_port(network, 10, "x"), [])
    assert box.links() == set()
    twin = a_network(7)
    port = a_port(network := a_network(6), 10, "x")
    box.networks.plug(network, port, [port])
    with pytest.raises(HostError, match="on nl-br6"):
        box.networks.plug(twin, a_port(twin, 10, "y"), [])


def test_a_port_that_failed_does_not_keep_the_network(box: Sandbox) -> None:
    network = a_network()
    sound, broken = a_port(network, 10, "a", "tap"), a_port(network, 11, "b", "tap")
    box.networks.plug(network, sound, [sound])
    moved = replace(network, subnets=(replace(network.subnets[0], cidr="198.51.100.0/24", gateway="198.51.100.9"),))
    with pytest.raises(HostError, match="on up0"):
        box.networks.plug(moved, replace(broken, addresses=()), [])
    box.networks.unplug(5, sound.port_id, [])
    assert (box.links(), box.dnsmasqs(), box.rules()) == (set(), [], "")


def test_unplugging_the_last_port_leaves_nothing(box: Sandbox) -> None:
    network = a_network()
    ports = [a_port(network, 10, "a", "tap"), a_port(network, 11, "b", "tap")]
    plug_all(box.networks, network, ports)
    box.networks.plug(network, ports[0], ports)
    assert box.links() == {"nl-br5", *(devices.device_name(port.port_id) for port in ports)}
    assert len(box.dnsmasqs()) == 1
    for _ in range(2):
        box.networks.unplug(5, ports[0].port_id, ports[1:])
    assert box.links() == {"nl-br5", devices.device_name(ports[1].port_id)}
    for _ in range(2):
        box.networks.unplug(5, ports[1].port_id, [])
    assert (box.links(), box.dnsmasqs(), box.rules()) == (set(), [], "")
    assert box.inside(box.host, "sysctl", "-n", "net.ipv4.conf.up0.forwarding").strip() == "0"
    assert not list((box.state / "networks").iterdir())


def test_a_new_agent_finds_and_ends_what_the_old_one_made(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a", "tap")
    plug_all(box.networks, network, [port])
    second = HostNetworks(box.configured(), box.host)
    try:
        second.unplug(5, port.port_id, [])
    finally:
        second.close()
    assert (box.links(), box.dnsmasqs(), box.rules()) == (set(), [], "")


def test_sync_does_not_touch_what_is_right(served: Sandbox) -> None:
    """A transfer through NAT, pings, the DHCP process: all go on while a new agent syncs twenty times."""
    box = served
    network = a_network()
    ports = [a_port(network, 10, "alpha"), a_port(network, 11, "beta", "tap")]
    guest = box.guest(ports[0], plug_all(box.networks, network, ports))
    box.dhcp(guest)
    pids = box.dnsmasqs()
    before = box.ip(box.host, "-j", "link")
    code = (
        f"import socket,time\ns=socket.create_connection(('{OUTSIDE}',8001))\nn=0\nprint('on')\n"
        "while (d:=s.recv(1000)): n+=len(d)\nprint(n)"
    )
    slow = "import socket,time\ns=socket.create_server(('0.0.0.0',8001))\nprint('ready')\nc,_=s.accept()\nfor _ in range(200): c.sendall(b'x'*1000); time.sleep(0.01)\nc.close()"
    server = box.python(box.outside, slow)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    client = box.python(guest, code)
    assert client.stdout is not None and client.stdout.readline() == "on\n"
    pings = subprocess.Popen(
        ["ip", "netns", "exec", box.host, "busybox", "ping", "-c100", "-i0.01", "-W1", "10.11.12.10"],
        stdout=subprocess.PIPE,
        text=True,
    )
    second = HostNetworks(box.configured(), box.host)
    try:
        for _ in range(20):
            second.sync([(network, ports)])
    finally:
        second.close()
    assert client.communicate(timeout=20)[0].strip() == "200000"
    assert " 0% packet loss" in pings.communicate(timeout=20)[0]
    server.wait(timeout=10)
    assert box.dnsmasqs() == pids
    assert box.ip(box.host, "-j", "link") == before


def test_sync_mends_and_tidies(box: Sandbox) -> None:
    network, gone = a_network(5), a_network(6, "10.11.13")
    ports = [a_port(network, 10, "a", "tap"), a_port(network, 11, "b", "tap")]
    old = a_port(gone, 10, "old", "tap")
    plug_all(box.networks, network, ports)
    plug_all(box.networks, gone, [old])
    tap = devices.device_name(ports[0].port_id)
    box.ip(box.host, "link", "del", tap)
    box.ip(box.host, "link", "del", "nl-br5")
    box.ip(box.host, "link", "add", "nl-stray", "type", "bridge")
    box.inside(box.host, "nft", "delete", "table", "inet", "nova_lite")
    box.networks.sync([(network, ports)])
    assert box.links() == {"nl-br5", *(devices.device_name(port.port_id) for port in ports)}
    assert len(box.dnsmasqs()) == 1
    assert "10.11.12.0/24" in box.rules() and "10.11.13.0/24" not in box.rules()
    third = a_port(network, 12, "c")
    box.networks.plug(network, third, [*ports, third])
    assert box.dhcp(box.guest(third, "nl-br5"))["ip"] == "10.11.12.12", "dnsmasq hears the new bridge"


def test_one_broken_network_does_not_stop_the_others(box: Sandbox) -> None:
    broken, sound = a_network(5, "198.51.100"), a_network(6)
    port = a_port(sound, 10, "a", "tap")
    with pytest.raises(HostError, match="on up0"):
        box.networks.sync([(broken, [a_port(broken, 10, "b", "tap")]), (sound, [port])])
    assert box.links() == {"nl-br6", devices.device_name(port.port_id)}


def test_a_dead_dnsmasq_is_started_again(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    guest = box.guest(port, plug_all(box.networks, network, [port]))
    [pid] = box.dnsmasqs()
    os.kill(pid, signal.SIGKILL)
    while box.dnsmasqs():
        time.sleep(0.01)
    assert box.networks.tend() == 1
    assert box.networks.tend() == 0
    assert box.dhcp(guest)["ip"] == "10.11.12.10"


def test_a_pid_that_was_used_again_is_left_alone(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    plug_all(box.networks, network, [port])
    [pid] = box.dnsmasqs()
    other = subprocess.Popen(["sleep", "60"])
    try:
        (box.state / "networks/5/dnsmasq.pid").write_text(f"{other.pid}\n")
        box.networks.clean()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert pid not in box.dnsmasqs(), "it is found by its command line"


def test_a_dnsmasq_whose_pid_file_is_gone_is_replaced(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    guest = box.guest(port, plug_all(box.networks, network, [port]))
    [pid] = box.dnsmasqs()
    (box.state / "networks/5/dnsmasq.pid").unlink()
    box.networks.plug(network, port, [port])
    assert len(box.dnsmasqs()) == 1 and box.dnsmasqs() != [pid]
    assert box.dhcp(guest)["ip"] == "10.11.12.10"


def test_the_operator_is_told_of_a_firewall_that_is_in_the_way(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    box.inside(
        box.host,
        "nft",
        "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    )
    network = a_network()
    port = a_port(network, 10, "a")
    box.networks.plug(network, port, [port])
    assert "iptables drop forwarded packets" in caplog.text


def test_killed_at_any_moment(box: Sandbox) -> None:
    """kill -9 while ports are plugged and unplugged: a new agent can plug, serve and remove, whatever was half-done."""
    network = a_network()
    ports = [a_port(network, 10, "a", "tap"), a_port(network, 11, "b", "tap")]
    code = (
        "from nova_lite.conf import load\nfrom nova_lite.host.networks import HostNetworks\n"
        "from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec\n"
        f"networks = HostNetworks(load([], {{'state_path': {str(box.state)!r}}}), {box.host!r})\n"
        f"network, ports = {network!r}, {ports!r}\nprint('go', flush=True)\nwhile True:\n"
        " for port in ports: networks.plug(network, port, ports)\n"
        " for port in ports: networks.unplug(5, port.port_id, [p for p in ports[1:] if p != port])\n"
    )
    for turn in range(12):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "go\n"
        time.sleep(0.01 + turn * 0.017)
        child.kill()
        child.wait()
        second = HostNetworks(box.configured(), box.host)
        try:
            if turn % 3 == 0:
                second.sync([(network, ports)])
            for port in ports:
                second.plug(network, port, ports)
            assert box.links() == {"nl-br5", *(devices.device_name(port.port_id) for port in ports)}
            assert len(box.dnsmasqs()) == 1
            for port in ports:
                second.unplug(5, port.port_id, [p for p in ports[1:] if p != port])
        finally:
            second.close()
        assert (box.links(), box.dnsmasqs(), box.rules()) == (set(), [], "")
        assert box.inside(box.host, "sysctl", "-n", "net.ipv4.conf.up0.forwarding").strip() == "0"


def test_eight_at_once(box: Sandbox) -> None:
    networks = [a_network(20 + n, f"10.20.{n}") for n in range(3)]
    ports = [(network, a_port(network, 10 + n, f"g{n}", "tap")) for network in networks for n in range(8)]
    failures: list[Exception] = []

    def work(which: int) -> None:
        try:
            for network, port in ports[which::8]:
                # Each knows of itself alone: lists that are out of date must not take others away.
                box.networks.plug(network, port, [port])
        except Exception as error:  # shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(box.links()) == 3 + 24
    for network in networks:
        assert (box.state / f"networks/{network.number}/hosts").read_text().count("\n") == 8


def test_clean_leaves_nothing(box: Sandbox) -> None:
    before = box.links()
    for number in (5, 6):
        network = a_network(number, f"10.30.{number}")
        plug_all(box.networks, network, [a_port(network, 10, "a", "tap"), a_port(network, 11, "b", "tap")])
    run("ip", "netns", "exec", box.host, "nft", "add", "table", "inet", "of_somebody_else")
    for _ in range(2):
        box.networks.clean()
    assert box.links() == before
    assert box.dnsmasqs() == []
    assert box.rules().split() == ["table", "inet", "of_somebody_else", "{", "}"]
    assert not (box.state / "networks").exists()
    assert box.inside(box.host, "sysctl", "-n", "net.ipv4.conf.up0.forwarding").strip() == "0"

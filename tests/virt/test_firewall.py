"""Security groups for real: rules, connections, groups of groups, zones and restarts, between guests in namespaces."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from firewall_station import (
    Guest,
    Station,
    ethernet,
    group,
    icmpv4,
    icmpv6,
    ipv4,
    ipv6,
    needs_root,
    open_group,
    rule,
    run,
    station,
    udp,
)

from nova_lite.host.network_state import PortSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import Firewall, kernel
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

pytestmark = needs_root
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
OUT = [rule("egress", version) for version in (4, 6)]


@pytest.fixture
def host() -> Iterator[Station]:
    with station() as made:
        yield made


class Server:
    """A TCP echo server in a guest."""

    def __init__(self, guest: Guest, port: int, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._listener = guest.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        self._listener.settimeout(None)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65_536):
                connection.sendall(data)


def address(guest: Guest, version: int = 4) -> str:
    return guest.port.addresses[0 if version == 4 else 1][1]


def connects(guest: Guest, to: str, port: int, wait_s: float = 0.4) -> bool:
    made = guest.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(wait_s)
    with made:
        try:
            made.connect((to, port))
            return echoes(made)
        except OSError:
            return False


def echoes(connection: socket.socket) -> bool:
    token = secrets.token_bytes(20)
    try:
        connection.sendall(token)
        return connection.recv(100) == token
    except OSError:
        return False


def pings(guest: Guest, to: str, size: int = 56) -> bool:
    argv = ["ping", "-c1", "-W1", "-i0.2", "-s", str(size), to]
    return "1 received" in run("ip", "netns", "exec", guest.namespace, *argv, check=False)


def hears_udp(sender: Guest, receiver: Guest, port: int) -> bool:
    token = secrets.token_bytes(12)
    packet = ipv4(address(sender), address(receiver), UDP, udp(1000, port, token))
    sender.send(ethernet(receiver.mac, sender.mac, 0x0800, packet))
    return receiver.hears(token, 0.3)


def members(*ports: PortSpec) -> tuple[str, ...]:
    return tuple(text for port in ports for _, text in port.addresses)


def test_closed_in_and_open_out_by_default(host: Station) -> None:
    network = host.network(7)
    default = group(*OUT)
    a, b = host.boot(host.port(network, 5, [default]), host.port(network, 6, [default]), groups=[default])
    Server(b, 80)
    Server(b, 81, socket.AF_INET6)
    assert not connects(a, address(b), 80)
    assert not connects(a, address(b, 6), 81)
    assert not pings(a, address(b))
    web = group(*default.rules, rule("ingress", protocol=TCP, port_min=80, port_max=80))
    host.change(groups={default.group_id: replace(default, rules=web.rules)})
    assert connects(a, address(b), 80)
    assert not pings(a, address(b))
    # A port in no group sends nothing either.
    alone = host.port(network, 8)
    (c,) = host.boot(alone)
    assert not connects(c, address(b), 80)


def test_established_connections_outlive_changes_and_a_restart(host: Station) -> None:
    network = host.network(7)
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=80))
    a, b = host.boot(host.port(network, 5, [web]), host.port(network, 6, [web]), groups=[web])
    Server(b, 80)
    connection = a.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.connect((address(b), 80))
    assert echoes(connection)
    host.change(groups={web.group_id: replace(web, rules=tuple(OUT))})
    assert not connects(a, address(b), 80)
    assert echoes(connection)
    before = host.listing()
    # A new agent: nothing of what is in force changes, so the counters' handles and the text stay.
    again = Firewall(Namespace(host.host))
    again.apply(host.state)
    assert host.listing() == before
    assert echoes(connection)
    # A new agent with another state.
    host.firewall = Firewall(Namespace(host.host))
    host.change(groups={web.group_id: web})
    assert echoes(connection)
    assert connects(a, address(b), 80)
    connection.close()


def test_the_same_state_again_sends_nothing(host: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    network = host.network(7)
    default = group(*OUT)
    host.change(ports={p.port_id: p for p in [host.port(network, 5, [default])]}, groups={default.group_id: default})
    sent: list[str] = []
    monkeypatch.setattr(host.firewall, "_run", sent.append)
    host.apply(host.state)
    assert sent == []
    extra = replace(default, rules=(*default.rules, rule("ingress", protocol=TCP, port_min=1, port_max=2)))
    host.change(groups={default.group_id: extra})
    assert len(sent) == 1
    # One group's chain, and the three that bear the version.
    assert {line.split(" ")[0] for line in sent[0].splitlines()} == {"flush", "add", "delete"}
    assert len(sent[0].splitlines()) == 1 + 1 + 6


def test_a_group_of_two_ports_and_a_port_of_two_groups(host: Station) -> None:
    network = host.network(7)
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=80))
    ssh = group(rule("ingress", protocol=TCP, port_min=22, port_max=22))
    ports = [host.port(network, 5, [web]), host.port(network, 6, [web]), host.port(network, 7, [web, ssh])]
    a, b, c = host.boot(*ports, groups=[web, ssh])
    for guest in (b, c):
        Server(guest, 80)
        Server(guest, 22)
    assert connects(a, address(b), 80)
    assert connects(a, address(c), 80)
    assert not connects(a, address(b), 22)
    assert connects(a, address(c), 22)


def test_a_remote_group_follows_its_members(host: Station) -> None:
    network = host.network(7)
    clients = group(*OUT)
    server = group(
        *OUT,
        rule("ingress", protocol=TCP, port_min=80, port_max=80, remote_group_id=clients.group_id),
        rule("ingress", 6, protocol=TCP, port_min=80, port_max=80, remote_group_id=clients.group_id),
    )
    ports = [host.port(network, 5, [clients]), host.port(network, 6, [server]), host.port(network, 7, [clients])]
    host.state = replace(host.state, members={clients.group_id: members(ports[0])})
    a, b, c = host.boot(*ports, groups=[clients, server])
    Server(b, 80, socket.AF_INET6)
    assert connects(a, address(b), 80)
    assert connects(a, address(b, 6), 80)
    assert not connects(c, address(b), 80)
    host.change(members={clients.group_id: members(ports[0], ports[2])})
    assert connects(c, address(b), 80)
    assert connects(c, address(b, 6), 80)
    host.change(members={clients.group_id: members(ports[2])})
    assert not connects(a, address(b), 80)
    assert connects(c, address(b), 80)
    # Addresses in one another, as allowed pairs bring them.
    host.change(members={clients.group_id: ("10.0.0.0/24", "10.0.0.7", "10.0.0.0/29", "::/0")})
    assert connects(a, address(b), 80)
    host.change(members={})
    assert not connects(a, address(b), 80)


def test_an_address_group_follows_its_content(host: Station) -> None:
    network = host.network(7)
    named = str(uuid.uuid4())
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=80, remote_address_group_id=named))
    a, b = host.boot(host.port(network, 5, [web]), host.port(network, 6, [web]), groups=[web])
    Server(b, 80)
    assert not connects(a, address(b), 80)
    host.change(address_groups={named: ("10.0.0.4/30", "2001:db8::/32")})
    assert connects(a, address(b), 80)
    host.change(address_groups={named: ("10.0.0.6/32",)})
    assert not connects(a, address(b), 80)


def test_rules_out(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    only = group(rule("egress", protocol=TCP, port_min=80, port_max=90, remote_cidr="10.0.0.6/32"))
    ports = [host.port(network, 5, [only]), host.port(network, 6, [everything]), host.port(network, 7, [everything])]
    a, b, c = host.boot(*ports, groups=[only, everything])
    for guest in (b, c):
        for port in (79, 80, 90, 91):
            Server(guest, port)
    assert [port for port in (79, 80, 90, 91) if connects(a, address(b), port)] == [80, 90]
    assert not connects(a, address(c), 80)


def test_ports_protocols_and_icmp_types(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    some = group(
        *OUT,
        rule("ingress", protocol=UDP, port_min=100, port_max=200, remote_cidr="10.0.0.0/30"),
        rule("ingress", protocol=UDP, port_min=300, port_max=300, remote_cidr="10.0.0.4/30"),
        rule("ingress", protocol=115),
        rule("ingress", protocol=103),
        rule("ingress", protocol=ICMP, port_min=8, port_max=0),
        rule("ingress", 6, protocol=ICMP, port_min=128),
    )
    a, b = host.boot(host.port(network, 5, [everything]), host.port(network, 6, [some]), groups=[everything, some])
    assert [p for p in (99, 100, 200, 201, 300, 301) if hears_udp(a, b, p)] == [300]
    assert pings(a, address(b))
    assert pings(a, address(b, 6))
    for protocol, wanted in ((115, True), (103, True), (50, False)):
        token = secrets.token_bytes(40)
        a.send(ethernet(b.mac, a.mac, 0x0800, ipv4(address(a), address(b), protocol, token)))
        assert b.hears(token, 0.3) is wanted, protocol
    for kind, wanted in ((13, False), (8, True)):
        token = secrets.token_bytes(20)
        a.send(ethernet(b.mac, a.mac, 0x0800, ipv4(address(a), address(b), ICMP, icmpv4(kind, token))))
        assert b.hears(token, 0.3) is wanted, kind
    for kind, wanted in ((128, True), (139, False)):
        token = secrets.token_bytes(20)
        packet = ipv6(address(a, 6), address(b, 6), ICMPV6, icmpv6(address(a, 6), address(b, 6), kind, token))
        a.send(ethernet(b.mac, a.mac, 0x86DD, packet))
        assert b.hears(token, 0.3) is wanted, kind


def test_large_packets_pass_in_fragments(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    a, b = host.boot(host.port(network, 5, [everything]), host.port(network, 6, [everything]), groups=[everything])
    assert pings(a, address(b), size=6000)
    assert pings(a, address(b, 6), size=6000)


def test_stateless_groups_judge_answers_by_rules(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    out_only = group(*OUT, stateful=False)
    ports = [host.port(network, 5, [out_only]), host.port(network, 6, [everything])]
    a, b = host.boot(*ports, groups=[out_only, everything])
    Server(b, 80)
    assert not connects(a, address(b), 80)
    both = replace(out_only, rules=(*out_only.rules, rule("ingress", protocol=TCP, port_min=1024, port_max=65535)))
    host.change(groups={**host.state.groups, both.group_id: both})
    assert connects(a, address(b), 80)


def test_two_networks_may_have_the_same_addresses(host: Station) -> None:
    """The same two addresses in two networks: a connection of the one is not that of the other."""
    networks = [host.network(7), host.network(8)]
    everything, closed = open_group(), group(*OUT)
    guests = []
    for network, groups in zip(networks, (everything, closed), strict=True):
        ports = [host.port(network, 5, [everything]), host.port(network, 6, [groups])]
        guests += host.boot(*ports, groups=[everything, closed])
    a, b, c, d = guests
    # The same ports at both ends, too.
    for receiver in (b, d):
        Server(receiver, 80)
    first = a.socket(socket.AF_INET, socket.SOCK_STREAM)
    first.bind((address(a), 5000))
    first.connect((address(b), 80))
    assert echoes(first)
    second = c.socket(socket.AF_INET, socket.SOCK_STREAM)
    second.bind((address(c), 5000))
    second.settimeout(0.5)
    with pytest.raises(TimeoutError):
        second.connect((address(d), 80))
    assert echoes(first)
    # Packets of the open connection, in the other network: they belong to nothing there.
    token = secrets.token_bytes(20)
    segment = struct.pack("!HHIIBBHHH", 5000, 80, 1, 1, 0x50, 0x18, 1000, 0, 0) + token
    c.send(ethernet(d.mac, c.mac, 0x0800, ipv4(address(c), address(d), TCP, segment)))
    assert not d.hears(token, 0.3)


def test_fragments_of_two_networks_with_the_same_addresses_are_not_mixed(host: Station) -> None:
    networks = [host.network(7), host.network(8)]
    everything = open_group()
    guests = [
        g
        for n in networks
        for g in host.boot(host.port(n, 5, [everything]), host.port(n, 6, [everything]), groups=[everything])
    ]
    a, b, c, _ = guests
    whole = udp(1, 2, b"A" * 24 + secrets.token_bytes(16))
    evil = secrets.token_bytes(len(whole) - 16)
    ident = secrets.randbits(16)

    def fragment(part: bytes, flags: int) -> bytes:
        return ipv4(address(a), address(b), UDP, part, flags, ident)

    a.send(ethernet(b.mac, a.mac, 0x0800, fragment(whole[:16], 0x2000)))
    c.send(ethernet(b.mac, c.mac, 0x0800, fragment(evil, 2)))
    assert not b.hears(evil[:12], 0.3)
    a.send(ethernet(b.mac, a.mac, 0x0800, fragment(whole[16:], 2)))
    assert b.hears(whole[-16:], 0.5)


def test_dhcp_dns_and_metadata_are_always_there(host: Station) -> None:
    network = host.network(7)
    assert network.dhcp is not None
    none = group()
    service = host.port(network, 2, secured=False)
    a, b = host.boot(host.port(network, 5, [none]), service, groups=[none])
    b.ip("address", "add", "169.254.169.254/32", "dev", "eth0")
    a.ip("route", "add", "169.254.169.254/32", "dev", "eth0")
    Server(b, 53)
    Server(b, 80)
    assert connects(a, "10.0.0.2", 53)
    assert connects(a, "169.254.169.254", 80)
    assert not connects(a, "10.0.0.2", 80)
    assert not connects(a, "169.254.169.254", 53)
    token = secrets.token_bytes(12)
    b.send(ethernet(a.mac, b.mac, 0x0800, ipv4("10.0.0.2", address(a), UDP, udp(67, 68, token))))
    assert a.hears(token, 0.3)
    host.change(groups={none.group_id: replace(none, stateful=False)})
    assert connects(a, "10.0.0.2", 53)
    assert connects(a, "169.254.169.254", 80)


def test_a_bridge_without_br_netfilter_passes_nothing_of_guarded_ports(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    a, b = host.boot(host.port(network, 5, [everything]), host.port(network, 6, [everything]), groups=[everything])
    assert pings(a, address(b))
    for name in ("iptables", "ip6tables"):
        run("ip", "netns", "exec", host.host, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}=0")
    bridge = devices.bridge_name(network.number)
    run(
        "ip",
        "-n",
        host.host,
        "link",
        "set",
        bridge,
        "type",
        "bridge",
        "nf_call_iptables",
        "0",
        "nf_call_ip6tables",
        "0",
    )
    assert not pings(a, address(b))
    assert not pings(a, address(b, 6))
    run(
        "ip",
        "-n",
        host.host,
        "link",
        "set",
        bridge,
        "type",
        "bridge",
        "nf_call_iptables",
        "1",
        "nf_call_ip6tables",
        "1",
    )
    assert pings(a, address(b))


def test_a_network_whose_outside_is_the_host(host: Station) -> None:
    """The host's own address on the bridge: guests reach it, and what it routes to them passes their groups."""
    network = host.network(7)
    bridge = devices.bridge_name(network.number)
    run("ip", "-n", host.host, "address", "add", "10.0.0.1/24", "dev", bridge)
    run("ip", "-n", host.host, "link", "set", "lo", "up")
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=80))
    (a,) = host.boot(host.port(network, 5, [web]), groups=[web])
    assert not pings(a, "10.0.0.1")
    host.firewall.apply(host.state, hosted={7})
    assert pings(a, "10.0.0.1")
    Server(a, 80)
    Server(a, 81)
    for port, wanted in ((80, True), (81, False)):
        made = host.namespace._programs.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM).result()
        made.settimeout(0.4)
        with made:
            assert (made.connect_ex(("10.0.0.5", port)) == 0) is wanted


def test_who_gets_an_address_next_does_not_inherit_connections(host: Station) -> None:
    """A peer whose connection to a guest was open may not send into the next guest with that address."""
    network = host.network(7)
    web = group(*OUT, rule("ingress", protocol=UDP, port_min=100, port_max=100))
    closed = group(*OUT)
    old = host.port(network, 6, [web])
    a, b, c = host.boot(host.port(network, 5, [web]), old, host.port(network, 7, [web]), groups=[web, closed])
    for guest in (b, c):
        assert hears_udp(a, guest, 100)
        token = secrets.token_bytes(12)
        guest.send(ethernet(a.mac, guest.mac, 0x0800, ipv4(address(guest), address(a), UDP, udp(100, 1000, token))))
        assert a.hears(token, 0.3)
    # The same device and address under another port, and with it another guest's groups.
    host.change(ports={key: port for key, port in host.state.ports.items() if key != old.port_id})
    host.change(ports={**host.state.ports, old.port_id: replace(old, group_ids=(closed.group_id,))})
    assert not hears_udp(a, b, 100)
    host.change(groups={**host.state.groups, web.group_id: closed})
    assert hears_udp(a, c, 100)  # This one is still open.
    # With the last port of a network its whole zone goes.
    host.change(ports={})
    assert "dport=100" not in run("ip", "netns", "exec", host.host, "conntrack", "-L", check=False)


def test_rules_that_somebody_took_away_come_back(host: Station) -> None:
    network = host.network(7)
    default = group(*OUT)
    a, b = host.boot(host.port(network, 5, [default]), host.port(network, 6, [default]), groups=[default])
    assert not host.firewall.tend()
    before = host.listing()
    run("ip", "netns", "exec", host.host, "nft", "flush", "ruleset")
    assert pings(a, address(b))
    assert host.firewall.tend()
    assert host.listing() == before
    assert not pings(a, address(b))
    # A part is enough to be missed, and a change repairs it as well.
    run("ip", "netns", "exec", host.host, "nft", "delete", "table", "bridge", "nova_lite")
    host.change(ports={**host.state.ports, **{p.port_id: p for p in [host.port(network, 9, [default])]}})
    assert not pings(a, address(b))
    assert host.listing().count("version-") == 3


def test_what_is_gone_leaves_nothing(host: Station) -> None:
    network = host.network(7)
    default = group(*OUT, rule("ingress", remote_group_id=str(uuid.uuid4())))
    empty = host.state
    host.apply(replace(empty, networks={}))
    before = host.listing()
    host.apply(
        replace(
            empty, ports={p.port_id: p for p in [host.port(network, 5, [default])]}, groups={default.group_id: default}
        )
    )
    assert host.listing() != before
    host.apply(replace(empty, networks={}))
    assert host.listing() == before
    host.firewall.clean()
    assert host.listing() == ""


def test_a_port_with_a_refused_value_passes_nothing_and_the_others_do(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    a, b = host.boot(host.port(network, 5, [everything]), host.port(network, 6, [everything]), groups=[everything])
    evil = replace(a.port, pairs=(("", "10.0.0.1 } accept #"),))
    other = host.port(network, 9, [everything])
    with pytest.raises(HostError, match="not an IP address"):
        host.change(ports={**host.state.ports, evil.port_id: evil, other.port_id: other})
    assert not pings(a, address(b))
    assert other.port_id in host.listing()


def test_the_kernel_says_what_it_has(host: Station) -> None:
    listing = run("ip", "netns", "exec", host.host, "nft", "list", "tables")
    assert kernel.bridge_conntrack(host.namespace) in (True, False)
    kernel.require_br_netfilter(host.namespace)
    assert run("ip", "netns", "exec", host.host, "nft", "list", "tables") == listing

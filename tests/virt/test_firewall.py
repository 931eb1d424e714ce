"""Security groups for real: rules, connections, groups of groups, zones and restarts, between guests in namespaces."""

from __future__ import annotations

import secrets
import socket
import struct
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from firewall_station import (
    PATIENCE_S,
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
from firewall_traffic import (
    ICMP,
    ICMPV6,
    OUT,
    TCP,
    UDP,
    Server,
    address,
    connects,
    echoes,
    hears_udp,
    is_kept_out,
    is_unanswered,
    members,
    pings,
)

from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import Firewall, kernel
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

pytestmark = needs_root


@pytest.fixture
def host() -> Iterator[Station]:
    with station() as made:
        yield made


def test_closed_in_and_open_out_by_default(host: Station) -> None:
    network = host.network(7)
    default = group(*OUT)
    a, b = host.boot(host.port(network, 5, [default]), host.port(network, 6, [default]), groups=[default])
    Server(b, 80)
    Server(b, 81, socket.AF_INET6)
    assert is_kept_out(a, address(b), 80)
    assert is_kept_out(a, address(b, 6), 81)
    assert is_unanswered(a, address(b))
    web = group(*default.rules, rule("ingress", protocol=TCP, port_min=80, port_max=80))
    host.change(groups={default.group_id: replace(default, rules=web.rules)})
    assert connects(a, address(b), 80)
    assert is_unanswered(a, address(b))
    # A port in no group sends nothing either.
    alone = host.port(network, 8)
    (c,) = host.boot(alone)
    assert is_kept_out(c, address(b), 80)


def test_allowed_connections_outlive_changes_and_a_restart(host: Station) -> None:
    network = host.network(7)
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=81))
    a, b = host.boot(host.port(network, 5, [web]), host.port(network, 6, [web]), groups=[web])
    Server(b, 80)
    connection = a.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.connect((address(b), 80))
    assert echoes(connection)
    only = rule("ingress", protocol=TCP, port_min=80, port_max=80)
    host.change(groups={web.group_id: replace(web, rules=(*OUT, only))})
    assert is_kept_out(a, address(b), 81)
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
    # One group's chain, those that know the generation, and the three that bear the version.
    assert {line.split(" ")[0] for line in sent[0].splitlines()} == {"flush", "add", "delete"}
    changed = {line.split(" ")[-1] for line in sent[0].splitlines() if line.startswith("flush")}
    assert changed == {f"group-in-{default.group_id}", "tracked-in", "tracked-out", "passed-in", "passed-out"}
    assert len(sent[0].splitlines()) == 2 + 2 * (1 + 3) + 2 * (1 + 2) + 6


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
    assert is_kept_out(a, address(b), 22)
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
    assert is_kept_out(c, address(b), 80)
    host.change(members={clients.group_id: members(ports[0], ports[2])})
    assert connects(c, address(b), 80)
    assert connects(c, address(b, 6), 80)
    host.change(members={clients.group_id: members(ports[2])})
    assert is_kept_out(a, address(b), 80)
    assert connects(c, address(b), 80)
    # Addresses in one another, as allowed pairs bring them.
    host.change(members={clients.group_id: ("10.0.0.0/24", "10.0.0.7", "10.0.0.0/29", "::/0")})
    assert connects(a, address(b), 80)
    host.change(members={})
    assert is_kept_out(a, address(b), 80)


def test_an_address_group_follows_its_content(host: Station) -> None:
    network = host.network(7)
    named = str(uuid.uuid4())
    web = group(*OUT, rule("ingress", protocol=TCP, port_min=80, port_max=80, remote_address_group_id=named))
    a, b = host.boot(host.port(network, 5, [web]), host.port(network, 6, [web]), groups=[web])
    Server(b, 80)
    assert is_kept_out(a, address(b), 80)
    host.change(address_groups={named: ("10.0.0.4/30", "2001:db8::/32")})
    assert connects(a, address(b), 80)
    host.change(address_groups={named: ("10.0.0.6/32",)})
    assert is_kept_out(a, address(b), 80)


def test_rules_out(host: Station) -> None:
    network = host.network(7)
    everything = open_group()
    only = group(rule("egress", protocol=TCP, port_min=80, port_max=90, remote_cidr="10.0.0.6/32"))
    ports = [host.port(network, 5, [only]), host.port(network, 6, [everything]), host.port(network, 7, [everything])]
    a, b, c = host.boot(*ports, groups=[only, everything])
    for guest in (b, c):
        for port in (79, 80, 90, 91):
            Server(guest, port)
    for port, is_open in ((79, False), (80, True), (90, True), (91, False)):
        assert connects(a, address(b), port) if is_open else is_kept_out(a, address(b), port), port
    assert is_kept_out(a, address(c), 80)


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
    for number in (99, 100, 200, 201, 300, 301):
        assert hears_udp(a, b, number, wait_s=PATIENCE_S if number == 300 else 0.3) is (number == 300), number
    assert pings(a, address(b))
    assert pings(a, address(b, 6))
    for protocol, wanted in ((115, True), (103, True), (50, False)):
        token = secrets.token_bytes(40)
        a.send(ethernet(b.mac, a.mac, 0x0800, ipv4(address(a), address(b), protocol, token)))
        assert b.hears(token, PATIENCE_S if wanted else 0.3) is wanted, protocol
    for kind, wanted in ((13, False), (8, True)):
        token = secrets.token_bytes(20)
        a.send(ethernet(b.mac, a.mac, 0x0800, ipv4(address(a), address(b), ICMP, icmpv4(kind, token))))
        assert b.hears(token, PATIENCE_S if wanted else 0.3) is wanted, kind
    for kind, wanted in ((128, True), (139, False)):
        token = secrets.token_bytes(20)
        packet = ipv6(address(a, 6), address(b, 6), ICMPV6, icmpv6(address(a, 6), address(b, 6), kind, token))
        a.send(ethernet(b.mac, a.mac, 0x86DD, packet))
        assert b.hears(token, PATIENCE_S if wanted else 0.3) is wanted, kind


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
    assert is_kept_out(a, address(b), 80)
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
    assert b.hears(whole[-16:], PATIENCE_S)


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
    assert is_kept_out(a, "10.0.0.2", 80)
    assert is_kept_out(a, "169.254.169.254", 53)
    token = secrets.token_bytes(12)
    b.send(ethernet(a.mac, b.mac, 0x0800, ipv4("10.0.0.2", address(a), UDP, udp(67, 68, token))))
    assert a.hears(token, PATIENCE_S)
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
    assert is_unanswered(a, address(b))
    assert is_unanswered(a, address(b, 6))
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
    assert is_unanswered(a, "10.0.0.1")
    host.firewall.apply(host.state, hosted={7})
    assert pings(a, "10.0.0.1")
    Server(a, 80)
    Server(a, 81)
    for port, wanted in ((80, True), (81, False)):
        made = host.namespace._programs.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM).result()
        made.settimeout(PATIENCE_S if wanted else 0.4)
        with made:
            assert (made.connect_ex(("10.0.0.5", port)) == 0) is wanted


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
    assert is_unanswered(a, address(b))
    # A part is enough to be missed, and a change repairs it as well.
    run("ip", "netns", "exec", host.host, "nft", "delete", "table", "bridge", "nova_lite")
    host.change(ports={**host.state.ports, **{p.port_id: p for p in [host.port(network, 9, [default])]}})
    assert is_unanswered(a, address(b))
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
    assert is_unanswered(a, address(b))
    assert other.port_id in host.listing()


def test_the_kernel_says_what_it_has(host: Station) -> None:
    listing = run("ip", "netns", "exec", host.host, "nft", "list", "tables")
    assert kernel.bridge_conntrack(host.namespace) in (True, False)
    kernel.require_br_netfilter(host.namespace)
    assert run("ip", "netns", "exec", host.host, "nft", "list", "tables") == listing

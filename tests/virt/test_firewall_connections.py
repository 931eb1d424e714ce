"""Open connections and changed rules, for real: what is allowed no more ends at once, both ways, and what is allowed goes on."""

from __future__ import annotations

import ipaddress
import itertools
import secrets
import socket
import struct
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from firewall_station import (
    PATIENCE_S,
    Guest,
    Station,
    ethernet,
    group,
    icmpv4,
    ipv4,
    needs_root,
    open_group,
    rule,
    run,
    station,
    udp,
)
from firewall_traffic import ICMP, OUT, TCP, UDP, Talk, address, hears_udp, is_unanswered, members

from nova_lite.host.network_state import GroupSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import Firewall
from nova_lite.host.networks.firewall.conntrack import Conntrack
from nova_lite.host.networks.firewall.ruleset import Ruleset
from nova_lite.host.networks.namespace import Namespace

pytestmark = needs_root
VERSIONS = (4, 6)


@pytest.fixture
def host() -> Iterator[Station]:
    with station() as made:
        yield made


def tcp_in(port: int, **more: object) -> list[object]:
    return [rule("ingress", v, protocol=TCP, port_min=port, port_max=port, **more) for v in VERSIONS]


def a_group(*rules: object) -> GroupSpec:
    return group(*OUT, *itertools.chain.from_iterable(r if isinstance(r, list) else [r] for r in rules))  # type: ignore[arg-type]


def set_rules(host: Station, changed: GroupSpec, *rules: object) -> None:
    """Give a group OUT and *rules*."""
    rest = a_group(*rules).rules
    host.change(groups={**host.state.groups, changed.group_id: replace(changed, rules=rest)})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_removed_rule_ends_what_it_alone_allowed(host: Station, version: int) -> None:
    network = host.network(7)
    clients, web = a_group(), a_group(tcp_in(80), tcp_in(81), tcp_in(82))
    a, b = host.boot(host.port(network, 5, [clients]), host.port(network, 6, [web]), groups=[clients, web])
    gone, left, other_way = (Talk(a, b, port, version) for port in (80, 81, 82))
    assert gone.up() and gone.down() and left.up()
    # Port 82 is allowed by another rule from now on, and stays open.
    wide = [rule("ingress", v, protocol=TCP, port_min=82, port_max=90) for v in VERSIONS]
    set_rules(host, web, tcp_in(81), wide)
    assert gone.is_dead()
    # One hears first from the client, one from the server: an answer is judged by the question's rule.
    assert left.down() and left.up()
    assert other_way.up() and other_way.down()
    # It comes to life again with its rule.
    set_rules(host, web, tcp_in(80))
    assert gone.up()
    assert left.is_dead()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_removed_rule_out_ends_what_it_alone_allowed(host: Station, version: int) -> None:
    network = host.network(7)
    out = [rule("egress", v, protocol=TCP, port_min=port, port_max=port) for v in VERSIONS for port in (80, 81)]
    client, everything = group(*out), open_group()
    a, b = host.boot(host.port(network, 5, [client]), host.port(network, 6, [everything]), groups=[client, everything])
    gone, left = Talk(a, b, 80, version), Talk(a, b, 81, version)
    rules = tuple(each for each in out if each.port_min == 81)
    host.change(groups={**host.state.groups, client.group_id: replace(client, rules=rules)})
    assert gone.is_dead()
    assert left.down() and left.up()


def test_a_port_that_leaves_a_group(host: Station) -> None:
    network = host.network(7)
    default, web = a_group(), a_group(tcp_in(80))
    ports = [host.port(network, 5, [default]), *(host.port(network, last, [default, web]) for last in (6, 7))]
    a, b, c = host.boot(*ports, groups=[default, web])
    leaves, stays = Talk(a, b, 80), Talk(a, c, 80)
    host.change(ports={**host.state.ports, b.port.port_id: replace(b.port, group_ids=(default.group_id,))})
    assert leaves.is_dead()
    assert stays.down() and stays.up()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_remote_group_that_loses_a_member(host: Station, version: int) -> None:
    network = host.network(7)
    clients = a_group()
    web = a_group(tcp_in(80, remote_group_id=clients.group_id))
    ports = [host.port(network, 5, [clients]), host.port(network, 6, [web]), host.port(network, 7, [clients])]
    host.state = replace(host.state, members={clients.group_id: members(ports[0], ports[2])})
    a, b, c = host.boot(*ports, groups=[clients, web])
    leaves, stays = Talk(a, b, 80, version), Talk(c, b, 80, version)
    host.change(members={clients.group_id: members(ports[2])})
    assert leaves.is_dead()
    assert stays.down() and stays.up()


def test_an_address_group_that_loses_an_address(host: Station) -> None:
    network = host.network(7)
    named, clients = str(uuid.uuid4()), a_group()
    web = a_group(tcp_in(80, remote_address_group_id=named))
    ports = [host.port(network, 5, [clients]), host.port(network, 6, [web]), host.port(network, 7, [clients])]
    host.state = replace(host.state, address_groups={named: ("10.0.0.4/30", "2001:db8::5")})
    a, b, c = host.boot(*ports, groups=[clients, web])
    leaves, stays = Talk(a, b, 80), Talk(c, b, 80)
    host.change(address_groups={named: ("10.0.0.7", "2001:db8::5")})
    assert leaves.is_dead()
    assert stays.up() and stays.down()


def test_udp_that_only_the_server_sends_on_ends_too(host: Station) -> None:
    network = host.network(7)
    some = a_group(rule("ingress", protocol=UDP, port_min=100, port_max=101))
    a, b = host.boot(host.port(network, 5, [some]), host.port(network, 6, [some]), groups=[some])
    for port in (100, 101):
        assert hears_udp(a, b, port, 1000, PATIENCE_S)
        assert hears_udp(b, a, 1000, port, PATIENCE_S)
    set_rules(host, some, rule("ingress", protocol=UDP, port_min=101, port_max=101))
    assert not hears_udp(b, a, 1000, 100)
    assert hears_udp(b, a, 1000, 101, PATIENCE_S)
    assert not hears_udp(a, b, 100)
    assert hears_udp(a, b, 101, 1000, PATIENCE_S)


def test_pings_and_errors_of_open_connections(host: Station) -> None:
    network = host.network(7)
    some = a_group(
        rule("ingress", protocol=ICMP, port_min=8, port_max=0),
        rule("ingress", protocol=UDP, port_min=100, port_max=200),
    )
    a, b = host.boot(host.port(network, 5, [some]), host.port(network, 6, [some]), groups=[some])

    def echo(sender: Guest, receiver: Guest, kind: int, wait_s: float) -> bool:
        token = struct.pack("!HH", 77, 1) + secrets.token_bytes(16)
        packet = ipv4(address(sender), address(receiver), ICMP, icmpv4(kind, token))
        sender.send(ethernet(receiver.mac, sender.mac, 0x0800, packet))
        return receiver.hears(token[4:], wait_s)

    assert echo(a, b, 8, PATIENCE_S) and echo(b, a, 0, PATIENCE_S)
    # Nobody listens at 150: the kernel of b says so by ICMP, which belongs to the connection.
    asking = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.connect((address(b), 150))

    def is_refused(wait_s: float = PATIENCE_S) -> bool:
        asking.settimeout(wait_s)
        asking.send(b"?")
        try:
            asking.recv(10)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
        return False

    assert is_refused()
    set_rules(host, some, rule("ingress", protocol=ICMP, port_min=8))
    assert not is_refused(1)
    # Still allowed, and the first that comes after the change is an answer.
    assert echo(b, a, 0, PATIENCE_S)
    set_rules(host, some, rule("ingress", protocol=UDP))
    assert not echo(a, b, 8, 0.3) and not echo(b, a, 0, 0.3)
    assert is_unanswered(a, address(b))
    assert is_refused()
    # The error comes first after a change that concerns something else.
    error = struct.pack("!I", 0) + ipv4(address(a), address(b), UDP, udp(asking.getsockname()[1], 150, b"?"))
    host.change(groups={**host.state.groups, **{each.group_id: each for each in [a_group(tcp_in(1))]}})
    token = error + secrets.token_bytes(8)
    b.send(ethernet(a.mac, b.mac, 0x0800, ipv4(address(b), address(a), ICMP, icmpv4(3, token, 3))))
    assert a.hears(token, PATIENCE_S)


def test_answers_of_our_own_services_pass_after_a_change(host: Station) -> None:
    """DHCP renewed, DNS and metadata of a port in a closed group: the rules change between question and answer."""
    network = host.network(7)
    none = group()
    a, service = host.boot(host.port(network, 5, [none]), host.port(network, 2, secured=False), groups=[none])

    def passes(
        sender: Guest, receiver: Guest, source: str, to: str, ports: tuple[int, int], wait_s: float = PATIENCE_S
    ) -> bool:
        token = secrets.token_bytes(20)
        # The client's hardware address in a DHCP message is at 28 (RFC 2131, 2).
        packet = ipv4(source, to, UDP, udp(*ports, bytes(28) + a.mac + token))
        sender.send(ethernet(receiver.mac, sender.mac, 0x0800, packet))
        return receiver.hears(token, wait_s)

    service.ip("address", "add", "169.254.169.254/32", "dev", "eth0")
    a.ip("route", "add", "169.254.169.254/32", "dev", "eth0")
    listener = service.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("169.254.169.254", 80))
    listener.listen()
    metadata = a.socket(socket.AF_INET, socket.SOCK_STREAM)
    metadata.connect(("169.254.169.254", 80))
    answering, _ = listener.accept()
    asked = [(68, 67), (3000, 53)]
    for source, port in asked:
        assert passes(a, service, address(a), "10.0.0.2", (source, port))
    host.change(groups={**host.state.groups, **{each.group_id: each for each in [a_group(tcp_in(1))]}})
    for source, port in asked:
        assert passes(service, a, "10.0.0.2", address(a), (port, source)), port
    answering.sendall(b"1")
    assert metadata.recv(1) == b"1"
    for each in (listener, metadata, answering):
        each.close()
    # What nobody asked for does not come.
    assert not passes(service, a, "10.0.0.2", address(a), (53, 3002), 1)


def test_an_agent_that_starts_ends_what_its_rules_do_not_allow(host: Station) -> None:
    network = host.network(7)
    web = a_group(tcp_in(80), tcp_in(81))
    a, b = host.boot(host.port(network, 5, [web]), host.port(network, 6, [web]), groups=[web])
    gone, left = Talk(a, b, 80), Talk(a, b, 81)
    host.firewall = Firewall(Namespace(host.host))
    set_rules(host, web, tcp_in(81))
    assert gone.is_dead()
    assert left.down() and left.up()


def test_a_port_without_port_security_that_gets_it(host: Station) -> None:
    network = host.network(7)
    web = a_group(tcp_in(80))
    a, b = host.boot(
        host.port(network, 5, [web], secured=False), host.port(network, 6, [web], secured=False), groups=[web]
    )
    allowed, other = Talk(a, b, 80), Talk(a, b, 81)
    assert allowed.up() and other.up()
    host.change(ports={key: replace(port, secured=True) for key, port in host.state.ports.items()})
    assert other.is_dead()
    assert allowed.down() and allowed.up()


def test_what_the_host_routes_to_a_guest_ends_too(host: Station) -> None:
    network = host.network(7)
    bridge = devices.bridge_name(network.number)
    run("ip", "-n", host.host, "address", "add", "10.0.0.1/24", "dev", bridge)
    run("ip", "-n", host.host, "link", "set", "lo", "up")
    web = a_group(tcp_in(80))
    (a,) = host.boot(host.port(network, 5, [web]), groups=[web])
    host.firewall.apply(host.state, hosted={7})
    listener = a.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.0.0.5", 80))
    listener.listen()
    client = host.namespace.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(PATIENCE_S)
    client.connect(("10.0.0.5", 80))
    server, _ = listener.accept()
    server.settimeout(PATIENCE_S)
    client.sendall(b"1")
    assert server.recv(1) == b"1"
    server.settimeout(0.5)
    host.state = replace(host.state, groups={web.group_id: replace(web, rules=tuple(OUT))})
    host.firewall.apply(host.state, hosted={7})
    client.sendall(b"2")
    with pytest.raises(TimeoutError):
        server.recv(1)
    server.sendall(b"3")
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    for each in (client, server, listener):
        each.close()


def answers(peer: Guest, old: Guest, wait_s: float = 0.3) -> bool:
    """Say whether *old*'s device gets what *peer* answers to a question of its (UDP, 1000 to 100)."""
    return hears_udp(peer, old, 1000, 100, wait_s)


class Killed(Exception):
    pass


@pytest.mark.parametrize("how", ["in two passes", "in one pass", "while no agent runs", "and the agent is killed"])
def test_who_gets_an_address_next_does_not_inherit_connections(
    host: Station, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers to a guest that is gone do not come to the next guest with its address, though that may ask whom it likes."""
    network = host.network(7)
    everything, closed = open_group(), a_group()
    old = host.port(network, 6, [closed])
    ports = [host.port(network, 5, [everything]), old, host.port(network, 7, [closed])]
    a, b, c = host.boot(*ports, groups=[everything, closed])
    for guest in (b, c):
        assert hears_udp(guest, a, 100, 1000, PATIENCE_S)
        assert answers(a, guest, PATIENCE_S)
    left = {key: port for key, port in host.state.ports.items() if key != old.port_id}
    # The same device: its name is the beginning of the id.
    new = replace(old, port_id=old.port_id[:14] + str(uuid.uuid4())[14:])
    if how == "and the agent is killed":
        send = host.firewall._send

        def send_and_die(wanted: Ruleset) -> None:
            send(wanted)
            raise Killed

        monkeypatch.setattr(host.firewall, "_send", send_and_die)
        with pytest.raises(Killed):
            host.change(ports=left)
    if how != "in one pass" and how != "in two passes":
        host.firewall = Firewall(Namespace(host.host))
    if how == "in two passes":
        host.change(ports=left)
    host.change(ports={**left, new.port_id: new})
    assert not answers(a, b)
    assert answers(a, c, PATIENCE_S)
    # What it asks itself is answered.
    assert hears_udp(b, a, 100, 1000, PATIENCE_S)
    assert answers(a, b, PATIENCE_S)


def test_who_gets_an_address_next_is_not_sent_to_by_old_peers(host: Station) -> None:
    network = host.network(7)
    web, closed = a_group(tcp_in(80)), a_group()
    old = host.port(network, 6, [web])
    a, b = host.boot(host.port(network, 5, [web]), old, groups=[web, closed])
    talk = Talk(a, b, 80)
    new = replace(old, port_id=old.port_id[:14] + str(uuid.uuid4())[14:], group_ids=(closed.group_id,))
    host.change(ports={a.port.port_id: a.port, new.port_id: new})
    assert talk.is_dead()


def test_connections_are_told_and_deleted_by_their_addresses(host: Station) -> None:
    """Of both IP versions, in the zone of their network; a shared address goes with the last who has it."""
    networks = [host.network(7), host.network(8)]
    everything = open_group()
    pairs = (("", "10.0.0.100"),)
    guests = []
    for network in networks:
        ports = [host.port(network, 5, [everything]), host.port(network, 6, [everything], pairs=pairs)]
        guests += host.boot(*ports, groups=[everything])
    a, b, c, d = guests
    talks = [Talk(one, other, 80, version) for one, other in ((a, b), (c, d)) for version in VERSIONS]

    def zones(*addresses: str) -> list[int]:
        packed = {ipaddress.ip_address(each).packed for each in addresses}
        with Conntrack(host.namespace) as conntrack:
            return sorted(each.zone for each in conntrack.connections() if packed <= each.addresses)

    both = [zones("10.0.0.5", "10.0.0.6"), zones("2001:db8::5", "2001:db8::6")]
    assert both[0] == both[1] and len(set(both[0])) == 2
    token = secrets.token_bytes(20)
    packet = ipv4("10.0.0.100", address(a), UDP, udp(9, 9, token))
    b.send(ethernet(a.mac, b.mac, 0x0800, packet))
    assert a.hears(token, PATIENCE_S)  # it has been entered once it has come
    assert zones("10.0.0.100") == both[0][:1]
    # The pair goes to another port, which makes no difference; then with the port.
    another = host.port(networks[0], 9, [everything], pairs=pairs)
    host.change(ports={**host.state.ports, another.port_id: another})
    host.change(ports={key: port for key, port in host.state.ports.items() if key != b.port.port_id})
    assert zones("10.0.0.100") == both[0][:1]
    assert zones("10.0.0.5", "10.0.0.6") == zones("2001:db8::5", "2001:db8::6") == both[0][1:]
    host.change(ports={key: port for key, port in host.state.ports.items() if key != another.port_id})
    assert zones("10.0.0.100") == []
    assert talks[2].up() and talks[3].down()


def test_any_rule_is_taken_by_nft(host: Station) -> None:
    """Each protocol and way to name the other side, of stateful and stateless groups."""
    network = host.network(7)
    remote, named = str(uuid.uuid4()), str(uuid.uuid4())
    others = [{}, {"remote_group_id": remote}, {"remote_address_group_id": named}]
    ports = [(None, None), (1, 2), (5, None), (None, 5), (7, 7)]
    rules = [
        rule(direction, version, protocol=protocol, port_min=low, port_max=high, **other)
        for direction in ("ingress", "egress")
        for version in VERSIONS
        for protocol in (None, ICMP, TCP, UDP, 33, 47, 58, 132, 136)
        for low, high in (ports if protocol is not None else ports[:1])
        for other in [*others, {"remote_cidr": "10.0.0.0/8" if version == 4 else "2001:db8::/32"}]
        if not (protocol in (ICMP, 58) and low is None and high is not None)
    ]
    groups = [group(*rules), group(*rules, stateful=False)]
    host.change(
        ports={port.port_id: port for port in (host.port(network, 5 + i, [each]) for i, each in enumerate(groups))},
        groups={each.group_id: each for each in groups},
    )
    assert host.listing().count(rules[0].rule_id) == 3

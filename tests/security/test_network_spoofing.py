"""A guest can't pass for another, whatever frames it makes: anti-spoofing per port (CVE-2021-20267, CVE-2021-38598).

Every frame is made by hand and sent by a raw socket inside a guest's namespace, through the real kernel's bridge and rules. The groups let
everything pass. Each frame carries a token; the victim's raw socket says whether it came.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from firewall_station import (
    Guest,
    Station,
    arp,
    ethernet,
    icmpv4,
    icmpv6,
    ipv4,
    ipv6,
    mac_of,
    needs_root,
    open_group,
    run,
    station,
    udp,
    udp6,
)

from nova_lite.host.network_state import PortSpec
from nova_lite.host.networks.firewall import values

pytestmark = needs_root

IP, ARP, IP6 = 0x0800, 0x0806, 0x86DD
ANY = b"\xff" * 6
OTHER = mac_of("fa:16:3e:99:99:99")
PAIR_MAC = "fa:16:3e:77:77:77"
ALL_NODES, ALL_NODES_MAC = "ff02::1", mac_of("33:33:00:00:00:01")
RA, NS, NA, REDIRECT, RS, MLD2 = 134, 135, 136, 137, 133, 143
REQUEST, REPLY = 1, 2


@dataclass(frozen=True)
class Pair:
    """Who sends and who listens, on one bridge; the sender's port has allowed pairs."""

    station: Station
    sender: Guest
    victim: Guest

    @property
    def mac(self) -> bytes:
        return self.sender.mac

    @property
    def link_local(self) -> str:
        return str(values.link_local(self.sender.port.mac).network_address)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with station() as made:
        everything = open_group()
        network = made.network(7)
        pairs = (("", "10.0.0.64/26"), (PAIR_MAC, "10.0.0.200"), ("", "2001:db8:0:1::/64"))
        ports = [made.port(network, 5, [everything], pairs=pairs), made.port(network, 6, [everything])]
        sender, victim = made.boot(*ports, groups=[everything])
        yield Pair(made, sender, victim)


def passes(pair: Pair, frame: Callable[[bytes], bytes]) -> bool:
    token = secrets.token_bytes(12)
    pair.sender.send(frame(token))
    return pair.victim.hears(token, 0.4)


def v4(pair: Pair, source: str, *, mac: bytes | None = None, to: bytes = b"") -> bool:
    own = pair.mac if mac is None else mac
    return passes(
        pair, lambda t: ethernet(to or pair.victim.mac, own, IP, ipv4(source, "10.0.0.6", 17, udp(1234, 4321, t)))
    )


def v6(pair: Pair, source: str, *, mac: bytes | None = None) -> bool:
    def frame(token: bytes) -> bytes:
        payload = udp6(source, "2001:db8::6", 1234, 4321, token)
        return ethernet(pair.victim.mac, mac or pair.mac, IP6, ipv6(source, "2001:db8::6", 17, payload))

    return passes(pair, frame)


def arped(
    pair: Pair, operation: int, sender_mac: bytes, sender: str, *, mac: bytes | None = None, target: str = "10.0.0.6"
) -> bool:
    # The padding after an ARP packet carries the token.
    return passes(pair, lambda t: ethernet(ANY, mac or pair.mac, ARP, arp(operation, sender_mac, sender, target) + t))


def nd(pair: Pair, kind: int, body: bytes, source: str, *, behind: bytes = b"", header: int = 58) -> bool:
    """Send an ICMPv6 message of *kind* to all nodes; the frame's own checksum is its token."""
    message = icmpv6(source, ALL_NODES, kind, body)
    packet = ipv6(source, ALL_NODES, header, behind + message)
    pair.sender.send(ethernet(ALL_NODES_MAC, pair.mac, IP6, packet))
    return pair.victim.hears(message[:40], 0.4)


def advert(target: str, options: bytes = b"") -> bytes:
    """The body of a neighbour solicitation or advertisement; the flags' reserved bits are random, so that it is known again."""
    noise = secrets.randbits(29)
    return struct.pack("!I", 0x20000000 | noise) + values.cidr(target).network_address.packed + options


def option(kind: int, mac: bytes) -> bytes:
    return bytes([kind, 1]) + mac


# ---- MAC and IPv4


def test_own_addresses_pass(pair: Pair) -> None:
    assert v4(pair, "10.0.0.5")
    assert v4(pair, "10.0.0.5", to=ANY)
    assert v6(pair, "2001:db8::5")
    assert v6(pair, pair.link_local)


def test_another_mac_is_dropped(pair: Pair) -> None:
    assert not v4(pair, "10.0.0.5", mac=OTHER)
    assert not v6(pair, "2001:db8::5", mac=OTHER)
    assert not v4(pair, "10.0.0.6", mac=pair.victim.mac, to=ANY)


def test_another_ipv4_source_is_dropped(pair: Pair) -> None:
    for source in ("10.0.0.6", "10.0.0.1", "192.0.2.1", "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0"):
        assert not v4(pair, source), source


def test_another_ipv4_source_in_a_fragment_is_dropped(pair: Pair) -> None:
    def fragment(offset: int) -> Callable[[bytes], bytes]:
        return lambda t: ethernet(pair.victim.mac, pair.mac, IP, ipv4("10.0.0.9", "10.0.0.6", 17, t * 4, offset))

    assert not passes(pair, fragment(0x2000))
    assert not passes(pair, fragment(0x0003))


def test_allowed_pairs_pass_with_their_own_mac_only(pair: Pair) -> None:
    assert v4(pair, "10.0.0.65")
    assert v4(pair, "10.0.0.127")
    assert not v4(pair, "10.0.0.128")
    assert v4(pair, "10.0.0.200", mac=mac_of(PAIR_MAC))
    assert not v4(pair, "10.0.0.200")
    assert not v4(pair, "10.0.0.65", mac=mac_of(PAIR_MAC))
    assert v6(pair, "2001:db8:0:1::99")
    assert not v6(pair, "2001:db8:0:2::99")


# ---- ARP


def test_own_arp_passes(pair: Pair) -> None:
    assert arped(pair, REQUEST, pair.mac, "10.0.0.5")
    assert arped(pair, REPLY, pair.mac, "10.0.0.5")
    assert arped(pair, REQUEST, pair.mac, "10.0.0.70")
    assert arped(pair, REQUEST, pair.mac, "0.0.0.0", target="10.0.0.5")
    assert arped(pair, REPLY, mac_of(PAIR_MAC), "10.0.0.200", mac=mac_of(PAIR_MAC))


def test_arp_for_another_address_is_dropped(pair: Pair) -> None:
    for operation in (REQUEST, REPLY):
        for sender in ("10.0.0.6", "10.0.0.1", "10.0.0.200"):
            assert not arped(pair, operation, pair.mac, sender)


def test_a_probe_for_anothers_address_is_dropped(pair: Pair) -> None:
    """Who asks whether an address is free while another begins to use it keeps the other from it (RFC 5227, RFC 4862 5.4.3)."""
    assert not arped(pair, REQUEST, pair.mac, "0.0.0.0")
    assert not arped(pair, REPLY, pair.mac, "0.0.0.0", target="10.0.0.5")
    assert not nd(pair, NS, advert("2001:db8::6"), "::")
    assert not nd(pair, NS, advert("2001:db8::1"), "::")
    assert nd(pair, NS, advert(pair.link_local), "::")


def test_arp_that_names_another_mac_is_dropped(pair: Pair) -> None:
    assert not arped(pair, REPLY, OTHER, "10.0.0.5")
    assert not arped(pair, REQUEST, pair.victim.mac, "10.0.0.5")
    assert not arped(pair, REPLY, pair.mac, "10.0.0.5", mac=OTHER)


def test_arp_of_another_shape_is_dropped(pair: Pair) -> None:
    body = arp(REPLY, pair.mac, "10.0.0.5", "10.0.0.6")
    for bad in (b"\0\x06" + body[2:], body[:2] + b"\x86\xdd" + body[4:], body[:4] + b"\x08\x04" + body[6:]):
        assert not passes(pair, lambda t, bad=bad: ethernet(ANY, pair.mac, ARP, bad + t))  # type: ignore[misc]


# ---- IPv6 and neighbour discovery


def test_another_ipv6_source_is_dropped(pair: Pair) -> None:
    victim = str(values.link_local(pair.victim.port.mac).network_address)
    for source in ("2001:db8::6", "2001:db8::1", victim, "fe80::1", "fe80::a9fe:a9fe", "::1", "::", "::ffff:10.0.0.6"):
        assert not v6(pair, source), source


def test_own_neighbour_discovery_passes(pair: Pair) -> None:
    own = pair.link_local
    assert nd(pair, NA, advert("2001:db8::5"), own)
    assert nd(pair, NA, advert("2001:db8::5", option(2, pair.mac)), own)
    assert nd(pair, NA, advert(own, option(2, pair.mac)), own)
    assert nd(pair, NA, advert("2001:db8:0:1::8", option(2, pair.mac)), own)
    assert nd(pair, NS, advert("2001:db8::6", option(1, pair.mac)), own)
    assert nd(pair, NS, advert("2001:db8::5"), "::")
    assert nd(pair, NS, advert("2001:db8::5", b"\x0e\x01" + secrets.token_bytes(6)), "::")  # A nonce (RFC 7527).
    assert nd(pair, RS, secrets.token_bytes(4) + option(1, pair.mac), own)


def test_a_neighbour_advertisement_for_another_address_is_dropped(pair: Pair) -> None:
    for target in ("2001:db8::6", "2001:db8::1", "fe80::a9fe:a9fe"):
        assert not nd(pair, NA, advert(target, option(2, pair.mac)), pair.link_local), target
        assert not nd(pair, NA, advert(target), pair.link_local), target


def test_neighbour_discovery_that_names_another_mac_is_dropped(pair: Pair) -> None:
    own = pair.link_local
    assert not nd(pair, NA, advert("2001:db8::5", option(2, OTHER)), own)
    assert not nd(pair, NS, advert("2001:db8::6", option(1, OTHER)), own)
    # The right option first and a wrong one behind it, or behind another one.
    assert not nd(pair, NA, advert("2001:db8::5", option(2, pair.mac) + option(2, OTHER)), own)
    assert not nd(pair, NA, advert("2001:db8::5", b"\x0e\x01" + bytes(6) + option(2, OTHER)), own)


def test_neighbour_discovery_behind_an_extension_header_is_dropped(pair: Pair) -> None:
    hop_by_hop = bytes([58, 0, 1, 4, 0, 0, 0, 0])
    own = pair.link_local
    assert not nd(pair, NA, advert("2001:db8::6"), own, behind=hop_by_hop, header=0)
    assert not nd(pair, RA, secrets.token_bytes(12), own, behind=hop_by_hop, header=0)
    assert nd(pair, RS, secrets.token_bytes(4), own, behind=hop_by_hop, header=0)  # The header alone is no reason.


def test_router_advertisements_and_redirects_of_a_guest_are_dropped(pair: Pair) -> None:
    assert not nd(pair, RA, secrets.token_bytes(12), pair.link_local)
    assert not nd(pair, REDIRECT, secrets.token_bytes(36), pair.link_local)
    for kind, body in ((5, secrets.token_bytes(4)), (8, bytes(4))):
        token = secrets.token_bytes(24)
        packet = ipv4("10.0.0.5", "10.0.0.6", 1, icmpv4(kind, body + token))
        pair.sender.send(ethernet(pair.victim.mac, pair.mac, IP, packet))
        assert pair.victim.hears(token, 0.4) is (kind == 8)


@pytest.mark.parametrize("split", [0, 8])
def test_a_router_advertisement_in_fragments_is_dropped(pair: Pair, split: int) -> None:
    """The ICMPv6 header may come in the first fragment, or (behind a header that fills the first) in the second."""
    token = secrets.token_bytes(24)
    own = pair.link_local
    message = icmpv6(own, ALL_NODES, RA, secrets.token_bytes(12) + token)
    filler = bytes([58, 0, 1, 4, 0, 0, 0, 0]) if split else b""
    whole = filler + message
    cut = split or 16
    first_header = 60 if split else 58  # Destination options, or ICMPv6.
    ident = secrets.randbits(32)
    for offset, part, more in ((0, whole[:cut], 1), (cut, whole[cut:], 0)):
        head = struct.pack("!BBHI", first_header, 0, offset | more, ident)
        pair.sender.send(ethernet(ALL_NODES_MAC, pair.mac, IP6, ipv6(own, ALL_NODES, 44, head + part)))
    assert not pair.victim.hears(token, 0.5)


def test_fragments_of_what_is_allowed_pass(pair: Pair) -> None:
    """Otherwise the test above would prove nothing."""
    token = secrets.token_bytes(24)
    own = pair.link_local
    message = udp6(own, ALL_NODES, 1000, 2000, secrets.token_bytes(24) + token)
    ident = secrets.randbits(32)
    for offset, part, more in ((0, message[:16], 1), (16, message[16:], 0)):
        head = struct.pack("!BBHI", 17, 0, offset | more, ident)
        pair.sender.send(ethernet(ALL_NODES_MAC, pair.mac, IP6, ipv6(own, ALL_NODES, 44, head + part)))
    assert pair.victim.hears(token, 0.5)


# ---- DHCP


def test_a_dhcp_client_is_heard(pair: Pair) -> None:
    assert passes(
        pair,
        lambda t: ethernet(ANY, pair.mac, IP, ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67, t))),
    )
    assert passes(
        pair,
        lambda t: ethernet(
            mac_of("33:33:00:01:00:02"), pair.mac, IP6,
            ipv6(pair.link_local, "ff02::1:2", 17, udp6(pair.link_local, "ff02::1:2", 546, 547, t)),
        ),
    )  # fmt: skip


def test_a_dhcp_message_in_anothers_name_is_dropped(pair: Pair) -> None:
    """A release or a refusal of another's lease: the server goes by the address in the message."""

    def sent(mac: bytes, source: str = "10.0.0.5") -> bool:
        def frame(token: bytes) -> bytes:
            message = (
                struct.pack("!BBBBIHH", 1, 1, 6, 0, 7, 0, 0) + bytes(16) + mac.ljust(16, b"\0") + bytes(192) + token
            )
            to = "255.255.255.255" if source == "0.0.0.0" else "10.0.0.6"
            return ethernet(pair.victim.mac, pair.mac, IP, ipv4(source, to, 17, udp(68, 67, message)))

        return passes(pair, frame)

    assert sent(pair.mac)
    assert sent(pair.mac, "0.0.0.0")
    assert sent(mac_of(PAIR_MAC))
    assert not sent(pair.victim.mac)
    assert not sent(pair.victim.mac, "0.0.0.0")


@pytest.mark.parametrize(("source", "destination"), [(67, 68), (67, 67), (67, 1234)])
def test_a_dhcp_server_in_a_guest_is_not_heard(pair: Pair, source: int, destination: int) -> None:
    for to in (ANY, pair.victim.mac):
        assert not passes(
            pair,
            lambda t, to=to: ethernet(to, pair.mac, IP, ipv4("10.0.0.5", "10.0.0.6", 17, udp(source, destination, t))),  # type: ignore[misc]
        )


def test_a_dhcp_server_is_not_heard_as_the_answer_to_a_client(pair: Pair) -> None:
    """The victim asks first, so that the server's packet belongs to a connection that is open."""
    token = secrets.token_bytes(12)
    asked = ipv4("10.0.0.6", "10.0.0.5", 17, udp(68, 67, token))
    pair.victim.send(ethernet(pair.mac, pair.victim.mac, IP, asked))
    assert pair.sender.hears(token)
    assert not passes(
        pair, lambda t: ethernet(pair.victim.mac, pair.mac, IP, ipv4("10.0.0.5", "10.0.0.6", 17, udp(67, 68, t)))
    )


def test_a_dhcpv6_server_in_a_guest_is_not_heard(pair: Pair) -> None:
    own = pair.link_local
    assert not passes(
        pair,
        lambda t: ethernet(ALL_NODES_MAC, pair.mac, IP6, ipv6(own, ALL_NODES, 17, udp6(own, ALL_NODES, 547, 546, t))),
    )


def test_a_dhcp_server_in_fragments_is_not_heard(pair: Pair) -> None:
    token = secrets.token_bytes(24)
    message = udp(67, 68, secrets.token_bytes(16) + token)
    ident = secrets.randbits(16)
    for offset, part, more in ((0, message[:8], 0x2000), (8, message[8:], 0)):
        packet = ipv4("10.0.0.5", "10.0.0.6", 17, part, fragment=offset // 8 | more, ident=ident)
        pair.sender.send(ethernet(pair.victim.mac, pair.mac, IP, packet))
    assert not pair.victim.hears(token, 0.5)


# ---- other frames


@pytest.mark.parametrize("kind", [0x88CC, 0x8863, 0x8864, 0x0805, 0x22F0, 0x0026, 0x9000])
def test_other_ethertypes_are_dropped(pair: Pair, kind: int) -> None:
    assert not passes(pair, lambda t: ethernet(ANY, pair.mac, kind, t * 3))


@pytest.mark.parametrize("tag", [0x8100, 0x88A8])
@pytest.mark.parametrize("vlan", [0, 5])
def test_tagged_frames_are_dropped(pair: Pair, tag: int, vlan: int) -> None:
    """A tagged frame would pass br_netfilter by, and with it all security groups."""

    def frame(token: bytes) -> bytes:
        inner = struct.pack("!HH", vlan, IP) + ipv4("10.0.0.5", "10.0.0.6", 17, udp(1, 2, token))
        return ethernet(pair.victim.mac, pair.mac, tag, inner)

    assert not passes(pair, frame)


def test_spanning_tree_frames_are_dropped(pair: Pair) -> None:
    to = mac_of("01:80:c2:00:00:00")
    assert not passes(pair, lambda t: ethernet(to, pair.mac, 38, b"\x42\x42\x03" + t * 2))


def test_nothing_reaches_the_host_itself(pair: Pair) -> None:
    """Neither to the bridge's own MAC nor to a link-local group, which a bridge hands to its host."""
    listening = pair.station.namespace.udp_socket()
    listening.bind(("", 5353))
    listening.settimeout(0.4)
    run("ip", "-n", pair.station.host, "link", "set", "lo", "up")
    run("ip", "-n", pair.station.host, "address", "add", "203.0.113.1/32", "dev", "lo")
    bridge = run("ip", "-n", pair.station.host, "-br", "link", "show", "nl-br7").split()[2]
    for to in (mac_of(bridge), mac_of("01:80:c2:00:00:0e"), ANY):
        pair.sender.send(ethernet(to, pair.mac, IP, ipv4("10.0.0.5", "203.0.113.1", 17, udp(9, 5353, b"hello"))))
        with pytest.raises(TimeoutError):
            listening.recv(100)
    listening.close()


# ---- ports that are open, closed or unknown


def test_a_pair_of_every_address_passes_every_address(pair: Pair) -> None:
    with changed(pair, pairs=(("", "0.0.0.0/0"), ("", "::/0"))):
        assert v4(pair, "192.0.2.1")
        assert not v4(pair, "192.0.2.1", mac=OTHER)
        assert v6(pair, "2001:db8:ffff::1")
        assert arped(pair, REPLY, pair.mac, "10.0.0.1")
        assert nd(pair, NA, advert("2001:db8::1", option(2, pair.mac)), pair.link_local)
    assert not v4(pair, "192.0.2.1")


def test_a_port_without_port_security_may_send_anything(pair: Pair) -> None:
    with changed(pair, secured=False):
        assert v4(pair, "192.0.2.1", mac=OTHER)
        assert arped(pair, REPLY, OTHER, "10.0.0.6", mac=OTHER)
    assert not v4(pair, "192.0.2.1", mac=OTHER)


def test_what_bypasses_the_groups_does_not_reach_a_guarded_port_from_an_open_one(pair: Pair) -> None:
    with changed(pair, secured=False):
        inner = struct.pack("!HH", 5, IP)
        assert not passes(
            pair, lambda t: ethernet(pair.victim.mac, pair.mac, 0x8100, inner + ipv4("10.0.0.5", "10.0.0.6", 17, t))
        )


def test_a_port_that_is_down_sends_and_gets_nothing(pair: Pair) -> None:
    with changed(pair, up=False):
        assert not v4(pair, "10.0.0.5")
        token = secrets.token_bytes(12)
        pair.victim.send(ethernet(pair.mac, pair.victim.mac, IP, ipv4("10.0.0.6", "10.0.0.5", 17, udp(1, 2, token))))
        assert not pair.sender.hears(token, 0.4)
    assert v4(pair, "10.0.0.5")


def test_a_device_that_nobody_knows_sends_nothing(pair: Pair) -> None:
    kept = pair.station.state.ports
    pair.station.change(ports={pair.victim.port.port_id: pair.victim.port})
    assert not v4(pair, "10.0.0.5")
    pair.station.change(ports=kept)
    assert v4(pair, "10.0.0.5")


class changed:
    """The sender's port with other values, for the time of a ``with``."""

    def __init__(self, pair: Pair, **values: object) -> None:
        self._pair, self._values = pair, values

    def __enter__(self) -> None:
        self._set(replace(self._pair.sender.port, **self._values))  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self._set(self._pair.sender.port)

    def _set(self, port: PortSpec) -> None:
        ports = self._pair.station.state.ports
        self._pair.station.change(ports={**ports, port.port_id: port})

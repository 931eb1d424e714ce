"""A guest can't pass for another by the addresses in its frames: anti-spoofing per port (CVE-2021-20267, CVE-2021-38598)."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator

import pytest
from firewall_station import (
    PATIENCE_S,
    arp,
    ethernet,
    icmpv4,
    icmpv6,
    ipv4,
    ipv6,
    mac_of,
    needs_root,
    udp6,
)
from spoofing_pair import (
    ALL_NODES,
    ALL_NODES_MAC,
    ANY,
    ARP,
    IP,
    IP6,
    OTHER,
    PAIR_MAC,
    Pair,
    advert,
    arped,
    arrives,
    nd,
    option,
    passes,
    spoofing_pair,
    v4,
    v6,
)

from nova_lite.host.networks.firewall import values

pytestmark = needs_root

RA, NS, NA, REDIRECT, RS = 134, 135, 136, 137, 133
REQUEST, REPLY = 1, 2


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with spoofing_pair() as made:
        yield made


# ---- MAC and IPv4


def test_own_addresses_pass(pair: Pair) -> None:
    assert arrives(v4, pair, "10.0.0.5")
    assert arrives(v4, pair, "10.0.0.5", to=ANY)
    assert arrives(v6, pair, "2001:db8::5")
    assert arrives(v6, pair, pair.link_local)


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
    assert arrives(v4, pair, "10.0.0.65")
    assert arrives(v4, pair, "10.0.0.127")
    assert not v4(pair, "10.0.0.128")
    assert arrives(v4, pair, "10.0.0.200", mac=mac_of(PAIR_MAC))
    assert not v4(pair, "10.0.0.200")
    assert not v4(pair, "10.0.0.65", mac=mac_of(PAIR_MAC))
    assert arrives(v6, pair, "2001:db8:0:1::99")
    assert not v6(pair, "2001:db8:0:2::99")


# ---- ARP


def test_own_arp_passes(pair: Pair) -> None:
    assert arrives(arped, pair, REQUEST, pair.mac, "10.0.0.5")
    assert arrives(arped, pair, REPLY, pair.mac, "10.0.0.5")
    assert arrives(arped, pair, REQUEST, pair.mac, "10.0.0.70")
    assert arrives(arped, pair, REQUEST, pair.mac, "0.0.0.0", target="10.0.0.5")
    assert arrives(arped, pair, REPLY, mac_of(PAIR_MAC), "10.0.0.200", mac=mac_of(PAIR_MAC))


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
    assert arrives(nd, pair, NS, advert(pair.link_local), "::")


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
    assert arrives(nd, pair, NA, advert("2001:db8::5"), own)
    assert arrives(nd, pair, NA, advert("2001:db8::5", option(2, pair.mac)), own)
    assert arrives(nd, pair, NA, advert(own, option(2, pair.mac)), own)
    assert arrives(nd, pair, NA, advert("2001:db8:0:1::8", option(2, pair.mac)), own)
    assert arrives(nd, pair, NS, advert("2001:db8::6", option(1, pair.mac)), own)
    assert arrives(nd, pair, NS, advert("2001:db8::5"), "::")
    assert arrives(
        nd, pair, NS, advert("2001:db8::5", b"\x0e\x01" + secrets.token_bytes(6)), "::"
    )  # A nonce (RFC 7527).
    assert arrives(nd, pair, RS, secrets.token_bytes(4) + option(1, pair.mac), own)


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
    assert arrives(
        nd, pair, RS, secrets.token_bytes(4), own, behind=hop_by_hop, header=0
    )  # The header alone is no reason.


def test_router_advertisements_and_redirects_of_a_guest_are_dropped(pair: Pair) -> None:
    assert not nd(pair, RA, secrets.token_bytes(12), pair.link_local)
    assert not nd(pair, REDIRECT, secrets.token_bytes(36), pair.link_local)
    for kind, body in ((5, secrets.token_bytes(4)), (8, bytes(4))):
        token = secrets.token_bytes(24)
        packet = ipv4("10.0.0.5", "10.0.0.6", 1, icmpv4(kind, body + token))
        pair.sender.send(ethernet(pair.victim.mac, pair.mac, IP, packet))
        assert pair.victim.hears(token, PATIENCE_S if kind == 8 else 0.4) is (kind == 8)


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
    assert pair.victim.hears(token, PATIENCE_S)

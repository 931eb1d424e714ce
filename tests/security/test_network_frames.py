"""What a guest may not send at all, whoever it says that it is: a server's DHCP, frames of other kinds, what is for the host; and ports that are open or down."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator

import pytest
from firewall_station import (
    PATIENCE_S,
    ethernet,
    ipv4,
    ipv6,
    mac_of,
    needs_root,
    run,
    udp,
    udp6,
)
from spoofing_pair import (
    ALL_NODES,
    ALL_NODES_MAC,
    ANY,
    IP,
    IP6,
    OTHER,
    PAIR_MAC,
    Pair,
    advert,
    arped,
    arrives,
    changed,
    nd,
    option,
    passes,
    spoofing_pair,
    v4,
    v6,
)

pytestmark = needs_root

NA = 136
REPLY = 2


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with spoofing_pair() as made:
        yield made


# ---- DHCP


def test_a_dhcp_client_is_heard(pair: Pair) -> None:
    assert arrives(
        passes,
        pair,
        lambda t: ethernet(ANY, pair.mac, IP, ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67, t))),
    )
    assert arrives(
        passes,
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

    assert arrives(sent, pair.mac)
    assert arrives(sent, pair.mac, "0.0.0.0")
    assert arrives(sent, mac_of(PAIR_MAC))
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
    assert pair.sender.hears(token, PATIENCE_S)
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
        assert arrives(v4, pair, "192.0.2.1")
        assert not v4(pair, "192.0.2.1", mac=OTHER)
        assert arrives(v6, pair, "2001:db8:ffff::1")
        assert arrives(arped, pair, REPLY, pair.mac, "10.0.0.1")
        assert arrives(nd, pair, NA, advert("2001:db8::1", option(2, pair.mac)), pair.link_local)
    assert not v4(pair, "192.0.2.1")


def test_a_port_without_port_security_may_send_anything(pair: Pair) -> None:
    with changed(pair, secured=False):
        assert arrives(v4, pair, "192.0.2.1", mac=OTHER)
        assert arrives(arped, pair, REPLY, OTHER, "10.0.0.6", mac=OTHER)
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
    assert arrives(v4, pair, "10.0.0.5")


def test_a_device_that_nobody_knows_sends_nothing(pair: Pair) -> None:
    kept = pair.station.state.ports
    pair.station.change(ports={pair.victim.port.port_id: pair.victim.port})
    assert not v4(pair, "10.0.0.5")
    pair.station.change(ports=kept)
    assert arrives(v4, pair, "10.0.0.5")

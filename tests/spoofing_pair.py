"""A guest that tries to pass for another, and its victim: frames that one sends, and whether the other gets them.

Every frame is made by hand and sent by a raw socket inside a guest's namespace, through the real kernel's bridge and rules. Each frame
carries a token; the victim's raw socket says whether it came.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from firewall_station import (
    Guest,
    Station,
    arp,
    ethernet,
    icmpv6,
    ipv4,
    ipv6,
    mac_of,
    open_group,
    station,
    udp,
    udp6,
)

from nova_lite.host.network_state import PortSpec
from nova_lite.host.networks.firewall import values

IP, ARP, IP6 = 0x0800, 0x0806, 0x86DD
ANY = b"\xff" * 6
OTHER = mac_of("fa:16:3e:99:99:99")
PAIR_MAC = "fa:16:3e:77:77:77"
ALL_NODES, ALL_NODES_MAC = "ff02::1", mac_of("33:33:00:00:00:01")


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


@contextmanager
def spoofing_pair() -> Iterator[Pair]:
    """Boot the two, with groups that let everything pass."""
    with station() as made:
        everything = open_group()
        network = made.network(7)
        pairs = (("", "10.0.0.64/26"), (PAIR_MAC, "10.0.0.200"), ("", "2001:db8:0:1::/64"))
        ports = [made.port(network, 5, [everything], pairs=pairs), made.port(network, 6, [everything])]
        sender, victim = made.boot(*ports, groups=[everything])
        yield Pair(made, sender, victim)


def passes(pair: Pair, frame: Callable[[bytes], bytes]) -> bool:
    """Send a frame with a token in it, and tell whether the victim got it."""
    token = secrets.token_bytes(12)
    pair.sender.send(frame(token))
    return pair.victim.hears(token, 0.4)


def arrives(sent: Callable[..., bool], *arguments: Any, **named: Any) -> bool:
    """Say whether what *sent* sends comes in the end: on a loaded machine, later than one waits for what is dropped."""
    return any(sent(*arguments, **named) for _ in range(60))


def v4(pair: Pair, source: str, *, mac: bytes | None = None, to: bytes = b"") -> bool:
    """Send a UDP packet to the victim from the IPv4 address *source*, and tell whether it came."""
    own = pair.mac if mac is None else mac
    return passes(
        pair, lambda t: ethernet(to or pair.victim.mac, own, IP, ipv4(source, "10.0.0.6", 17, udp(1234, 4321, t)))
    )


def v6(pair: Pair, source: str, *, mac: bytes | None = None) -> bool:
    """Do the same from an IPv6 address."""

    def frame(token: bytes) -> bytes:
        payload = udp6(source, "2001:db8::6", 1234, 4321, token)
        return ethernet(pair.victim.mac, mac or pair.mac, IP6, ipv6(source, "2001:db8::6", 17, payload))

    return passes(pair, frame)


def arped(
    pair: Pair, operation: int, sender_mac: bytes, sender: str, *, mac: bytes | None = None, target: str = "10.0.0.6"
) -> bool:
    """Send an ARP packet to everybody, and tell whether it came."""
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
    """The option of a neighbour message that names a MAC."""
    return bytes([kind, 1]) + mac


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

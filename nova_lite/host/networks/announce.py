"""Tell neighbours that an address is here now: gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6).

A floating IP that moves to another router or host would be sent to its old place until the neighbours' entries grow old.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct

ARP, IPV6 = 0x0806, 0x86DD
EVERYBODY = b"\xff" * 6
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ALL_NODES_MAC = bytes.fromhex("333300000001")
ADVERTISEMENT, OVERRIDE, TARGET_ADDRESS = 136, 0x20000000, 2


def packet(mac: str, address: str) -> bytes:
    """Build the Ethernet frame that says that *address* is at *mac*."""
    source = bytes.fromhex(mac.replace(":", ""))
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return EVERYBODY + source + struct.pack("!HHHBBH", ARP, 1, 0x0800, 6, 4, 1) + _arp(source, found.packed)
    return ALL_NODES_MAC + source + struct.pack("!H", IPV6) + _advertisement(source, found)


def _arp(source: bytes, address: bytes) -> bytes:
    # A request for its own address: what Linux takes even where it takes no replies that nobody asked for.
    return source + address + bytes(6) + address


def _advertisement(source: bytes, address: ipaddress.IPv6Address) -> bytes:
    body = struct.pack("!I", OVERRIDE) + address.packed + bytes([TARGET_ADDRESS, 1]) + source
    length = 4 + len(body)
    pseudo = address.packed + ALL_NODES.packed + struct.pack("!II", length, 58)
    check = _checksum(pseudo + struct.pack("!BBH", ADVERTISEMENT, 0, 0) + body)
    header = struct.pack("!IHBB", 6 << 28, length, 58, 255) + address.packed + ALL_NODES.packed
    return header + struct.pack("!BBH", ADVERTISEMENT, 0, check) + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(device: str, mac: str, address: str) -> None:
    """Send it from a device of this thread's namespace. One that is down says nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind((device, 0))
        opened.send(packet(mac, address))

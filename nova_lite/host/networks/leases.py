"""dnsmasq's leases: which there are, and giving one back that its guest can't any more.

dnsmasq refuses an address to its new owner while another MAC still has a lease on it (a day, by default). So what a
deleted guest had is released in its name, with the DHCPRELEASE that it never sent (RFC 2131, 4.4.6).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

MAGIC_COOKIE = b"\x63\x82\x53\x63"
MESSAGE_TYPE, SERVER_ID, CLIENT_ID, END = 53, 54, 61, 255
RELEASE = 7


@dataclass(frozen=True)
class Lease:
    """A line of the lease file. ``client_id`` is empty where the client sent none."""

    mac: str
    address: str
    client_id: bytes


def read(path: Path) -> list[Lease]:
    """Read a lease file (``expiry mac address name client-id``); no file: no leases. Odd lines are left out."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        fields = line.split(" ")
        if len(fields) != 5 or "." not in fields[2]:
            continue
        try:
            client_id = b"" if fields[4] == "*" else bytes.fromhex(fields[4].replace(":", ""))
            ipaddress.IPv4Address(fields[2])
            bytes.fromhex(fields[1].replace(":", ""))
        except ValueError:
            continue
        found.append(Lease(fields[1], fields[2], client_id))
    return found


def leased_v6(path: Path) -> set[str]:
    """Return the IPv6 addresses that somebody has a lease on. Such a lease tells no MAC, and nobody but its client can release it."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    return {fields[2] for fields in (line.split(" ") for line in lines) if len(fields) == 5 and ":" in fields[2]}


def keep(path: Path, allowed: Collection[tuple[str, str]], moved: Collection[str] = ()) -> None:
    """Drop from the lease file of a dnsmasq that does not run all leases that are not of *allowed* (MAC, address).

    :param moved: IPv6 addresses that have another owner now.
    """
    try:
        lines = path.read_text(errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return
    addresses = {address for _, address in allowed} - set(moved)
    kept = [line for line in lines if _may_stay(line, allowed, addresses)]
    if kept != lines:
        path.write_text("".join(kept))


def _may_stay(line: str, allowed: Collection[tuple[str, str]], addresses: Collection[str]) -> bool:
    fields = line.split(" ")
    if fields[0] == "duid":
        return True  # Our own name in DHCPv6, by which clients know us again.
    if len(fields) > 2 and ":" in fields[2]:
        return fields[2] in addresses
    return tuple(fields[1:3]) in allowed


def release_packet(lease: Lease, server: str) -> bytes:
    """Build the DHCPRELEASE of *lease* for the server at *server*."""
    mac = bytes.fromhex(lease.mac.replace(":", ""))
    head = struct.pack("!BBBBIHH", 1, 1, len(mac), 0, secrets.randbits(32), 0, 0)
    addresses = ipaddress.IPv4Address(lease.address).packed + bytes(12)
    options = bytes([MESSAGE_TYPE, 1, RELEASE, SERVER_ID, 4]) + ipaddress.IPv4Address(server).packed
    if lease.client_id:
        options += bytes([CLIENT_ID, len(lease.client_id)]) + lease.client_id
    return head + addresses + mac.ljust(16, b"\0") + bytes(64 + 128) + MAGIC_COOKIE + options + bytes([END])


def release(open_socket: socket.socket, lease: Lease, server: str, bridge: str) -> None:
    """Send the release to dnsmasq, as if it had come in by *bridge*. :raises OSError: it could not be sent."""
    open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
    open_socket.sendto(release_packet(lease, server), (server, 67))

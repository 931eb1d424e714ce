"""Ask a dnsmasq for a name: it answers with a new guest's address as soon as it has read its files again.

dnsmasq reads names and DHCP hosts in one go before it serves anything else, so that the one is proof of the other.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct

TYPE_A = CLASS_IN = 1


def query(name: str, ident: int) -> bytes:
    """Build the question for the A records of *name* (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", TYPE_A, CLASS_IN)


def holds(answer: bytes, question: bytes, address: str) -> bool:
    """Say whether *answer* is to *question* and has *address* among its A records."""
    if answer[:2] != question[:2] or len(answer) < len(question):
        return False
    record = struct.pack("!HH", TYPE_A, CLASS_IN)
    rest = answer[len(question) :]
    wanted = ipaddress.IPv4Address(address).packed
    at = rest.find(record)
    while at >= 0:
        # type, class, ttl (4), length (2), data
        if rest[at + 8 : at + 14] == b"\0\x04" + wanted:
            return True
        at = rest.find(record, at + 1)
    return False


def knows(open_socket: socket.socket, server: str, name: str, address: str, wait_s: float) -> bool:
    """Ask *server* once whether *name* has *address*; False after *wait_s* seconds without an answer too."""
    question = query(name, secrets.randbits(16))
    open_socket.settimeout(wait_s)
    try:
        open_socket.sendto(question, (server, 53))
        return holds(open_socket.recv(4096), question, address)
    except OSError:
        return False

"""A DHCPv6 client as small as can be (RFC 8415): run in a guest's namespace, prints the address and the name servers it was given.

``python dhcpv6_client.py eth0 fa:16:3e:00:00:05``; with ``info`` at the end it asks for information only.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import time

SOLICIT, ADVERTISE, REQUEST, REPLY, INFORMATION = 1, 2, 3, 7, 11
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, WANTED, ELAPSED, DNS = 1, 2, 3, 5, 6, 8, 23


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        code, length = struct.unpack("!HH", data[:4])
        found[code] = data[4 : 4 + length]
        data = data[4 + length :]
    return found


def ask(opened: socket.socket, scope: int, kind: int, answer: int, *parts: bytes) -> dict[int, bytes]:
    message = bytes([kind]) + b"abc" + b"".join(parts)
    for _ in range(40):
        try:
            opened.sendto(message, ("ff02::1:2", 547, 0, scope))
            data = opened.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            time.sleep(0.5)  # It has no link-local address yet.
            continue
        if data[0] == answer:
            return options(data[4:])
    raise SystemExit("nobody answered")


def main(device: str, mac: str, info: bool) -> None:
    scope = socket.if_nametoindex(device)
    identity = option(CLIENT_ID, struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", "")))
    wanted = option(WANTED, struct.pack("!H", DNS)) + option(ELAPSED, b"\0\0")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        opened.bind(("::", 546))
        opened.settimeout(1)
        if info:
            found = ask(opened, scope, INFORMATION, REPLY, identity, wanted)
        else:
            empty = option(IA_NA, struct.pack("!III", 1, 0, 0))
            offer = ask(opened, scope, SOLICIT, ADVERTISE, identity, empty, wanted)
            chosen = option(SERVER_ID, offer[SERVER_ID]) + option(IA_NA, offer.get(IA_NA, b""))
            found = ask(opened, scope, REQUEST, REPLY, identity, chosen, wanted)
            address = options(found.get(IA_NA, bytes(12))[12:]).get(IA_ADDRESS)
            print("address", ipaddress.IPv6Address(address[:16]) if address else "none")
    servers = found.get(DNS, b"")
    print("dns", *(ipaddress.IPv6Address(servers[i : i + 16]) for i in range(0, len(servers), 16)))


main(sys.argv[1], sys.argv[2], "info" in sys.argv)

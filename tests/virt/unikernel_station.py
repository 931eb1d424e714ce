"""Act as a neighbour of the unikernel guest: the program that test_unikernel_image.py runs in the guest's network namespace.

`unikernel_station.py TAP OWN_IP GUEST_IP GUEST_MAC VERB [ARGUMENT…]` prints its findings as JSON.
"""

import http.client
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

ICMP = 1
TCP = 6
ICMP_ECHO = 8
ICMP_ECHO_REPLY = 0
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ALL_ETHERTYPES = 3

Findings = dict[str, Any]
PATIENCE_S = 60.0
"""How long an answer that must come is waited for: the guest is emulated, perhaps on a loaded machine."""

LOSS_RULES = """table inet loss {
    chain going { type filter hook output priority 0; meta l4proto tcp numgen random mod 8 == 0 counter drop; }
    chain coming { type filter hook input priority 0; meta l4proto tcp numgen random mod 8 == 0 counter drop; }
}"""


def compute_checksum(data: bytes) -> int:
    """Compute the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def make_echo(sequence: int, data: bytes) -> bytes:
    """Make an ICMP echo request (RFC 792)."""
    header = struct.pack("!BBHHH", ICMP_ECHO, 0, 0, 7, sequence)
    return header[:2] + struct.pack("!H", compute_checksum(header + data)) + header[4:] + data


def read_all(opened: socket.socket) -> bytes:
    """Read until the other side has ended the connection."""
    received = b""
    while piece := opened.recv(4096):
        received += piece
    return received


@dataclass(frozen=True)
class Station:
    """A machine on the guest's link; each public method is a verb."""

    tap: str
    own_ip: str
    guest_ip: str
    guest_mac: bytes

    def ping(self, *sizes: str) -> Findings:
        """Send an echo request of each size, and say of each whether it came back unchanged."""
        answered = []
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.settimeout(PATIENCE_S)
            for sequence, size in enumerate(sizes):
                request = make_echo(sequence, random.randbytes(int(size)))
                raw.sendto(request, (self.guest_ip, 0))
                reply = raw.recv(2048)[20:]
                whole = compute_checksum(reply) == 0 and reply[4:] == request[4:]
                answered.append(whole and reply[0] == ICMP_ECHO_REPLY)
        return {"answered": answered}

    def arp(self, target: str) -> Findings:
        """Ask who has the address, and give the hardware address of the first answer (RFC 826); one that is not the guest's has 3 s."""
        opened, own_mac = self._open_link()
        body = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, 1) + own_mac + socket.inet_aton(self.own_ip)
        body += bytes(6) + socket.inet_aton(target)
        deadline = time.monotonic() + (PATIENCE_S if target == self.guest_ip else 3)
        with opened:
            opened.send(b"\xff" * 6 + own_mac + struct.pack("!H", ETHERTYPE_ARP) + body)
            while time.monotonic() < deadline:
                try:
                    frame = opened.recv(2048)
                except TimeoutError:
                    continue
                if frame[:6] == own_mac and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2":
                    return {"mac": frame[22:28].hex(":")}
        return {"mac": None}

    def fetch(self, method: str, path: str) -> Findings:
        """Make an HTTP request as a usual client does; a POST carries 5000 bytes."""
        connection = http.client.HTTPConnection(self.guest_ip, timeout=PATIENCE_S)
        connection.request(method, path, body=b"x" * 5000 if method == "POST" else None)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        found = {"status": response.status, "headers": headers, "body": response.read().decode()}
        connection.close()
        return found

    def raw(self, request: str) -> Findings:
        """Send the text as it is, end the sending side, and give all that comes back."""
        with socket.create_connection((self.guest_ip, 80), timeout=PATIENCE_S) as opened:
            opened.sendall(request.encode())
            opened.shutdown(socket.SHUT_WR)
            return {"answer": read_all(opened).decode()}

    def in_a_row(self, count: str) -> Findings:
        """Make requests one after another."""
        return {"good": sum(self.fetch("GET", "/health")["body"] == "ok" for _ in range(int(count)))}

    def at_once(self, count: str) -> Findings:
        """Open all connections before the first request; 100 of them begin a request that is ended only later."""
        good = 0
        with ExitStack() as stack:
            address = (self.guest_ip, 80)
            opened = [
                stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S)) for _ in range(int(count))
            ]
            random.shuffle(opened)
            for one in opened[:100]:
                one.sendall(b"GET /heal")
            for index, one in enumerate(opened):
                one.sendall(b"th HTTP/1.1\r\n\r\n" if index < 100 else b"GET /health HTTP/1.1\r\n\r\n")
                good += read_all(one).endswith(b"\r\n\r\nok")
        return {"good": good}

    def while_dropping(self, count: str) -> Findings:
        """Lose one in eight TCP segments, each way, while requests are made at the same time; rules of nft do it."""
        subprocess.run(["nft", "-f", "-"], input=LOSS_RULES.encode(), check=True)
        try:
            with ThreadPoolExecutor(int(count)) as pool:
                good = sum(pool.map(self._fetch_patiently, range(int(count))))
            listing = subprocess.run(["nft", "list", "table", "inet", "loss"], check=True, capture_output=True)
        finally:
            subprocess.run(["nft", "delete", "table", "inet", "loss"], check=True)
        lost = [int(number) for number in re.findall(rb"packets (\d+)", listing.stdout)]
        return {"good": good, "lost_both_ways": len(lost) == 2 and all(lost)}

    def storm(self, count: str) -> Findings:
        """Send damaged frames, always the same ones, as fast as they go."""
        dice = random.Random(5)
        opened, own_mac = self._open_link()
        with opened:
            sent = [opened.send(self.guest_mac + own_mac + self._damage_packet(dice)) for _ in range(int(count))]
        return {"sent": len(sent)}

    def flood(self, count: str) -> Findings:
        """Send echo requests, 32 at a time, and count the answers."""
        opened, own_mac = self._open_link()
        packet = self._wrap_ipv4(ICMP, make_echo(1, b"flood"))
        frame = self.guest_mac + own_mac + struct.pack("!H", ETHERTYPE_IPV4) + packet
        sent = answered = 0
        opened.settimeout(10)  # What is late is not lost.
        with opened:
            while sent < int(count):
                for _ in range(32):
                    opened.send(frame)
                sent += 32
                goal = answered + 32
                try:
                    # The socket sees its own frames, too, so answers are told by whom they are for.
                    while answered < goal:
                        received = opened.recv(2048)
                        answered += received[:6] == own_mac and received[23:24] == bytes([ICMP])
                except TimeoutError:
                    continue
        return {"sent": sent, "answered": answered}

    def _open_link(self) -> tuple[socket.socket, bytes]:
        """Open a socket for whole frames on the tap device; give it and the device's hardware address."""
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_ETHERTYPES))
        opened.bind((self.tap, 0))
        opened.settimeout(0.5)
        own_mac: bytes = opened.getsockname()[4]
        return opened, own_mac

    def _addresses(self) -> bytes:
        return socket.inet_aton(self.own_ip) + socket.inet_aton(self.guest_ip)

    def _wrap_ipv4(self, protocol: int, payload: bytes) -> bytes:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + self._addresses()
        return header[:10] + struct.pack("!H", compute_checksum(header)) + header[12:] + payload

    def _make_segment(self, ports: tuple[int, int], sequence: int, flags: int, data: bytes) -> bytes:
        segment = struct.pack("!HHIIBBHHH", *ports, sequence, 1, 5 << 4, flags, 1000, 0, 0) + data
        pseudo_header = self._addresses() + struct.pack("!HH", TCP, len(segment))
        return segment[:16] + struct.pack("!H", compute_checksum(pseudo_header + segment)) + segment[18:]

    def _fetch_patiently(self, _number: int) -> bool:
        # The guest gives a request ten seconds; one whose segments are lost again and again may take more, and is made anew.
        for _ in range(4):
            with suppress(ConnectionResetError), self._connect_patiently() as opened:
                opened.sendall(b"GET /health HTTP/1.1\r\n")
                time.sleep(0.1)
                opened.sendall(b"\r\n")
                return read_all(opened).endswith(b"\r\n\r\nok")
        return False

    def _connect_patiently(self) -> socket.socket:
        # The kernel sends a SYN only five times in 16 s, and each needs luck on both ways.
        for _ in range(4):
            try:
                opened = socket.create_connection((self.guest_ip, 80), timeout=16)
            except TimeoutError:
                continue
            opened.settimeout(60)
            return opened
        raise TimeoutError("no connection in 64 s")

    def _damage_packet(self, dice: random.Random) -> bytes:
        """Make an Ethernet payload, its type first, that is damaged in one of many ways."""
        kind = dice.randrange(5)
        if kind == 0:
            return dice.randbytes(dice.randrange(2, 1502))
        if kind == 1:
            packet = struct.pack("!HHHBBH", ETHERTYPE_ARP, 1, ETHERTYPE_IPV4, 6, 4, dice.randrange(3)) + dice.randbytes(
                20
            )
        elif kind == 2:
            echo = make_echo(1, dice.randbytes(dice.randrange(1000)))
            packet = struct.pack("!H", ETHERTYPE_IPV4) + self._wrap_ipv4(ICMP, echo)
        else:
            data = b"GET / HTTP/1.1\r\n\r\n"[: dice.randrange(20)]
            ports = dice.randrange(65536), dice.choice((80, 80, 22))
            segment = self._make_segment(ports, dice.randrange(1 << 32), dice.randrange(64), data)
            packet = struct.pack("!H", ETHERTYPE_IPV4) + self._wrap_ipv4(TCP, segment)
        damaged = bytearray(packet)
        for _ in range(dice.randrange(3)):
            damaged[dice.randrange(2, len(damaged))] = dice.randrange(256)
        return bytes(damaged[: dice.randrange(2, len(damaged) + 1)] if dice.randrange(3) == 0 else damaged)


def main(tap: str, own_ip: str, guest_ip: str, guest_mac: str, verb: str, *arguments: str) -> None:
    """Do what the verb says and print the findings. Raises KeyError for an unknown verb."""
    station = Station(tap, own_ip, guest_ip, bytes.fromhex(guest_mac.replace(":", "")))
    verbs: dict[str, Callable[..., Findings]] = {
        "ping": station.ping,
        "arp": station.arp,
        "fetch": station.fetch,
        "raw": station.raw,
        "in-a-row": station.in_a_row,
        "at-once": station.at_once,
        "while-dropping": station.while_dropping,
        "storm": station.storm,
        "flood": station.flood,
    }
    print(json.dumps(verbs[verb](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])

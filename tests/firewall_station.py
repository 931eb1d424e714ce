"""A host with a bridge and guests for tests of the firewall: network namespaces of the test's own, and crafted frames.

Guests are namespaces behind a veth that is called as a port's device is. What one sends is told by raw sockets, at both ends.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest
from bridge_ports import wait_until_it_passes

from nova_lite.host.network_state import GroupSpec, HostState, NetworkSpec, PortSpec, RuleSpec, ServiceLeg, SubnetSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import Firewall
from nova_lite.host.networks.namespace import Namespace

T = TypeVar("T")
ETH_P_ALL = 3
PATIENCE_S = 30.0
"""How long what must come is waited for: a loaded machine takes its time, and one that is not answers at once."""
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("nft", "ip", "sysctl")),
    reason="needs root, nft and ip",
)


def run(*argv: str, check: bool = True, stdin: str | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} said {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Inside:
    """A thread that lives in a network namespace: sockets that it opens are of that namespace."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=self._enter, initargs=(name,))

    @staticmethod
    def _enter(name: str) -> None:
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        assert ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) == 0
        os.close(fd)

    def call(self, work: Callable[..., T], *args: object) -> T:
        return self._thread.submit(work, *args).result()

    def close(self) -> None:
        self._thread.shutdown()


class Guest:
    """A guest: its namespace, and a raw socket on its eth0."""

    def __init__(self, namespace: str, port: PortSpec) -> None:
        self.namespace = namespace
        self.port = port
        self.mac = bytes.fromhex(port.mac.replace(":", ""))
        self.inside = Inside(namespace)
        self.raw = self.inside.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.raw.bind(("eth0", ETH_P_ALL))

    def send(self, frame: bytes) -> None:
        self.raw.send(frame.ljust(60, b"\0"))

    def hears(self, token: bytes, wait_s: float) -> bool:
        """Say whether a frame with *token* comes in within *wait_s*, or has come by the time that this is noticed."""
        end = time.monotonic() + wait_s
        while True:
            self.raw.settimeout(max(0.0, end - time.monotonic()))
            try:
                frame, address = self.raw.recvfrom(65_536)
            except (TimeoutError, BlockingIOError):
                return False
            if token in frame and address[2] != socket.PACKET_OUTGOING:
                return True

    def ip(self, *argv: str) -> str:
        return run("ip", "-n", self.namespace, *argv)

    def socket(self, family: int, kind: int) -> socket.socket:
        made = self.inside.call(socket.socket, family, kind)
        made.settimeout(PATIENCE_S)
        return made

    def close(self) -> None:
        self.raw.close()
        self.inside.close()


class Station:
    """The host: a namespace ``nlf-<tag>-h`` with a bridge for each network, and the firewall."""

    def __init__(self) -> None:
        self.tag = f"nlf-{secrets.token_hex(3)}"
        self.host = f"{self.tag}-h"
        self.state = HostState()
        self.guests: list[Guest] = []
        self._names = [self.host]
        run("ip", "netns", "add", self.host)
        self.namespace = Namespace(self.host)
        self.firewall = Firewall(self.namespace)

    def apply(self, state: HostState) -> None:
        self.state = state
        self.firewall.apply(state)

    def change(self, **changes: object) -> None:
        self.apply(replace(self.state, **changes))  # type: ignore[arg-type]

    def network(self, number: int, cidr: str = "10.0.0.0/24", cidr6: str = "2001:db8::/64") -> NetworkSpec:
        """Make a bridge, and return its network."""
        bridge = devices.bridge_name(number)
        options = ("stp_state", "0", "mcast_snooping", "0", "nf_call_iptables", "1", "nf_call_ip6tables", "1")
        run("ip", "-n", self.host, "link", "add", bridge, "type", "bridge", *options)
        run("ip", "-n", self.host, "link", "set", bridge, "up")
        first = ipaddress.ip_network(cidr)
        subnets = (
            SubnetSpec(str(uuid.uuid4()), cidr, str(first[1]), True, ()),
            SubnetSpec(str(uuid.uuid4()), cidr6, None, False, ()),
        )
        leg = ServiceLeg(str(uuid.uuid4()), "fa:16:3e:ff:ff:02", ((subnets[0].subnet_id, str(first[2])),))
        made = NetworkSpec(str(uuid.uuid4()), number, 1500, subnets, dhcp=leg)
        self.state = replace(self.state, networks={**self.state.networks, made.network_id: made})
        return made

    def port(self, network: NetworkSpec, last: int, groups: Sequence[GroupSpec] = (), **changes: object) -> PortSpec:
        """Return a port with the addresses ``.last`` and ``::last`` of its network; nothing is made."""
        addresses = tuple((s.subnet_id, str(ipaddress.ip_network(s.cidr)[last])) for s in network.subnets)
        made = PortSpec(
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            network.network_id,
            f"fa:16:3e:00:{network.number:02x}:{last:02x}",
            f"g{last}",
            addresses,
            "veth",
            group_ids=tuple(group.group_id for group in groups),
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def boot(self, *ports: PortSpec, groups: Sequence[GroupSpec] = ()) -> list[Guest]:
        """Have the rules in force, and then the guests: on their bridges, with their addresses."""
        self.change(
            ports={**self.state.ports, **{port.port_id: port for port in ports}},
            groups={**self.state.groups, **{group.group_id: group for group in groups}},
        )
        return [self._boot(port) for port in ports]

    def _boot(self, port: PortSpec) -> Guest:
        name = f"{self.tag}-{port.port_id[:6]}"
        network = self.state.networks[port.network_id]
        device = devices.device_name(port.port_id)
        run("ip", "netns", "add", name)
        self._names.append(name)
        run(
            "ip",
            "netns",
            "exec",
            name,
            "sysctl",
            "-qw",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.all.accept_dad=0",
        )
        run("ip", "-n", self.host, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", name, "link", "set", "eth0", "address", port.mac)
        run("ip", "-n", self.host, "link", "set", device, "master", devices.bridge_name(network.number), "up")
        for subnet_id, address in port.addresses:
            subnet = next(each for each in network.subnets if each.subnet_id == subnet_id)
            run(
                "ip", "-n", name, "address", "add", f"{address}/{subnet.cidr.partition('/')[2]}", "dev", "eth0", "nodad"
            )
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        wait_until_it_passes(self.host, device)
        guest = Guest(name, port)
        self.guests.append(guest)
        return guest

    def listing(self) -> str:
        return run("ip", "netns", "exec", self.host, "nft", "list", "ruleset")

    def remove(self) -> None:
        for guest in self.guests:
            guest.close()
        self.namespace.close()
        for name in self._names:
            run("ip", "netns", "del", name, check=False)


@contextmanager
def station() -> Iterator[Station]:
    made = Station()
    try:
        yield made
    finally:
        made.remove()


def group(*rules: RuleSpec, stateful: bool = True) -> GroupSpec:
    return GroupSpec(str(uuid.uuid4()), rules, stateful)


def rule(direction: str, version: int = 4, **what: object) -> RuleSpec:
    return RuleSpec(str(uuid.uuid4()), direction, version, **what)  # type: ignore[arg-type]


def open_group() -> GroupSpec:
    """A group that lets everything pass, so that only anti-spoofing drops."""
    return group(*(rule(direction, version) for direction in ("ingress", "egress") for version in (4, 6)))


# ---- frames


def mac_of(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, destination: str, protocol: int, payload: bytes, fragment: int = 0, ident: int = 1) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0,
        ipaddress.IPv4Address(source).packed, ipaddress.IPv4Address(destination).packed,
    )  # fmt: skip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source: str, destination: str, protocol: int, payload: bytes, hops: int = 255) -> bytes:
    addresses = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, hops) + addresses + payload


def udp(source: int, destination: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(data), 0) + data


def udp6(source: str, destination: str, source_port: int, destination_port: int, data: bytes) -> bytes:
    plain = udp(source_port, destination_port, data)
    return plain[:6] + struct.pack("!H", _sum6(source, destination, 17, plain) or 0xFFFF) + plain[8:]


def icmpv4(kind: int, body: bytes, code: int = 0) -> bytes:
    plain = struct.pack("!BBH", kind, code, 0) + body
    return plain[:2] + struct.pack("!H", checksum(plain)) + plain[4:]


def icmpv6(source: str, destination: str, kind: int, body: bytes, code: int = 0) -> bytes:
    plain = struct.pack("!BBH", kind, code, 0) + body
    return plain[:2] + struct.pack("!H", _sum6(source, destination, 58, plain)) + plain[4:]


def _sum6(source: str, destination: str, protocol: int, payload: bytes) -> int:
    pseudo = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    return checksum(pseudo + struct.pack("!II", len(payload), protocol) + payload)


def arp(operation: int, sender_mac: bytes, sender: str, target: str, target_mac: bytes = bytes(6)) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + sender_mac + ipaddress.IPv4Address(sender).packed + target_mac + ipaddress.IPv4Address(target).packed

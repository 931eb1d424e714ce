"""Tell neighbours that an address is here now: gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6).

A floating IP that moves to another router or host would be sent to its old place until the neighbours' entries grow old. So it is said
twice, as both RFCs have it: nobody answers, and one frame may be lost on its way.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import queue
import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nova_lite.host.networks import netns
from nova_lite.host.networks.place import Place, inside

LOG = logging.getLogger(__name__)
OWN = Path("/proc/self/ns/net")
INTERVAL_S = 2.0
"""Between the two times: ANNOUNCE_INTERVAL of RFC 5227, 1.1. RFC 4861 wants at least RETRANS_TIMER, 1 s."""

ARP, IPV6 = 0x0806, 0x86DD
EVERYBODY = b"\xff" * 6
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ALL_NODES_MAC = bytes.fromhex("333300000001")
ADVERTISEMENT, OVERRIDE, TARGET_ADDRESS = 136, 0x20000000, 2


class Announcement(NamedTuple):
    """*address* is at *mac*, said on *device* of a namespace."""

    device: str
    mac: str
    address: str


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


def send(said: Announcement) -> None:
    """Send it from a device of this thread's namespace. One that is down says nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind((said.device, 0))
        opened.send(packet(said.mac, said.address))


class Repeater:
    """Say again what was announced, 2 s later, if it is still so: an address that moved on meanwhile is another's to announce.

    Any thread may call. Its own thread begins with the first announcement.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[float, str, Sequence[Announcement]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def later(self, namespace: str, said: Sequence[Announcement]) -> None:
        """Have *said* repeated from a named namespace. None is left to be told: nothing is done."""
        if not said:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)
                self._thread.start()
        self._waiting.put((time.monotonic() + INTERVAL_S, namespace, said))

    def close(self) -> None:
        """End the thread; what waits is not said."""
        self._closed.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            due, namespace, said = item
            if self._closed.wait(max(0.0, due - time.monotonic())):
                return
            try:
                with inside(namespace) as place:
                    for each in _still_so(place, said):
                        send(each)
            except Exception as error:  # The namespace may have gone meanwhile; the others' turns come.
                LOG.debug("event=not-announced-again namespace=%s reason=%s", namespace, error)
            # A thread keeps the namespace that it is in from ending.
            netns.enter(OWN)


def _still_so(place: Place, said: Sequence[Announcement]) -> list[Announcement]:
    names = dict(socket.if_nameindex())
    there = {
        (names.get(raw["index"]), raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS"))
        for raw in place.ip.get_addr()
    }
    return [each for each in said if (each.device, each.address) in there]

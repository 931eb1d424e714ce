"""Which addresses that guests share by allowed pairs are on this host now: a floating IP that leads to one is where its guest is.

Such an address (keepalived's, say) is no port's own, and goes from guest to guest without a word to the database. So each host that has one
of those who may hold it asks by ARP, in the name of its router's leg. Those questions don't leave the host, so an answer says that
the address is here; whoever has the address here has the floating IP, too. Nobody is asked about addresses that are a port's own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nova_lite.host.network_state import HostState, NetworkSpec, RouterSpec
from nova_lite.host.networks import announce, devices, netns, rooms
from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)
INTERVAL_S = 1.0
ANSWER_S = 0.3
"""A guest that has the address answers within this time."""
FIRST_S = 5.0
"""So long an agent that starts waits at most for its first answers; on a loaded machine its thread needs a while to ask."""
LATE_FRAMES = 1000
"""So many of what has come by the end of ``ANSWER_S`` are looked at: this thread may have been kept from its processor until then."""
MISSES = 3
"""So many questions in a row without an answer, and the address is not here any more."""
_REQUEST, _REPLY = 1, 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")


@dataclass(frozen=True)
class Question:
    """Who has ``address`` here? Asked on ``device`` in the namespace ``room`` by who has ``mac`` and ``own`` there."""

    floating_ip_id: str
    room: str
    device: str
    mac: str
    own: str
    address: str

    def frame(self) -> bytes:
        """Return the Ethernet frame that asks (RFC 826)."""
        mac = _packed_mac(self.mac)
        own, address = (ipaddress.IPv4Address(each).packed for each in (self.own, self.address))
        arp = _ARP.pack(1, 0x0800, 6, 4, _REQUEST, mac, own, bytes(6), address)
        return announce.EVERYBODY + mac + struct.pack("!H", announce.ARP) + arp

    def is_answered_by(self, frame: bytes) -> bool:
        """Say whether a frame is the answer: one to this leg, which nobody on another host has heard asking."""
        if len(frame) < 14 + _ARP.size:
            return False
        *_, kind, _, source, target_mac, _ = _ARP.unpack_from(frame, 14)
        wanted = ipaddress.IPv4Address(self.address).packed
        return bool(kind == _REPLY and source == wanted and target_mac == _packed_mac(self.mac))


def _packed_mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def questions(state: HostState, prefix: str = devices.PREFIX) -> list[Question]:
    """Return what is to be asked for *state*: a question for each floating IP that leads to a shared address."""
    found = []
    for router in state.routers.values():
        room = devices.router_namespace(router.router_id, prefix)
        for each in router.floating:
            leg = _leg(router, state.networks, each.fixed) if each.shared and router.up else None
            if leg is not None:
                found.append(Question(each.floating_ip_id, room, *leg, each.fixed))
    return found


def _leg(router: RouterSpec, networks: Mapping[str, NetworkSpec], address: str) -> tuple[str, str, str] | None:
    """Return device, MAC and address of the leg that is on an address's subnet."""
    for leg in router.legs:
        network = networks.get(leg.network_id)
        cidrs = {subnet.subnet_id: subnet.cidr for subnet in network.subnets} if network else {}
        for subnet_id, own in leg.addresses:
            if subnet_id in cidrs and rooms.inside(address, cidrs[subnet_id]):
                return devices.router_leg_name(leg.port_id), leg.mac, own
    return None


class SharedAddresses:
    """Asks again and again, and calls *moved* in a thread of its own when the answers are others than before.

    Nothing is asked, and there is no thread, while no floating IP leads to a shared address.
    """

    def __init__(self, moved: Callable[[], object]) -> None:
        self._moved = moved
        self._teller = ThreadPoolExecutor(1, thread_name_prefix="shared-addresses-moved")
        self._changed = threading.Condition()
        self._wanted: tuple[Question, ...] = ()
        self._misses: dict[Question, int] = {}
        """By question that was asked: how often there was no answer since the last one."""
        self._told: frozenset[str] = frozenset()
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._sockets: dict[tuple[str, str], tuple[int | None, socket.socket]] = {}

    def here(self, wanted: Iterable[Question]) -> frozenset[str]:
        """Ask *wanted* from now on, and return the ids of the floating IPs whose address is on this host.

        What is new is waited for, as far as its namespace is there: an agent that starts takes no floating IP away.
        """
        with self._changed:
            asked = tuple(wanted)
            if asked != self._wanted:
                self._wanted = asked
                self._changed.notify_all()
            if asked and self._thread is None and not self._is_ending:
                self._thread = threading.Thread(target=self._run, name="shared-addresses", daemon=True)
                self._thread.start()
            new = [each for each in asked if each not in self._misses and netns.exists(each.room)]
            if new and not self._is_ending:
                self._changed.wait_for(lambda: all(each in self._misses for each in new), timeout=FIRST_S)
            self._told = self._are_here()
            return self._told

    def _are_here(self) -> frozenset[str]:
        return frozenset(each.floating_ip_id for each in self._wanted if self._misses.get(each, MISSES) < MISSES)

    def close(self) -> None:
        """End the threads."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._teller.shutdown()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._is_ending:
                    break
                wanted = self._wanted
            began = time.monotonic()
            try:
                self._note(wanted, self._ask(wanted))
            except Exception:
                LOG.exception("event=shared-addresses-not-asked")
            with self._changed:
                if self._wanted == wanted and not self._is_ending:
                    self._changed.wait(max(0.0, INTERVAL_S - (time.monotonic() - began)) if wanted else None)
        for _, opened in self._sockets.values():
            opened.close()

    def _note(self, asked: Iterable[Question], answered: set[Question]) -> None:
        with self._changed:
            for each in asked:
                # A first question without an answer is enough to say that it is not here.
                self._misses[each] = 0 if each in answered else min(self._misses.get(each, MISSES) + 1, MISSES)
            self._misses = {each: misses for each, misses in self._misses.items() if each in self._wanted}
            self._changed.notify_all()
            if self._are_here() != self._told and not self._is_ending:
                self._told = self._are_here()
                LOG.info("event=shared-addresses-moved here=%d of=%d", len(self._told), len(self._wanted))
                self._teller.submit(self._tell)

    def _tell(self) -> None:
        try:
            self._moved()
        except Exception:
            LOG.exception("event=shared-addresses-not-followed")

    def _ask(self, wanted: Iterable[Question]) -> set[Question]:
        """Ask, and return what was answered."""
        places = {(each.room, each.device) for each in wanted}
        for place in self._sockets.keys() - places:
            self._sockets.pop(place)[1].close()
        open_questions: dict[socket.socket, list[Question]] = {}
        for each in wanted:
            opened = self._socket(each.room, each.device)
            if opened is None:
                continue
            with contextlib.suppress(OSError):  # A leg that is down hears nobody.
                opened.send(each.frame())
                open_questions.setdefault(opened, []).append(each)
        answered: set[Question] = set()
        end = time.monotonic() + ANSWER_S
        late = 0
        while open_questions and late < LATE_FRAMES:
            left = end - time.monotonic()
            if not (ready := select.select(list(open_questions), [], [], max(0.0, left))[0]):
                break
            late += len(ready) if left <= 0 else 0
            for opened in ready:
                with contextlib.suppress(OSError):
                    frame = opened.recv(2048)
                    answered |= {each for each in open_questions[opened] if each.is_answered_by(frame)}
                if answered.issuperset(open_questions[opened]):
                    del open_questions[opened]
        return answered

    def _socket(self, room: str, device: str) -> socket.socket | None:
        """Return a socket on a device in a namespace; None: it is not there. A namespace that was made anew is another."""
        inode = netns.inode(room)
        known = self._sockets.get((room, device))
        if known is not None and known[0] == inode:
            return known[1]
        if known is not None:
            self._sockets.pop((room, device))[1].close()
        if inode is None:
            return None
        opened: socket.socket | None = None
        try:
            netns.enter(netns.RUN / room)
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(announce.ARP))
            opened.bind((device, announce.ARP))
            opened.setblocking(False)
        except (OSError, HostError):
            if opened is not None:
                opened.close()
            return None  # It is being made, or on its way out.
        self._sockets[room, device] = (inode, opened)
        return opened

"""The sockets that metadata is asked on: one for each leg and IP version, inside the leg's namespace and bound to its device.

So a connection says by the socket that it came in on which network its guest is on, whatever else it claims. What sockets
there shall be is pure; a thread of its own enters the namespaces.
"""

from __future__ import annotations

import logging
import socket
from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import devices, netns
from nova_lite.host.networks.rooms import METADATA_V4, METADATA_V6
from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)
PORT = 80
BACKLOG = 64
IP_FREEBIND = 15
IPV6_FREEBIND = 78


@dataclass(frozen=True)
class Place:
    """Where a guest of ``network_id`` asks: a device in a namespace."""

    room: str
    device: str
    network_id: str


@dataclass(frozen=True)
class Listener:
    """An open socket, and which namespace (by inode) and device (by index) it is bound to: a new one of the same name is another."""

    place: Place
    inode: int
    index: int
    socket: socket.socket


def places(state: HostState, rooms: Mapping[str, str]) -> list[Place]:
    """Return where metadata is asked. *rooms*: network or router id → namespace's name."""
    found = [
        Place(rooms[network.network_id], devices.leg_name(network.number), network.network_id)
        for network in state.networks.values()
        if network.network_id in rooms and network.dhcp is not None
    ]
    for router in state.routers.values():
        if router.router_id in rooms:
            room = rooms[router.router_id]
            found += [Place(room, devices.router_leg_name(leg.port_id), leg.network_id) for leg in router.legs]
    return found


class Sockets:
    """Keeps the sockets as they shall be."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metadata-sockets")
        self._open: dict[tuple[Place, int], Listener] = {}

    def ensure(
        self, wanted: list[Place], touched: Collection[str] | None = None
    ) -> tuple[list[Listener], list[Listener]]:
        """Have a socket for each place and IP version; return those that are new and those that are not wanted any more.

        Whoever accepts on the latter closes them. A place that is not there (its namespace is being made) is left for the next time.

        :param touched: namespaces that were made or changed since the last time; the others' devices are taken for what they were.
        """
        return self._thread.submit(self._ensure, wanted, touched).result()

    def _ensure(self, wanted: list[Place], touched: Collection[str] | None) -> tuple[list[Listener], list[Listener]]:
        new: list[Listener] = []
        kept: dict[tuple[Place, int], Listener] = {}
        by_room: dict[str, list[Place]] = defaultdict(list)
        for place in wanted:
            by_room[place.room].append(place)
        for room, placed in sorted(by_room.items()):
            inode = netns.inode(room)
            if inode is None:
                continue
            if touched is not None and room not in touched:
                # To enter a namespace and list its devices takes 0.3 ms, and a host may have hundreds.
                known = self._known(placed, inode)
                if known is not None:
                    kept |= known
                    continue
            try:
                netns.enter(netns.RUN / room)
                indices = {name: index for index, name in socket.if_nameindex()}
            except (HostError, OSError) as error:
                LOG.warning("namespace=%s event=metadata-not-served reason=%r", room, str(error))
                continue
            for place in (place for place in placed if place.device in indices):
                for family in (socket.AF_INET, socket.AF_INET6):
                    key = (place, int(family))
                    had = self._open.get(key)
                    if had is not None and (had.inode, had.index) == (inode, indices[place.device]):
                        kept[key] = had
                        continue
                    try:
                        opened = _listen(family, place.device, indices[place.device])
                    except OSError as error:
                        LOG.warning("device=%s event=metadata-not-served reason=%r", place.device, str(error))
                        continue
                    kept[key] = Listener(place, inode, indices[place.device], opened)
                    new.append(kept[key])
        gone = [each for key, each in self._open.items() if kept.get(key) is not each]
        self._open = kept
        return new, gone

    def _known(self, placed: list[Place], inode: int) -> dict[tuple[Place, int], Listener] | None:
        """Return the sockets of a namespace's places; None: not each has both, or the namespace is another."""
        found = {}
        for place in placed:
            for family in (socket.AF_INET, socket.AF_INET6):
                had = self._open.get((place, int(family)))
                if had is None or had.inode != inode:
                    return None
                found[place, int(family)] = had
        return found

    def close(self) -> list[Listener]:
        """End the thread and return all that is open."""
        self._thread.shutdown()
        left, self._open = list(self._open.values()), {}
        return left


def _listen(family: socket.AddressFamily, device: str, index: int) -> socket.socket:
    """Open a socket in this thread's namespace. :raises OSError: the kernel refused."""
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # The address may come a moment later than the socket.
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            made.bind((METADATA_V6, PORT, 0, index))
        else:
            made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            made.bind((METADATA_V4, PORT))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made

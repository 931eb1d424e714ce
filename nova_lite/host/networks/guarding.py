"""What guards, limits and informs ports, as the networks call it: security groups, QoS, metadata."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import Firewall, kernel
from nova_lite.host.networks.kernel_watch import (
    DELETED_TABLE,
    LINKS,
    NETFILTER,
    NEW_LINK,
    NFTABLES,
    ROUTE,
    KernelWatch,
)
from nova_lite.host.networks.metadata_server import MetadataServer
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.qos import Qos
from nova_lite.host.ports import MetadataSource


class Guards(Protocol):
    """Called in this order in each pass: ``guard`` before any device joins its bridge, ``limit`` and ``serve`` at the end."""

    def guard(self, state: HostState, hosted: Collection[int]) -> None:
        """Have anti-spoofing and security groups in force. *hosted*: numbers of the networks that the host is the outside of."""

    def is_closed(self) -> bool:
        """Say whether rules are in force that let nothing pass which they don't know, though :meth:`guard` failed."""

    def limit(self, state: HostState) -> None:
        """Have bandwidth limits in force."""

    def serve(self, state: HostState, rooms: Mapping[str, str], touched: Collection[str]) -> None:
        """Have metadata answered in each namespace. *rooms*: network or router id → namespace's name; *touched*: those that may have changed."""

    def tend(self) -> None:
        """Put back what somebody took away."""

    def clean(self) -> None:
        """Remove all that was made."""

    def close(self) -> None:
        """End the threads."""


class _Guarded:
    """All of a state that the firewall is made from."""

    def __init__(self, state: HostState, hosted: frozenset[int]) -> None:
        legs = {key: (network.number, network.dhcp) for key, network in state.networks.items()}
        self._parts = (state.ports, state.groups, state.members, state.address_groups, legs, hosted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Guarded) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]


class HostGuards:
    """The real ones, in the namespace where the bridges are. *room_of* names a router's namespace by its id."""

    def __init__(self, host: Namespace, room_of: Callable[[str], str] = devices.router_namespace) -> None:
        self._host = host
        self._firewall = Firewall(host)
        self._qos = Qos(host, room_of)
        self._metadata: MetadataServer | None = None
        self._guarded: _Guarded | None = None
        self._watches: list[KernelWatch] = []

    def tell_guests(self, source: MetadataSource) -> None:
        """Have metadata answered by *source* from the next :meth:`serve` on."""
        if self._metadata is None:
            self._metadata = MetadataServer(source)

    def guard(self, state: HostState, hosted: Collection[int]) -> None:
        """Have anti-spoofing and security groups in force. What concerns neither is not looked at: 1,000 ports take 30 ms."""
        given = _Guarded(state, frozenset(hosted))
        if given != self._guarded:
            self._guarded = None
            self._firewall.apply(state, hosted)
            self._guarded = given
        if not self._watches:
            self._watch()

    def _watch(self) -> None:
        """Hear if somebody takes the rules away, and when a device comes that shall have limits."""
        tables, firewall, qos = frozenset({b"nova_lite"}), self._firewall, self._qos
        self._watches = [
            KernelWatch(self._host, NETFILTER, NFTABLES, DELETED_TABLE, lambda: tables, firewall.tend),
            KernelWatch(self._host, ROUTE, LINKS, NEW_LINK, lambda: qos.limited, qos.again),
        ]

    def is_closed(self) -> bool:
        """Say whether the firewall's tables are there: a device that they don't know passes nothing."""
        return kernel.version_in_force(self._host) is not None

    def limit(self, state: HostState) -> None:
        """Have bandwidth limits in force."""
        self._qos.apply(state)

    def serve(self, state: HostState, rooms: Mapping[str, str], touched: Collection[str]) -> None:
        """Have metadata answered in each namespace, once there is somebody who knows the answers."""
        if self._metadata is not None:
            self._metadata.serve(state, rooms, touched)

    def tend(self) -> None:
        """Put the firewall's rules back if somebody took them away."""
        self._firewall.tend()

    def clean(self) -> None:
        """Remove the firewall's rules and all limits."""
        self._end_watches()
        self._guarded = None
        self._firewall.clean()
        self._qos.clean()

    def close(self) -> None:
        """Stop answering guests, and listening."""
        self._end_watches()
        if self._metadata is not None:
            self._metadata.close()
            self._metadata = None

    def _end_watches(self) -> None:
        for watch in self._watches:
            watch.close()
        self._watches = []

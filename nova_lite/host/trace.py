"""Follow a packet from a guest through its host, and say where it would be dropped and by what. Pure.

The way is found in the state that the host was made to have; a :class:`Sight` of the kernel says whether the devices and
namespaces on it are really there. What comes to a guest on another host is followed on by that host (:func:`arrive`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RouterSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.devices import PREFIX
from nova_lite.host.trace_rules import METADATA, Packet, judge

PASSES, DROPPED, ARRIVES, LEAVES, GOES_ON = "passes", "dropped", "arrives", "leaves", "goes on"


@dataclass(frozen=True)
class Sight:
    """What the kernel has: device names in the host's namespace, namespaces' names, and whether the firewall's rules are in force."""

    devices: frozenset[str]
    namespaces: frozenset[str]
    guarded: bool
    prefix: str = PREFIX


@dataclass(frozen=True)
class Hop:
    """A place on the way and what happens there. ``rule_id``: of a security group's rule; ``port_id``: whose groups."""

    where: str
    what: str
    verdict: str = PASSES
    rule_id: str | None = None
    port_id: str | None = None


@dataclass
class Trace:
    """The way so far. ``onward``: (network id, packet) that goes on on another host."""

    hops: list[Hop] = field(default_factory=list)
    onward: tuple[str, Packet] | None = None

    @property
    def verdict(self) -> str:
        """Return what became of the packet."""
        return self.hops[-1].verdict if self.hops else DROPPED

    def add(self, where: str, what: str, verdict: str = PASSES, **more: str | None) -> None:
        """Add a hop."""
        self.hops.append(Hop(where, what, verdict, **more))


def depart(
    state: HostState, server_id: str, destination: str, protocol: int, port: int | None, sight: Sight | None = None
) -> Trace:
    """Follow a connection's first packet from a server on this host to *destination*, a valid address."""
    return _Follower(state, sight).depart(server_id, destination, protocol, port)


def arrive(state: HostState, network_id: str, packet: Packet, sight: Sight | None = None) -> Trace:
    """Follow a packet that comes to this host from another one, by the tunnel of a network."""
    follower = _Follower(state, sight)
    network = state.networks.get(network_id)
    if network is None:
        follower.trace.add("host", f"network {network_id} is not on this host", DROPPED)
        return follower.trace
    follower.seen(devices.vxlan_name(network.number), f"out of the tunnel of network {network_id}")
    follower.deliver(network, packet, from_tunnel=True)
    return follower.trace


class _Follower:
    def __init__(self, state: HostState, sight: Sight | None) -> None:
        self._state = state
        self._sight = sight
        self._routed = 0
        self.trace = Trace()

    def depart(self, server_id: str, destination: str, protocol: int, port: int | None) -> Trace:
        """Choose the guest's interface, and follow."""
        own = [each for each in self._state.ports.values() if each.server_id == server_id]
        chosen = self._choose(own, destination)
        if chosen is None:
            known = ", ".join(address for each in own for _, address in each.addresses) or "no address"
            self.trace.add("guest", f"it has no way to {destination} ({known} on this host)", DROPPED)
            return self.trace
        spec, source, hop = chosen
        packet = Packet(source, destination, protocol, port)
        by = "directly" if hop is None else f"by {hop}"
        self.trace.add("guest", f"{packet.said()}, {by}")
        if self._leave_port(spec, packet):
            network = self._state.networks[spec.network_id]
            if hop is None or destination in METADATA:
                self.deliver(network, packet)
            else:
                self._to_router(network, hop, packet)
        return self.trace

    def _choose(self, ports: list[PortSpec], destination: str) -> tuple[PortSpec, str, str | None] | None:
        """Return port, source address and next hop (None: on the link), as a guest's routes decide."""
        fallback = None
        for port in ports:
            network = self._state.networks.get(port.network_id)
            if network is None:
                continue
            subnets = {subnet.subnet_id: subnet for subnet in network.subnets}
            for subnet_id, address in port.addresses:
                subnet = subnets.get(subnet_id)
                if subnet is None or (":" in address) != (":" in destination):
                    continue
                if _inside(destination, subnet.cidr) or destination in METADATA:
                    return port, address, None
                special = next((hop for cidr, hop in subnet.routes if _inside(destination, cidr)), None)
                if special is not None:
                    return port, address, special
                if subnet.gateway is not None and fallback is None:
                    fallback = (port, address, subnet.gateway)
        return fallback

    def _leave_port(self, port: PortSpec, packet: Packet) -> bool:
        """Follow out of a guest's device; False: it ends there."""
        device = devices.device_name(port.port_id)
        if not self.seen(device, "the port's device"):
            return False
        if not port.up:
            self.trace.add(device, f"port {port.port_id} or its network is down", DROPPED)
            return False
        if not port.secured:
            self.trace.add(device, "port security is off: anything passes")
            return True
        if self._sight is not None and not self._sight.guarded:
            self.trace.add(device, "the firewall's rules are not in force on this host", DROPPED)
            return False
        self.trace.add(device, f"anti-spoofing: {packet.source} with {port.mac} is the port's own")
        return self._groups(port, packet, "egress")

    def _groups(self, port: PortSpec, packet: Packet, direction: str) -> bool:
        found = judge(self._state, port, packet, direction)
        way = "in" if direction == "ingress" else "out"
        self.trace.add(
            devices.device_name(port.port_id),
            f"security groups {way}: {found.why}",
            PASSES if found.passes else DROPPED,
            rule_id=found.rule_id,
            port_id=port.port_id,
        )
        return found.passes

    def deliver(self, network: NetworkSpec, packet: Packet, *, from_tunnel: bool = False) -> None:
        """Follow over a network's bridge to whoever has the destination there."""
        bridge = devices.bridge_name(network.number)
        if not self.seen(bridge, f"bridge of network {network.network_id}"):
            return
        if self._is_ours(network, packet):
            return
        local = next((p for p in self._on(network) if packet.destination in _addresses(p)), None)
        if local is not None:
            self._enter_port(local, packet)
            return
        far = next((each for each in network.remote if packet.destination in each.addresses), None)
        if far is not None and not from_tunnel:
            device = devices.vxlan_name(network.number)
            if self.seen(device, f"into the tunnel to host {far.host_address}, for {far.mac}", GOES_ON):
                self.trace.onward = (network.network_id, packet)
            return
        if self._by_floating(packet):
            return
        sharing = next(
            (p for p in self._on(network) if any(_inside(packet.destination, pair) for _, pair in p.pairs)), None
        )
        if sharing is not None:
            self.trace.add(bridge, f"{packet.destination} is shared by allowed pairs: to one of those that may hold it")
            self._enter_port(sharing, packet)
            return
        if network.external:
            where = network.physical_network or "the outside"
            self.trace.add(bridge, f"nobody here has {packet.destination}: out to {where}", LEAVES)
            return
        self.trace.add(bridge, f"nobody on the network has {packet.destination}", DROPPED)

    def _is_ours(self, network: NetworkSpec, packet: Packet) -> bool:
        """Follow to a leg of ours: DHCP, DNS and metadata, or a router's own address."""
        own = {address for _, address in network.dhcp.addresses} if network.dhcp else set()
        if network.dhcp and (packet.destination in own or packet.destination in METADATA):
            room = self._room(devices.network_namespace(network.number))
            if self.seen(room, "namespace of DHCP, DNS and metadata", is_namespace=True):
                self._service(room, packet)
            return True
        for router in self._state.routers.values():
            for leg in router.legs:
                mine = {address for _, address in leg.addresses}
                is_metadata = packet.destination in METADATA and network.dhcp is None
                if leg.network_id == network.network_id and (packet.destination in mine or is_metadata):
                    room = self._room(devices.router_namespace(router.router_id))
                    if self.seen(room, f"namespace of router {router.router_id}", is_namespace=True):
                        self._service(room, packet)
                    return True
        return False

    def _service(self, room: str, packet: Packet) -> None:
        is_echo = packet.port is None
        is_served = is_echo or packet.port == 53 or (packet.destination in METADATA and packet.port == 80)
        what = (
            "is answered here" if is_served else "nothing listens there: only DHCP, DNS, metadata and ping are answered"
        )
        self.trace.add(room, f"{packet.said()} {what}", ARRIVES if is_served else DROPPED)

    def _enter_port(self, port: PortSpec, packet: Packet) -> None:
        device = devices.device_name(port.port_id)
        if not self.seen(device, f"the device of port {port.port_id}"):
            return
        if not port.up:
            self.trace.add(device, f"port {port.port_id} or its network is down", DROPPED)
            return
        if self._groups(port, packet, "ingress"):
            self.trace.add("guest", f"{packet.said()} comes to server {port.server_id}", ARRIVES)

    def _to_router(self, network: NetworkSpec, hop: str, packet: Packet) -> None:
        """Follow to the next hop of a network, which a router of ours or a guest has."""
        bridge = devices.bridge_name(network.number)
        if not self.seen(bridge, f"bridge of network {network.network_id}"):
            return
        for router in self._state.routers.values():
            if any(leg.network_id == network.network_id and hop in dict(leg.addresses).values() for leg in router.legs):
                self._route(router, packet)
                return
        guest = next((port for port in self._on(network) if hop in _addresses(port)), None)
        if guest is not None:
            self._enter_port(guest, packet)
            return
        if network.external:
            self.trace.add(bridge, f"out to {network.physical_network or 'the outside'} by {hop}", LEAVES)
            return
        self.trace.add(bridge, f"nobody has the next hop {hop}: the network has no router there", DROPPED)

    def _route(self, router: RouterSpec, packet: Packet) -> None:
        """Follow through a router's namespace."""
        room = self._room(devices.router_namespace(router.router_id))
        self._routed += 1
        if self._routed > 4:
            self.trace.add(room, "it goes round in circles", DROPPED)
            return
        if not router.up:
            self.trace.add(room, f"router {router.router_id} is down", DROPPED)
            return
        if not self.seen(room, f"namespace of router {router.router_id}", is_namespace=True):
            return
        target = next((each for each in router.floating if each.floating == packet.destination), None)
        if target is not None:
            self.trace.add(room, f"floating IP {target.floating} leads to {target.fixed}")
            packet = replace(packet, destination=target.fixed)
        network = self._joined(router, packet.destination)
        if network is not None:
            self.deliver(network, packet)
            return
        special = next((hop for cidr, hop in router.routes if _inside(packet.destination, cidr)), None)
        beyond = self._joined(router, special) if special is not None else None
        if special is not None and beyond is not None:
            self.trace.add(room, f"its own route leads by {special}")
            self._to_router(beyond, special, packet)
            return
        self._out(router, room, packet)

    def _out(self, router: RouterSpec, room: str, packet: Packet) -> None:
        """Follow out by a router's gateway."""
        gateway = router.gateway
        outside = self._state.networks.get(gateway.network_id) if gateway is not None else None
        if gateway is None or outside is None:
            self.trace.add(
                room, f"router {router.router_id} has no gateway and no route to {packet.destination}", DROPPED
            )
            return
        own = next((each.floating for each in router.floating if each.fixed == packet.source), None)
        address = next((a for _, a in gateway.addresses if (":" in a) == (packet.version == 6)), None)
        if own is not None:
            self.trace.add(room, f"leaves with its floating IP {own}")
            packet = replace(packet, source=own)
        elif packet.version == 4 and router.snat and address is not None:
            self.trace.add(room, f"leaves with the router's address on this host, {address}")
            packet = replace(packet, source=address)
        elif packet.version == 4:
            self.trace.add(room, f"leaves as {packet.source}: the router does not translate, answers need a route back")
        inside = [subnet for subnet in outside.subnets if _inside(packet.destination, subnet.cidr)]
        if inside or self._has_floating(packet.destination):
            self.deliver(outside, packet)
            return
        hop = next((h for h in gateway.next_hops if (":" in h) == (packet.version == 6)), None)
        if hop is None:
            self.trace.add(room, "the external network has no gateway for this IP version", DROPPED)
            return
        self._to_router(outside, hop, packet)

    def _by_floating(self, packet: Packet) -> bool:
        """Follow to the router on this host that has the destination as a floating IP."""
        for router in self._state.routers.values():
            if any(each.floating == packet.destination for each in router.floating):
                self._route(router, packet)
                return True
        return False

    def _has_floating(self, address: str) -> bool:
        return any(f.floating == address for router in self._state.routers.values() for f in router.floating)

    def _joined(self, router: RouterSpec, address: str) -> NetworkSpec | None:
        """Return the network that a router joins and that has *address* in a subnet."""
        for leg in router.legs:
            network = self._state.networks.get(leg.network_id)
            here = {subnet_id for subnet_id, _ in leg.addresses}
            if network and any(s.subnet_id in here and _inside(address, s.cidr) for s in network.subnets):
                return network
        return None

    def _on(self, network: NetworkSpec) -> list[PortSpec]:
        return [port for port in self._state.ports.values() if port.network_id == network.network_id]

    def _room(self, name: str) -> str:
        prefix = self._sight.prefix if self._sight is not None else PREFIX
        return prefix + name.removeprefix(PREFIX)

    def seen(self, name: str, what: str, verdict: str = PASSES, *, is_namespace: bool = False) -> bool:
        """Add a hop at a device or namespace; False: the kernel does not have it, and the way ends."""
        if self._sight is not None:
            there = self._sight.namespaces if is_namespace else self._sight.devices
            if name not in there:
                kind = "namespace" if is_namespace else "device"
                self.trace.add(name, f"{what}: the {kind} is not on the host", DROPPED)
                return False
        self.trace.add(name, what, verdict)
        return True


def _inside(address: str, cidr: str) -> bool:
    one, network = ipaddress.ip_address(address), ipaddress.ip_network(cidr, strict=False)
    return one.version == network.version and one in network


def _addresses(port: PortSpec) -> set[str]:
    return {address for _, address in port.addresses}

"""From a host's state to what each network and router needs on it: the same each time, compared with what was applied last. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nova_lite.host.network_state import NetworkSpec, PortSpec, RouterLeg, RouterSpec, ServiceLeg
from nova_lite.host.networks import devices, dhcp, network_room, outside, overlay, provider, ra, rooms, router_room
from nova_lite.host.networks.links import Bridge, Tap
from nova_lite.host.networks.outside import Outside
from nova_lite.host.networks.overlay import Tunnel, Vxlan
from nova_lite.host.networks.provider import Uplink
from nova_lite.host.networks.rooms import Room
from nova_lite.host.networks.service import Process
from nova_lite.host.ports import HostError


@dataclass(frozen=True)
class Here:
    """What is this host's own: its physical networks, its end of tunnels, how its namespaces are called, where files lie."""

    physical: Mapping[str, str]
    tunnel: Tunnel | None
    prefix: str
    root: Path
    settings: dhcp.Settings


@dataclass(frozen=True)
class NetworkPlan:
    """A network on this host. ``problem``: what can't be had of it, in words; the rest is made all the same."""

    number: int
    bridge: Bridge
    taps: tuple[Tap, ...]
    vxlan: Vxlan | None
    uplink: Uplink | None
    outside: Outside | None
    room: Room | None
    process: Process | None
    problem: str = ""

    @property
    def devices(self) -> frozenset[str]:
        """Return the names of the devices in the host's own namespace that must be there."""
        found = {self.bridge.name, *(tap.name for tap in self.taps if tap.make)}
        found |= {leg.name for leg in self.room.legs} if self.room else set()
        found |= {self.vxlan.name} if self.vxlan else set()
        return frozenset(found | ({self.uplink.vlan_device} if self.uplink and self.uplink.vlan_device else set()))


@dataclass(frozen=True)
class RouterPlan:
    """A router on this host."""

    room: Room | None
    process: Process | None

    @property
    def devices(self) -> frozenset[str]:
        """Return the names of the devices in the host's own namespace that must be there."""
        return frozenset(leg.name for leg in self.room.legs) if self.room else frozenset()


Plan = NetworkPlan | RouterPlan


def network(spec: NetworkSpec, ports: Sequence[PortSpec], here: Here) -> NetworkPlan:
    """Plan a network with its *ports* on this host. :raises HostError: nothing of it can be."""
    problems: list[str] = []
    vxlan = uplink = None
    try:
        vxlan = overlay.wanted(spec, here.tunnel, frozenset(port.mac for port in ports))
        uplink = provider.wanted(spec, here.physical)
    except HostError as error:
        problems.append(error.message)
    is_outside = provider.is_outside(spec, here.physical)
    knows_v6 = vxlan is not None and any(":" in address for address, _ in vxlan.neighbours)
    addresses = outside.gateways(spec) if is_outside else ()
    bridge = Bridge(
        devices.bridge_name(spec.number),
        devices.bridge_mac(spec.number),
        spec.mtu,
        addresses,
        ipv6=knows_v6 or any(":" in address for address in addresses),
    )
    taps = tuple(
        Tap(devices.device_name(port.port_id), bridge.name, spec.mtu, port.up, make=port.kind == "tap")
        for port in ports
    )
    room = network_room.room(spec, here.prefix)
    return NetworkPlan(
        spec.number,
        bridge,
        taps,
        vxlan,
        uplink,
        outside.of(spec) if is_outside else None,
        room,
        _dhcp_process(spec, ports, here) if room else None,
        "; ".join(problems),
    )


def _dhcp_process(spec: NetworkSpec, ports: Sequence[PortSpec], here: Here) -> Process:
    directory = str(spec.number)
    served = [(own, subnet.cidr) for _, subnet, own in dhcp.served(spec) if rooms.is_v4(own)]
    return Process(
        directory,
        tuple(dhcp.arguments(spec, here.root / directory, here.settings)),
        dhcp.files(spec, ports, here.settings),
        dhcp.leases(spec, ports),
        tuple(served),
        devices.leg_name(spec.number),
    )


def router(spec: RouterSpec, networks: Mapping[str, NetworkSpec], here: Here) -> RouterPlan:
    """Plan a router. :raises HostError: nothing of it can be."""
    room = router_room.room(spec, networks, here.prefix)
    directory = devices.router_directory(spec.router_id)
    argv = ra.arguments(spec, networks, here.root / directory, here.settings) if room else None
    return RouterPlan(room, Process(directory, tuple(argv)) if argv else None)


def anycast(
    networks: Mapping[str, NetworkSpec], routers: Mapping[str, RouterSpec], plans: Mapping[str, NetworkPlan]
) -> dict[int, list[tuple[str, tuple[str, ...]]]]:
    """Return, by network number, (MAC, addresses) of our legs in the networks that are on other hosts too."""
    found: dict[int, list[tuple[str, tuple[str, ...]]]] = {
        plan.number: [] for plan in plans.values() if plan.vxlan is not None
    }
    legs: list[tuple[str, ServiceLeg | RouterLeg]] = [
        (spec.network_id, spec.dhcp) for spec in networks.values() if spec.dhcp is not None
    ]
    legs += [(leg.network_id, leg) for router in routers.values() for leg in router.legs]
    for network_id, leg in legs:
        plan = plans.get(network_id)
        if plan is not None and plan.vxlan is not None:
            found[plan.number].append((leg.mac, tuple(address for _, address in leg.addresses)))
    return found

"""Router advertisements: what the dnsmasq in a router's namespace is told. Pure.

It announces and does nothing else: DNS is off, and what it would answer of DHCPv6 the namespace's rules don't let in, since the
network's own dnsmasq answers that.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path

from nova_lite.host.network_state import NetworkSpec, RouterLeg, RouterSpec, SubnetSpec
from nova_lite.host.networks import devices, rooms
from nova_lite.host.networks.dhcp import Settings, domain

_MODES = {"slaac": "ra-only", "dhcpv6-stateless": "ra-stateless", "dhcpv6-stateful": "static"}


def announced(router: RouterSpec, networks: Mapping[str, NetworkSpec]) -> Iterator[tuple[RouterLeg, SubnetSpec]]:
    """Yield each subnet that the router announces, with its leg there."""
    for leg in router.legs:
        network = networks[leg.network_id]
        mine = {subnet_id for subnet_id, _ in leg.addresses}
        for subnet in network.subnets:
            if subnet.subnet_id in mine and subnet.ra_mode in _MODES and not rooms.is_v4(subnet.cidr):
                yield leg, subnet


def arguments(
    router: RouterSpec, networks: Mapping[str, NetworkSpec], directory: Path, settings: Settings
) -> list[str] | None:
    """Return dnsmasq's whole command line; None: the router announces nothing."""
    subnets = list(announced(router, networks))
    if not subnets or not router.up:
        return None
    argv = [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--port=0",
        "--bind-dynamic",
        "--except-interface=lo",
        "--enable-ra",
        f"--pid-file={directory / 'dnsmasq.pid'}",
        f"--dhcp-leasefile={directory / 'leases'}",
        f"--user={settings.user}",
        f"--group={settings.group}",
    ]
    for name, mtu in dict.fromkeys(
        (devices.router_leg_name(leg.port_id), networks[leg.network_id].mtu) for leg, _ in subnets
    ):
        # Every 60 s; a guest that boots asks and is answered at once.
        argv += [f"--interface={name}", f"--ra-param={name},mtu:{mtu},60,1800"]
    for index, (leg, subnet) in enumerate(subnets):
        argv += _subnet(f"s{index}", networks[leg.network_id], subnet, settings)
    return argv


def _subnet(tag: str, network: NetworkSpec, subnet: SubnetSpec, settings: Settings) -> list[str]:
    cidr = ipaddress.IPv6Network(subnet.cidr)
    own = rooms.leg_address(network.dhcp, subnet.subnet_id)
    dns = [server for server in subnet.dns if not rooms.is_v4(server)] or ([own] if own else [])
    mode = _MODES[str(subnet.ra_mode)]
    servers = ",".join(f"[{server}]" for server in dns)
    return [
        f"--dhcp-range=set:{tag},{cidr.network_address},{mode},{cidr.prefixlen},{settings.lease_time}s",
        # An empty option: dnsmasq would name itself, and answers none.
        f"--dhcp-option=tag:{tag},option6:dns-server" + (f",{servers}" if servers else ""),
        f"--dhcp-option=tag:{tag},option6:domain-search,{domain(network, settings)}",
    ]

"""What a namespace of ours shall be like: plain data, made by pure functions and compared with the kernel."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from nova_lite.host.network_state import NetworkSpec, ServiceLeg
from nova_lite.host.ports import HostError

METADATA_V4 = "169.254.169.254"
METADATA_V6 = "fe80::a9fe:a9fe"

QUIET = (
    # Before a device is made, so that it begins so. Addresses of ours are on every host: nobody is asked whether they are free.
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    # An address is answered for on its own leg only.
    ("ipv4/conf/all/arp_ignore", "1"),
    ("ipv4/conf/all/arp_announce", "2"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
)
"""(path below /proc/sys/net, value) of every namespace of ours."""


@dataclass(frozen=True)
class Leg:
    """A veth with one end in the namespace and one in a bridge, both called ``name``. ``addresses`` have their prefix length.

    ``announce``: neighbours are told when an address comes. ``learns``: whoever announces an address here is remembered, though never asked for.
    """

    name: str
    mac: str
    mtu: int
    bridge: str
    addresses: tuple[str, ...]
    announce: bool = False
    learns: bool = False


@dataclass(frozen=True)
class Route:
    """``destination`` is a cidr. ``device`` empty: that on whose subnet ``via`` is."""

    destination: str
    via: str
    device: str = ""


@dataclass(frozen=True)
class Room:
    """A namespace: ``name``, ``legs``, ``routes``, addresses of ``lo``, settings, and its nft table as text (see ``rules``).

    ``translated``: (floating, fixed) address, of what the rules translate both ways.
    """

    name: str
    legs: tuple[Leg, ...]
    routes: tuple[Route, ...]
    rules: str
    loopback: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = QUIET
    translated: tuple[tuple[str, str], ...] = ()


def with_prefix(network: NetworkSpec, addresses: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return (subnet id, address) pairs as addresses with their subnets' prefix lengths. :raises HostError: no such subnet."""
    subnets = {subnet.subnet_id: subnet.cidr for subnet in network.subnets}
    found = []
    for subnet_id, address in addresses:
        if subnet_id not in subnets:
            raise HostError(f"{address} is on a subnet that network {network.network_id} has not")
        found.append(f"{address}/{subnets[subnet_id].rpartition('/')[2]}")
    return tuple(found)


def leg_address(leg: ServiceLeg | None, subnet_id: str) -> str | None:
    """Return the address of a leg on a subnet; None: it has none."""
    return next((address for subnet, address in leg.addresses if subnet == subnet_id), None) if leg else None


def is_v4(text: str) -> bool:
    """Say whether an address or cidr is of IPv4."""
    return ":" not in text


def inside(address: str, cidr: str) -> bool:
    """Say whether an address lies in a cidr of the same version."""
    return is_v4(address) == is_v4(cidr) and ipaddress.ip_address(address) in ipaddress.ip_network(cidr)

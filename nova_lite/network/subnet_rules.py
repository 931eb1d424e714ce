"""What a subnet may be: ranges, gateways, pools, routes and IPv6 modes, checked as Neutron checks them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_lite.db.types import JsonDict
from nova_lite.errors import Conflict, Invalid

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SLAAC, STATELESS, STATEFUL = "slaac", "dhcpv6-stateless", "dhcpv6-stateful"
MODES = (SLAAC, STATELESS, STATEFUL)
AUTOMATIC_MODES = (SLAAC, STATELESS)
"""Modes in which guests make their address of their MAC."""


class Automatic:
    """The gateway is to be the range's first address."""


AUTOMATIC = Automatic()


@dataclass(frozen=True)
class NewSubnet:
    """What a subnet is made of. ``gateway_ip`` None: none; ``pools`` None: all but the gateway.

    ``cidr`` None: taken from the pool ``subnetpool_id``, ``prefixlen`` long (None: as long as the pool's default).
    """

    network_id: str
    cidr: str | None = None
    ip_version: int = 4
    name: str = ""
    description: str = ""
    gateway_ip: str | Automatic | None = AUTOMATIC
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[JsonDict, ...] = ()
    pools: tuple[JsonDict, ...] | None = None
    ipv6_address_mode: str | None = None
    ipv6_ra_mode: str | None = None
    subnetpool_id: str | None = None
    prefixlen: int | None = None
    use_default_pool: bool = False
    service_types: tuple[str, ...] = ()


def for_owner(subnets: Sequence[Any], device_owner: str) -> list[Any]:
    """Return those of a network's *subnets* (rows) that ports of *device_owner* get addresses of: first what is for them, then what is for all.

    :raises Conflict: there are subnets, and each is for others.
    """
    found = [subnet for subnet in subnets if device_owner in subnet.service_types]
    found += [subnet for subnet in subnets if not subnet.service_types]
    if subnets and not found:
        raise Conflict(
            f"No valid service subnet for the given device owner: network {subnets[0].network_id}, service type "
            f"{device_owner or 'none'}.",
            "network.ip_address_generation_failure_no_matching_subnet",
        )
    return found


def is_automatic(subnet: Any) -> bool:
    """Tell whether guests of a subnet (a row, or a :class:`NewSubnet`) make their address of their MAC."""
    return subnet.ipv6_address_mode in AUTOMATIC_MODES or subnet.ipv6_ra_mode in AUTOMATIC_MODES


def parse(new: NewSubnet) -> IpNetwork:
    """Read the range that a subnet names. :raises Invalid: no subnet can have it."""
    assert new.cidr is not None
    try:
        network = ipaddress.ip_network(new.cidr, strict=False)
    except ValueError as error:
        raise Invalid(f"Invalid input for cidr. Reason: {error}.", "request.schema") from None
    if network.version != new.ip_version:
        raise _invalid(f"cidr '{new.cidr}' does not match the ip_version '{new.ip_version}'")
    if network.num_addresses < 4 or network.is_loopback or network.is_multicast or network.prefixlen == 0:
        raise _invalid(f"cidr {network} can't be a subnet of guests; it needs at least four unicast addresses")
    return network


def check_modes(new: NewSubnet) -> None:
    """Check the IPv6 modes against the version, DHCP and each other. :raises Invalid: they do not go together."""
    address, announced = new.ipv6_address_mode, new.ipv6_ra_mode
    if address is None and announced is None:
        return
    name = "ipv6_address_mode" if address else "ipv6_ra_mode"
    if new.ip_version != 6:
        raise _invalid(f"{name} is not valid when ip_version is 4")
    if not new.enable_dhcp:
        raise _invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if address and announced and address != announced:
        raise _invalid(
            f"ipv6_ra_mode set to '{announced}' with ipv6_address_mode set to '{address}' is not valid. "
            "If both attributes are set, they must be the same value"
        )


def check_automatic(new: NewSubnet, network: IpNetwork) -> None:
    """Check that MACs fit into the range where addresses are made of them. :raises Invalid: they do not."""
    if is_automatic(new) and network.prefixlen != 64:
        raise _invalid(
            f"Invalid CIDR {network} for IPv6 address mode. OpenStack uses the EUI-64 address format, "
            "which requires the prefix to be /64"
        )


def ends(network: IpNetwork) -> tuple[int, int]:
    """Return the first and the last address that a host may have."""
    first, last = int(network.network_address) + 1, int(network.broadcast_address)
    return (first, last - 1) if network.version == 4 else (first, last)


def gateway(wanted: str | Automatic | None, network: IpNetwork) -> str | None:
    """Return the gateway's address in its canonical form. :raises Invalid: it lies outside."""
    if wanted is None:
        return None
    if isinstance(wanted, Automatic):
        return str(network.network_address + 1)
    address = ipaddress.ip_address(wanted)
    first, last = ends(network)
    if address.version == network.version == 6 and address.is_link_local:
        return str(address)
    if address.version != network.version or not first <= int(address) <= last:
        raise _invalid(f"Gateway {address} is not valid on subnet {network}: gateway_ip must be a host's address in it")
    return str(address)


def pools(wanted: Sequence[Mapping[str, str]] | None, network: IpNetwork, gateway_ip: str | None) -> list[JsonDict]:
    """Return the allocation pools; *wanted* None: everything but the gateway.

    :raises Invalid: one lies outside or is no range. :raises Conflict: two overlap, or the gateway is in one.
    """
    first, last = ends(network)
    taken = int(ipaddress.ip_address(gateway_ip)) if gateway_ip else None
    if wanted is None:
        within = taken is not None and first <= taken <= last
        edges = [(first, taken - 1), (taken + 1, last)] if within and taken is not None else [(first, last)]
        kind = type(network.network_address)
        return [{"start": str(kind(low)), "end": str(kind(high))} for low, high in edges if low <= high]
    ranges: list[tuple[int, int]] = []
    result: list[JsonDict] = []
    for pool in wanted:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        shown = f"{start}-{end}"
        if start.version != network.version or end.version != network.version or int(end) < int(start):
            raise Invalid(f"The allocation pool {shown} is not valid.", "network.invalid_allocation_pool")
        low, high = int(start), int(end)
        if low < first or high > last:
            raise Invalid(
                f"The allocation pool {shown} spans beyond the subnet cidr {network}.",
                "network.out_of_bounds_allocation_pool",
            )
        if any(low <= other_high and other_low <= high for other_low, other_high in ranges):
            raise Conflict(
                f"Found overlapping allocation pools for subnet {network}: {shown}.",
                "network.overlapping_allocation_pools",
            )
        ranges.append((low, high))
        result.append({"start": str(start), "end": str(end)})
    check_gateway_outside(gateway_ip, result)
    return result


def check_gateway_outside(gateway_ip: str | None, found: Sequence[Mapping[str, str]]) -> None:
    """Refuse a gateway within a pool: it would be given away. :raises Conflict: it is in one."""
    if gateway_ip is None:
        return
    number = int(ipaddress.ip_address(gateway_ip))
    for pool in found:
        if int(ipaddress.ip_address(pool["start"])) <= number <= int(ipaddress.ip_address(pool["end"])):
            raise Conflict(
                f"Gateway ip {gateway_ip} conflicts with allocation pool {pool['start']}-{pool['end']}.",
                "network.gateway_conflict_with_allocation_pools",
            )


def routes(wanted: Sequence[Mapping[str, str]], version: int) -> list[JsonDict]:
    """Return host routes in their canonical form. :raises Invalid: one is of the other IP version."""
    result: list[JsonDict] = []
    for route in wanted:
        destination = ipaddress.ip_network(route["destination"], strict=False)
        nexthop = ipaddress.ip_address(route["nexthop"])
        if destination.version != version or nexthop.version != version:
            raise _invalid(f"host_routes: {destination} via {nexthop} is no IPv{version} route")
        result.append({"destination": str(destination), "nexthop": str(nexthop)})
    return result


def eui64(cidr: str, mac: str) -> str:
    """Return the address that a guest with *mac* makes in a /64 by RFC 4291's modified EUI-64."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(int(ipaddress.ip_network(cidr).network_address) | int.from_bytes(identifier)))


def _invalid(reason: str) -> Invalid:
    return Invalid(f"Invalid input for operation: {reason}.", "network.invalid_input")

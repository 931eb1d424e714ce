"""Refuse what must never reach the kernel, dnsmasq or nft (CVE-2021-40085: a newline in a value is a new option).

The database's values were checked when they came in. They are checked again here, where a slip would be a command:
every value has a type, and what is not of it is refused with a :class:`HostError`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

from nova_lite.host.network_state import GatewayLeg, NetworkSpec, PortSpec, RouterLeg, RouterSpec, SubnetSpec
from nova_lite.host.networks import dhcp_options
from nova_lite.host.ports import HostError

MAX_NUMBER = 9_999_999_999
"""``nl-br`` and ten digits are the 15 characters that a device's name may have."""

KINDS = ("tap", "veth")
NETWORK_KINDS = ("vxlan", "flat", "vlan", "local")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)
_DOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*", re.ASCII | re.IGNORECASE)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def uuid(value: str, what: str) -> str:
    """Return *value* if it is a UUID in its canonical lower-case form: it becomes part of a path or a device's name."""
    if not _UUID.fullmatch(value):
        raise HostError(f"{what} is not a UUID: {value[:64]!r}", code="host.refused_value")
    return value


def domain(value: str) -> str:
    """Return *value* if it is a domain name."""
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise HostError(f"This is not a domain name: {value[:64]!r}", code="host.refused_value")
    return value


def label(hostname: str) -> str:
    """Return the first label of a host name, in lower case.

    The rest is not for the tenant to choose: a guest called www.example.com must not answer for it.
    """
    return domain(hostname).partition(".")[0].lower()


def network(spec: NetworkSpec) -> None:
    """Check a network, its subnets and what it has on other hosts. :raises HostError: a value is not of its type."""
    uuid(spec.network_id, "The network's id")
    if not 0 < spec.number <= MAX_NUMBER:
        raise HostError(f"A network's number must be 1 to {MAX_NUMBER}, not {spec.number}", code="host.refused_value")
    if not 68 <= spec.mtu <= 65_535:
        raise HostError(f"An MTU must be 68 to 65535, not {spec.mtu}", code="host.refused_value")
    if spec.kind not in NETWORK_KINDS or (spec.kind == "vxlan" and spec.number >= 1 << 24):
        raise HostError(f"A network can't be of type {spec.kind[:64]!r} here", code="host.refused_value")
    if spec.vlan is not None and not 1 <= spec.vlan <= 4094:
        raise HostError(f"A VLAN is 1 to 4094, not {spec.vlan}", code="host.refused_value")
    if spec.dns_domain.strip("."):
        domain(spec.dns_domain.rstrip("."))
    for subnet in spec.subnets:
        _subnet(subnet)
    if spec.dhcp is not None:
        _leg(spec.dhcp.port_id, spec.dhcp.mac, spec.dhcp.addresses, spec)
    for host in spec.remote_hosts:
        _v4(host)
    for remote in spec.remote:
        mac(remote.mac)
        _v4(remote.host_address)
        for each in remote.addresses:
            network_of(each)
        if remote.hostname:
            label(remote.hostname)


def router(spec: RouterSpec, networks: Mapping[str, NetworkSpec]) -> None:
    """Check a router. :raises HostError: a value is not of its type, or a network of it is not there."""
    uuid(spec.router_id, "The router's id")
    legs: list[RouterLeg | GatewayLeg] = [*spec.legs, *([spec.gateway] if spec.gateway else [])]
    for leg in legs:
        if leg.network_id not in networks:
            raise HostError(
                f"Network {leg.network_id} of router {spec.router_id} is not among the networks of this host"
            )
        _leg(leg.port_id, leg.mac, leg.addresses, networks[leg.network_id])
    for hop in spec.gateway.next_hops if spec.gateway else ():
        address(hop)
    for destination, hop in spec.routes:
        network_of(destination)
        address(hop)
    for each in spec.floating:
        _v4(each.floating)
        _v4(each.fixed)


def _leg(port_id: str, hardware: str, addresses: Sequence[tuple[str, str]], on: NetworkSpec) -> None:
    uuid(port_id, "The port's id")
    mac(hardware)
    cidrs = {subnet.subnet_id: network_of(subnet.cidr) for subnet in on.subnets}
    for subnet_id, each in addresses:
        if subnet_id not in cidrs or address_of(each) not in cidrs[subnet_id]:
            raise HostError(f"{each[:64]} is not on a subnet of network {on.network_id}", code="host.refused_value")


def _subnet(subnet: SubnetSpec) -> None:
    uuid(subnet.subnet_id, "The subnet's id")
    cidr = network_of(subnet.cidr)
    gateway = address_of(subnet.gateway) if subnet.gateway is not None else None
    if gateway is not None and gateway not in cidr and not (gateway.version == 6 and gateway.is_link_local):
        raise HostError(f"The gateway {subnet.gateway} is not in {cidr}", code="host.refused_value")
    for server in subnet.dns:
        address_of(server)
    for destination, next_hop in subnet.routes:
        network_of(destination)
        address_of(next_hop)


def port(spec: PortSpec, on: NetworkSpec) -> None:
    """Check a port against the network that it is on. :raises HostError: a value is not of its type."""
    uuid(spec.port_id, "The port's id")
    if spec.network_id != on.network_id:
        raise HostError(f"Port {spec.port_id} is not on network {on.network_id}", code="host.refused_value")
    mac(spec.mac)
    if spec.kind not in KINDS:
        raise HostError(f"A port's kind is tap or veth, not {spec.kind[:64]!r}", code="host.refused_value")
    label(spec.hostname)
    for name, value, version in spec.dhcp_options:
        dhcp_options.line("x", name, value, version)
    cidrs = {subnet.subnet_id: network_of(subnet.cidr) for subnet in on.subnets}
    for subnet_id, address in spec.addresses:
        # A subnet that this record of the network does not know yet is not served, so the address alone must be one.
        if address_of(address) not in cidrs.get(subnet_id, _address_range(address)):
            raise HostError(f"{address} is not in {cidrs[subnet_id]}", code="host.refused_value")


def ports(specs: Sequence[PortSpec], on: NetworkSpec) -> None:
    """Check each of *specs*."""
    for spec in specs:
        port(spec, on)


def network_of(cidr: str) -> Network:
    """Return *cidr* as a network. :raises HostError: it is none, or has host bits set."""
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as error:
        raise HostError(f"This is not a network: {cidr[:64]!r}", code="host.refused_value") from error


def _address_range(address: str) -> Network:
    return ipaddress.ip_network(address)


def mac(value: str) -> str:
    """Return *value* if it is a MAC address in lower case."""
    if not _MAC.fullmatch(value):
        raise HostError(f"This is not a MAC address: {value[:64]!r}", code="host.refused_value")
    return value


def address(value: str) -> str:
    """Return *value* if it is an IP address."""
    return str(address_of(value))


def _v4(value: str) -> None:
    if address_of(value).version != 4:
        raise HostError(f"This is not an IPv4 address: {value[:64]!r}", code="host.refused_value")


def address_of(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise HostError(f"This is not an IP address: {value[:64]!r}", code="host.refused_value") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        # A scope is free text: fe80::1%<anything>.
        raise HostError(f"An address must have no scope: {value[:64]!r}", code="host.refused_value")
    return address

"""What dnsmasq is told about a network: arguments and files as text, made by pure functions from checked values.

It runs in the network's namespace and answers on the leg there, whose addresses say which subnets it serves. Format: dnsmasq(8).
Nothing here is quoted or escaped, since nothing needs to be: ``checks`` has refused all that is not a UUID, a MAC, an IP address or a
host name, and ``dhcp_options`` what is not of its option's type.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec
from nova_lite.host.networks import checks, devices, dhcp_options, rooms
from nova_lite.host.networks.rooms import METADATA_V4

_READ_AS_SOMETHING_ELSE = re.compile(r"\d+[smhdw]?|infinite|ignore|localhost", re.ASCII)
"""Host names that dhcp-host= takes for a lease time or for a command: 45m, 3600, ignore."""

GENERATION = "generation.nova-lite.internal"
"""Below this name DNS tells which version of its files dnsmasq has read."""


@dataclass(frozen=True)
class Settings:
    """What is the same for every network: ``lease_time`` s, the user and group that dnsmasq runs as, resolvers that it asks."""

    domain: str
    lease_time: int
    user: str
    group: str
    resolvers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """The files that dnsmasq reads again when it is told to. ``generation``: a name that DNS knows once it has read these."""

    hosts: str
    options: str
    names: str
    generation: str


def domain(network: NetworkSpec, settings: Settings) -> str:
    """Return the domain of a network's guests: its own, or the cloud's."""
    return checks.domain(network.dns_domain.rstrip(".")) if network.dns_domain.strip(".") else settings.domain


def served(network: NetworkSpec) -> Iterator[tuple[str, SubnetSpec, str]]:
    """Yield (tag, subnet, address of our leg) of each subnet that DHCP answers on."""
    for index, subnet in enumerate(network.subnets):
        own = rooms.leg_address(network.dhcp, subnet.subnet_id)
        if own is not None and subnet.enable_dhcp:
            yield f"s{index}", subnet, own


def arguments(network: NetworkSpec, directory: Path, settings: Settings) -> list[str]:
    """Return dnsmasq's whole command line.

    It answers DHCP for the hosts in *directory*/hosts and nobody else, and DNS for their names; other names are asked of the resolvers.
    """
    own = domain(network, settings)
    size = sum(ipaddress.ip_network(subnet.cidr).num_addresses for _, subnet, _ in served(network))
    argv = [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        *(f"--server={server}" for server in settings.resolvers),
        "--bind-dynamic",
        f"--interface={devices.leg_name(network.number)}",
        "--except-interface=lo",
        f"--pid-file={directory / 'dnsmasq.pid'}",
        f"--dhcp-hostsfile={directory / 'hosts'}",
        f"--dhcp-optsfile={directory / 'options'}",
        f"--addn-hosts={directory / 'names'}",
        f"--dhcp-leasefile={directory / 'leases'}",
        f"--dhcp-lease-max={min(max(size, 16), 1 << 20)}",
        "--dhcp-ignore=tag:!known",
        "--dhcp-authoritative",
        "--no-ping",
        "--domain-needed",
        "--bogus-priv",
        "--expand-hosts",
        f"--domain={own}",
        f"--local=/{own}/",
        f"--local=/{GENERATION}/",
        f"--user={settings.user}",
        f"--group={settings.group}",
    ]
    for tag, subnet, address in served(network):
        if rooms.is_v4(subnet.cidr):
            argv += _v4_arguments(tag, subnet, address, network.mtu, settings.lease_time)
        elif subnet.address_mode != "slaac":
            argv += _v6_arguments(tag, subnet, address, own, settings.lease_time)
    return argv


def _v4_arguments(tag: str, subnet: SubnetSpec, own: str, mtu: int, lease_time: int) -> list[str]:
    cidr = ipaddress.IPv4Network(subnet.cidr)
    dns = [server for server in subnet.dns if rooms.is_v4(server)] or [own]
    routes = [(destination, hop) for destination, hop in subnet.routes if rooms.is_v4(destination)]
    if all(destination != f"{METADATA_V4}/32" for destination, _ in routes):
        routes.append((f"{METADATA_V4}/32", own))
    if subnet.gateway is not None:
        # RFC 3442: who takes option 121 ignores the router option, so the default route stands here too.
        routes.append(("0.0.0.0/0", subnet.gateway))
    text = ",".join(f"{destination},{hop}" for destination, hop in routes)
    return [
        f"--dhcp-range=set:{tag},{cidr.network_address},static,{cidr.netmask},{lease_time}s",
        # With no gateway an empty option: dnsmasq would give its own address.
        f"--dhcp-option=tag:{tag},option:router" + (f",{subnet.gateway}" if subnet.gateway else ""),
        f"--dhcp-option=tag:{tag},option:dns-server,{','.join(dns)}",
        # Forced: a client that does not ask for it would send frames that the network drops.
        f"--dhcp-option-force=tag:{tag},option:mtu,{mtu}",
        f"--dhcp-option=tag:{tag},option:classless-static-route,{text}",
        f"--dhcp-option=tag:{tag},249,{text}",
    ]


def _v6_arguments(tag: str, subnet: SubnetSpec, own: str, search: str, lease_time: int) -> list[str]:
    cidr = ipaddress.IPv6Network(subnet.cidr)
    dns = [server for server in subnet.dns if not rooms.is_v4(server)] or [own]
    return [
        f"--dhcp-range=set:{tag},{cidr.network_address},static,{cidr.prefixlen},{lease_time}s",
        f"--dhcp-option=tag:{tag},option6:dns-server,{','.join(f'[{server}]' for server in dns)}",
        f"--dhcp-option=tag:{tag},option6:domain-search,{search}",
    ]


def files(network: NetworkSpec, ports: Sequence[PortSpec], settings: Settings) -> Files:
    """Return the files for the ports of this host; DNS knows the network's ports on other hosts too."""
    hosts = _hosts(network, ports)
    options = "".join(
        f"{dhcp_options.line(_tag(port), name, value, version)}\n"
        for port in ports
        for name, value, version in port.dhcp_options
    )
    names = _names(network, ports)
    digest = hashlib.sha256("\0".join((hosts, options, names)).encode()).hexdigest()
    generation = f"{digest[:24]}.{GENERATION}"
    return Files(hosts, options, f"{names}{METADATA_V4} {generation}\n", generation)


def _hosts(network: NetworkSpec, ports: Sequence[PortSpec]) -> str:
    """``mac,id:*,set:tag,address,[IPv6 address],name`` a line. ``id:*``: the MAC alone tells who it is.

    A second IPv4 address has a line of its own.
    """
    lines = []
    subnets = {subnet.subnet_id: subnet for _, subnet, _ in served(network)}
    for port in ports:
        name = checks.label(port.hostname)
        tags = [f"set:{_tag(port)}"] if port.dhcp_options else []
        shown = [] if _READ_AS_SOMETHING_ELSE.fullmatch(name) else [name]
        mine = [(subnets[subnet_id], address) for subnet_id, address in port.addresses if subnet_id in subnets]
        v4 = [address for _, address in mine if rooms.is_v4(address)]
        v6 = [f"[{address}]" for subnet, address in mine if subnet.address_mode == "dhcpv6-stateful"]
        if v4 or any(subnet.address_mode in ("dhcpv6-stateful", "dhcpv6-stateless") for subnet, _ in mine):
            lines.append(",".join([port.mac, "id:*", *tags, *v4[:1], *v6, *shown]))
        lines += [",".join([port.mac, "id:*", *tags, address, *shown]) for address in v4[1:]]
    return "".join(f"{line}\n" for line in lines)


def _names(network: NetworkSpec, ports: Sequence[PortSpec]) -> str:
    """``address name`` a line; dnsmasq adds the domain. Nobody may be ``localhost``."""
    known = [(address, port.hostname) for port in ports for _, address in port.addresses]
    macs = {port.mac for port in ports}
    known += [(a, port.hostname) for port in network.remote if port.mac not in macs for a in port.addresses]
    pairs = ((address, checks.label(hostname)) for address, hostname in known if hostname and "/" not in address)
    return "".join(f"{address} {name}\n" for address, name in pairs if name != "localhost")


def leases(network: NetworkSpec, ports: Sequence[PortSpec]) -> frozenset[tuple[str, str]]:
    """Return the (MAC, address) pairs that may have a lease."""
    subnets = {subnet.subnet_id for _, subnet, _ in served(network)}
    return frozenset((port.mac, address) for port in ports for subnet, address in port.addresses if subnet in subnets)


def _tag(port: PortSpec) -> str:
    return f"p{port.port_id.replace('-', '')[:12]}"

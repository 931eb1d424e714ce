"""What dnsmasq is told about a network: arguments and files as text, made by pure functions from checked values.

Format: dnsmasq(8). Nothing here is quoted or escaped, since nothing needs to be: ``checks`` has refused all
that is not a UUID, a MAC, an IP address or a host name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec
from nova_lite.host.networks import checks, devices

_READ_AS_SOMETHING_ELSE = re.compile(r"\d+[smhdw]?|infinite|ignore|localhost", re.ASCII)
"""Host names that dhcp-host= takes for a lease time or for a command: 45m, 3600, ignore."""


@dataclass(frozen=True)
class Settings:
    """What is the same for every network: ``lease_time`` s, and the user and group that dnsmasq runs as."""

    domain: str
    lease_time: int
    user: str
    group: str


def is_served(network: NetworkSpec) -> bool:
    """Say whether dnsmasq has an address to serve this network from: the gateway of an IPv4 subnet."""
    return any(_is_served(subnet) for subnet in network.subnets)


def _is_served(subnet: SubnetSpec) -> bool:
    return subnet.gateway is not None and ipaddress.ip_network(subnet.cidr).version == 4


def arguments(network: NetworkSpec, directory: Path, settings: Settings) -> list[str]:
    """Return dnsmasq's whole command line.

    It is bound to the bridge alone, reads no file of the host's but /etc/resolv.conf, answers DHCP for the hosts in
    *directory*/hosts and nobody else, and DNS for their names; other names are asked of the host's resolvers.
    """
    bridge = devices.bridge_name(network.number)
    size = sum(ipaddress.ip_network(subnet.cidr).num_addresses for subnet in network.subnets if _is_served(subnet))
    argv = [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--bind-interfaces",
        f"--interface={bridge}",
        "--except-interface=lo",
        f"--pid-file={directory / 'dnsmasq.pid'}",
        f"--dhcp-hostsfile={directory / 'hosts'}",
        f"--addn-hosts={directory / 'names'}",
        f"--dhcp-leasefile={directory / 'leases'}",
        f"--dhcp-lease-max={min(size, 1 << 20)}",
        "--dhcp-ignore=tag:!known",
        "--dhcp-authoritative",
        "--no-ping",
        "--domain-needed",
        "--bogus-priv",
        "--expand-hosts",
        f"--domain={settings.domain}",
        f"--local=/{settings.domain}/",
        f"--user={settings.user}",
        f"--group={settings.group}",
    ]
    for index, subnet in enumerate(subnet for subnet in network.subnets if _is_served(subnet)):
        if subnet.enable_dhcp:
            argv += _subnet_arguments(f"s{index}", subnet, network.mtu, settings.lease_time)
    return argv


def _subnet_arguments(tag: str, subnet: SubnetSpec, mtu: int, lease_time: int) -> list[str]:
    cidr = ipaddress.IPv4Network(subnet.cidr)
    dns = [server for server in subnet.dns if ":" not in server] or [str(subnet.gateway)]
    argv = [
        f"--dhcp-range=set:{tag},{cidr.network_address},static,{cidr.netmask},{lease_time}s",
        f"--dhcp-option=tag:{tag},option:router,{subnet.gateway}",
        f"--dhcp-option=tag:{tag},option:dns-server,{','.join(dns)}",
        # Forced: a client that does not ask for it would send frames that the network drops.
        f"--dhcp-option-force=tag:{tag},option:mtu,{mtu}",
    ]
    routes = [(destination, hop) for destination, hop in subnet.routes if ":" not in destination]
    if routes:
        # RFC 3442: who takes option 121 ignores the router option, so the default route stands here too.
        text = ",".join(f"{destination},{hop}" for destination, hop in [*routes, ("0.0.0.0/0", str(subnet.gateway))])
        argv.append(f"--dhcp-option=tag:{tag},option:classless-static-route,{text}")
    return argv


def hosts(network: NetworkSpec, ports: Sequence[PortSpec]) -> str:
    """Return the dhcp-hostsfile: ``mac,id:*,address,name`` a line. ``id:*``: the MAC alone tells who it is."""
    lines = []
    for port, address in _served(network, ports):
        name = checks.label(port.hostname)
        fields = [port.mac, "id:*", address]
        if not _READ_AS_SOMETHING_ELSE.fullmatch(name):
            fields.append(name)
        lines.append(",".join(fields))
    return "".join(f"{line}\n" for line in lines)


def names(network: NetworkSpec, ports: Sequence[PortSpec]) -> str:
    """Return the addn-hosts file: ``address name`` a line; dnsmasq adds the domain. Nobody may be ``localhost``."""
    pairs = ((address, checks.label(port.hostname)) for port, address in _served(network, ports))
    return "".join(f"{address} {name}\n" for address, name in pairs if name != "localhost")


def leases(network: NetworkSpec, ports: Sequence[PortSpec]) -> set[tuple[str, str]]:
    """Return the (MAC, address) pairs that may have a lease."""
    return {(port.mac, address) for port, address in _served(network, ports)}


def served_address(network: NetworkSpec, port: PortSpec) -> str | None:
    """Return the first address of *port* that dnsmasq knows; None: none."""
    return next((address for _, address in _served(network, [port])), None)


def _served(network: NetworkSpec, ports: Sequence[PortSpec]) -> list[tuple[PortSpec, str]]:
    served = {subnet.subnet_id for subnet in network.subnets if _is_served(subnet)}
    return [(port, address) for port in ports for subnet_id, address in port.addresses if subnet_id in served]

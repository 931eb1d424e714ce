"""What a host's networks shall be, as plain data: all of it, made from database rows alone, the same each time.

The agent reads one :class:`HostState` and ``nova_lite.host.networks`` makes the host so: what differs is changed, what is right
is not touched. Addresses are text without prefix length unless they are called ``cidr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SubnetSpec:
    """A subnet. ``cidr`` 10.0.0.0/24. ``gateway`` None: none. ``routes``: (destination cidr, next hop).

    ``ra_mode`` and ``address_mode``: slaac, dhcpv6-stateless, dhcpv6-stateful or None (IPv4, or IPv6 that nobody here announces).
    """

    subnet_id: str
    cidr: str
    gateway: str | None
    enable_dhcp: bool
    dns: tuple[str, ...]
    routes: tuple[tuple[str, str], ...] = ()
    ra_mode: str | None = None
    address_mode: str | None = None


@dataclass(frozen=True)
class ServiceLeg:
    """A leg of ours in a network: MAC and (subnet id, address) pairs, the same on every host."""

    port_id: str
    mac: str
    addresses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RemotePort:
    """A port of the network on another host: where VXLAN sends what is for ``mac``. ``host_address`` is that host's end of the tunnel.

    ``hostname`` is what DNS here answers for ``addresses``; empty: nothing.
    """

    mac: str
    addresses: tuple[str, ...]
    host_address: str
    hostname: str = ""


@dataclass(frozen=True)
class NetworkSpec:
    """A network. ``number`` names its bridge (``nl-br<number>``) and namespace, and is a vxlan network's VNI.

    ``kind`` is vxlan, flat, vlan or local. ``dhcp`` is the leg that DHCP, DNS and metadata answer on (None: the network has no subnet with
    DHCP). ``remote`` are its ports on other hosts, ``remote_hosts`` the tunnel ends that broadcasts go to.
    """

    network_id: str
    number: int
    mtu: int
    subnets: tuple[SubnetSpec, ...]
    kind: str = "vxlan"
    physical_network: str | None = None
    vlan: int | None = None
    external: bool = False
    dns_domain: str = ""
    dhcp: ServiceLeg | None = None
    remote: tuple[RemotePort, ...] = ()
    remote_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class QosSpec:
    """Bandwidth limits in kbit/s and kbit; None: no limit that way. Egress is what the guest sends."""

    egress_kbps: int | None = None
    egress_burst_kb: int = 0
    ingress_kbps: int | None = None
    ingress_burst_kb: int = 0


@dataclass(frozen=True)
class PortSpec:
    """A port of a guest on this host. ``addresses``: (subnet id, address without prefix). ``kind``: ``tap`` for what QEMU runs, ``veth`` for a libvirt-LXC container.

    ``secured``: anti-spoofing and ``group_ids`` are in force (port security); off: anything may pass. ``pairs``: (MAC or "" for its own,
    cidr) that it may also send from. ``dhcp_options``: (option name or number, value, IP version 4 or 6).
    """

    port_id: str
    server_id: str
    network_id: str
    mac: str
    hostname: str
    addresses: tuple[tuple[str, str], ...]
    kind: str
    secured: bool = True
    group_ids: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    dhcp_options: tuple[tuple[str, str, int], ...] = ()
    qos: QosSpec | None = None
    up: bool = True
    """The port's ``admin_state_up``, and its network's: down, nothing passes."""


@dataclass(frozen=True)
class RouterLeg:
    """A router's port in one of the networks that it joins; address and MAC are the same on every host (anycast)."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GatewayLeg:
    """This host's leg of a router in its external network, with an address of this host's own; ``next_hops``: the subnets' gateways."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[tuple[str, str], ...]
    next_hops: tuple[str, ...]


@dataclass(frozen=True)
class FloatingSpec:
    """``floating`` leads to ``fixed``, the address of a guest on this host.

    ``shared``: the address is none of a port's own, but in allowed pairs of ports here; the floating IP is here while one of them answers for it.
    """

    floating_ip_id: str
    floating: str
    fixed: str
    qos: QosSpec | None = None
    shared: bool = False


@dataclass(frozen=True)
class RouterSpec:
    """A router's part on this host. ``routes``: (destination cidr, next hop). ``snat``: guests without a floating IP leave by the gateway leg's address."""

    router_id: str
    legs: tuple[RouterLeg, ...]
    gateway: GatewayLeg | None = None
    snat: bool = True
    routes: tuple[tuple[str, str], ...] = ()
    floating: tuple[FloatingSpec, ...] = ()
    up: bool = True


@dataclass(frozen=True)
class RuleSpec:
    """What a group lets pass. None: any. For ICMP ``port_min`` is the type and ``port_max`` the code.

    ``direction`` ingress or egress; ``version`` 4 or 6; ``protocol`` a protocol number.
    """

    rule_id: str
    direction: str
    version: int
    protocol: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_cidr: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None


@dataclass(frozen=True)
class GroupSpec:
    """A security group that a port of this host is in."""

    group_id: str
    rules: tuple[RuleSpec, ...]
    stateful: bool = True


@dataclass(frozen=True)
class HostState:
    """All that a host's networks shall be. Ports' order is that of their ids; keys are ids.

    ``members``: the addresses (of either version, allowed pairs' cidrs among them) of all ports in each group that a rule here names as remote;
    ``address_groups`` likewise their cidrs.
    """

    networks: Mapping[str, NetworkSpec] = field(default_factory=dict)
    ports: Mapping[str, PortSpec] = field(default_factory=dict)
    routers: Mapping[str, RouterSpec] = field(default_factory=dict)
    groups: Mapping[str, GroupSpec] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    address_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

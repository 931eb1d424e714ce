"""Networks of type flat and vlan: how they are joined to what this host is plugged into.

``[network] physical_networks`` names this host's interfaces. One without an interface means that the host itself is the outside
(see ``outside``).
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices, links
from nova_lite.host.ports import HostError

_ENTRY = re.compile(r"([A-Za-z0-9_.-]{1,64}):([A-Za-z0-9_.-]{0,15})", re.ASCII)


@dataclass(frozen=True)
class Uplink:
    """The port of a network's bridge that leads out: ``interface`` itself, or with ``vlan`` a device of its own on it."""

    interface: str
    bridge: str
    mtu: int
    vlan: int | None = None
    vlan_device: str = ""


def parse(entries: Sequence[str]) -> dict[str, str]:
    """Return interfaces by the physical network's name; empty: the host is the outside. :raises HostError: an entry is none."""
    found = {}
    for entry in entries:
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise HostError(f"[network] physical_networks has NAME:INTERFACE entries, not {entry[:64]!r}")
        found[match[1]] = match[2]
    return found


def is_outside(network: NetworkSpec, physical: Mapping[str, str]) -> bool:
    """Say whether the host itself is the outside of *network*."""
    return network.kind in ("flat", "vlan") and physical.get(network.physical_network or "") == ""


def wanted(network: NetworkSpec, physical: Mapping[str, str]) -> Uplink | None:
    """Return how a network is joined to an interface; None: it is not. :raises HostError: this host is not on that network."""
    if network.kind not in ("flat", "vlan"):
        return None
    interface = physical.get(network.physical_network or "")
    if interface is None:
        raise HostError(
            f"This host is not on the physical network {network.physical_network}: [network] physical_networks says which"
        )
    if not interface:
        return None
    bridge = devices.bridge_name(network.number)
    if network.kind == "flat":
        return Uplink(interface, bridge, network.mtu)
    return Uplink(interface, bridge, network.mtu, network.vlan, devices.vlan_name(network.number))


def ensure(ip: IPRoute, uplink: Uplink) -> None:
    """Have the uplink on the bridge, up.

    :raises HostError: there is no such interface, it is in use, it is too narrow, or the kernel has no VLAN devices.
    """
    found = links.find(ip, uplink.interface)
    if found is None:
        raise HostError(f"This host has no interface {uplink.interface}, which [network] physical_networks names")
    if found.mtu < uplink.mtu:
        raise HostError(
            f"The interface {uplink.interface} has an MTU of {found.mtu}, and the network one of {uplink.mtu}"
        )
    if not found.up:
        ip.link("set", index=found.index, state="up")
    if uplink.vlan is None:
        _refuse_used(ip, found, uplink)
        links.attach(ip, uplink.interface, uplink.bridge, found.mtu, up=True)
        return
    if links.find(ip, uplink.vlan_device) is None:
        _make_vlan(ip, uplink, found.index)
        links.silence_ipv6(uplink.vlan_device)
    links.attach(ip, uplink.vlan_device, uplink.bridge, uplink.mtu, up=True)


def _refuse_used(ip: IPRoute, found: links.Link, uplink: Uplink) -> None:
    bridge = links.find(ip, uplink.bridge)
    if bridge is not None and found.bridge == bridge.index:
        return
    if found.bridge:
        owner = next(iter(ip.get_links(found.bridge))).get_attr("IFLA_IFNAME")
        if devices.bridge_number(owner) is None:
            raise HostError(f"The interface {found.name} is in use: it belongs to {owner}")
    # What has an address is how somebody reaches this host.
    if any(True for _ in ip.get_addr(index=found.index, family=socket.AF_INET)):
        raise HostError(f"The interface {found.name} has an address of the host's own; a flat network takes all of it")


def _make_vlan(ip: IPRoute, uplink: Uplink, parent: int) -> None:
    try:
        ip.link("add", ifname=uplink.vlan_device, kind="vlan", link=parent, vlan_id=uplink.vlan)
    except NetlinkError as error:
        if error.code == errno.EOPNOTSUPP:
            raise HostError(
                "This host's kernel has no VLAN devices (module 8021q), so it can't be on networks of type vlan",
                code="host.no_vlan",
            ) from error
        if error.code == errno.EEXIST:
            raise HostError(
                f"VLAN {uplink.vlan} of {uplink.interface} is in use by another device of this host"
            ) from error
        raise

"""Bridges and ports' devices, by netlink: each function runs in the thread that owns the socket.

Each makes what is wanted out of whatever is there, so that it may be called again after it was cut off.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices
from nova_lite.host.ports import HostError

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_UP = 1


@dataclass(frozen=True)
class Link:
    """A network device: ``kind`` is tun, veth, bridge, …, or empty; ``bridge`` the index of its bridge, 0: none."""

    index: int
    name: str
    kind: str
    up: bool
    mtu: int
    bridge: int


def find(ip: IPRoute, name: str) -> Link | None:
    """Return the device called *name*, or None."""
    try:
        return _link(next(iter(ip.link("get", ifname=name))))
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise


def ours(ip: IPRoute) -> list[Link]:
    """Return every device whose name says that it is ours."""
    return [_link(raw) for raw in ip.get_links() if str(raw.get_attr("IFLA_IFNAME")).startswith(devices.PREFIX)]


def _link(raw: object) -> Link:
    get = raw.get_attr  # type: ignore[attr-defined]
    info = get("IFLA_LINKINFO")
    return Link(
        index=raw["index"],  # type: ignore[index]
        name=get("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") or "") if info else "",
        up=bool(raw["flags"] & IFF_UP),  # type: ignore[index]
        mtu=get("IFLA_MTU"),
        bridge=get("IFLA_MASTER") or 0,
    )


def ensure_bridge(ip: IPRoute, network: NetworkSpec) -> bool:
    """Have the network's bridge up with its gateways' addresses; True: it was made, or its addresses changed.

    No STP: there is nothing to loop with, and a port must forward at once. No IPv6 of the host's own on it: guests
    have no business with the host's link-local address. A stale address of ours is removed, others' devices never touched.

    :raises HostError: an address range of the network is on another interface of this host already.
    """
    name = devices.bridge_name(network.number)
    wanted = gateways(network)
    present = _addresses(ip)
    found = find(ip, name)
    _refuse_overlap(wanted, {k: v for k, v in present.items() if not found or v != found.index}, ip)
    made = found is None
    if found is None:
        mac = devices.bridge_mac(network.number)
        ip.link("add", ifname=name, kind="bridge", br_stp_state=0, br_forward_delay=0, address=mac, mtu=network.mtu)
        found = find(ip, name)
        if found is None:
            raise HostError(f"The bridge {name} was removed while it was being made")
        silence_ipv6(name)
    elif found.mtu != network.mtu:
        ip.link("set", index=found.index, mtu=network.mtu)
    has = {address for address, index in present.items() if index == found.index}
    for address in has - wanted:
        ip.addr("del", index=found.index, address=str(address.ip), prefixlen=address.network.prefixlen)
    for address in wanted - has:
        broadcast = str(address.network.broadcast_address)
        ip.addr(
            "add", index=found.index, address=str(address.ip), prefixlen=address.network.prefixlen, broadcast=broadcast
        )
    if not found.up:
        ip.link("set", index=found.index, state="up")
    return made or has != wanted


def gateways(network: NetworkSpec) -> set[ipaddress.IPv4Interface]:
    """Return the addresses that the host has on the bridge: each IPv4 subnet's gateway with its prefix length."""
    found = set()
    for subnet in network.subnets:
        cidr = ipaddress.ip_network(subnet.cidr)
        if subnet.gateway is not None and cidr.version == 4:
            found.add(ipaddress.IPv4Interface(f"{subnet.gateway}/{cidr.prefixlen}"))
    return found


def _addresses(ip: IPRoute) -> dict[ipaddress.IPv4Interface, int]:
    found = {}
    for raw in ip.get_addr(family=socket.AF_INET):
        # On a point-to-point device IFA_ADDRESS is the other end.
        address = raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS")
        found[ipaddress.IPv4Interface(f"{address}/{raw['prefixlen']}")] = raw["index"]
    return found


def _refuse_overlap(
    wanted: set[ipaddress.IPv4Interface], others: dict[ipaddress.IPv4Interface, int], ip: IPRoute
) -> None:
    for mine in wanted:
        for other, index in others.items():
            if mine.network.overlaps(other.network):
                links = list(ip.get_links(index))
                device = links[0].get_attr("IFLA_IFNAME") if links else f"interface {index}"
                raise HostError(
                    f"The network {mine.network} overlaps with {other} on {device} of this host;"
                    " choose another address range for it",
                    code="host.address_range_taken",
                )


def ensure_tap(ip: IPRoute, name: str, bridge: str, mtu: int) -> None:
    """Have a persistent tap of one queue on *bridge*, up.

    Whoever attaches to it sets IFF_VNET_HDR as it likes (the kernel takes the flags of the last attach); only the number
    of queues must agree, and libvirt asks for one queue unless told otherwise.
    """
    found = find(ip, name)
    if found is not None and found.kind != "tun":
        ip.link("del", index=found.index)
        found = None
    if found is None:
        make_tap(name)
        silence_ipv6(name)
        found = find(ip, name)
        if found is None:
            raise HostError(f"The tap {name} was removed while it was being made")
    owner = find(ip, bridge)
    if owner is None:
        raise HostError(f"The bridge {bridge} is not there")
    if found.mtu != mtu:
        ip.link("set", index=found.index, mtu=mtu)
    if found.bridge != owner.index:
        ip.link("set", index=found.index, master=owner.index)
    if not found.up:
        ip.link("set", index=found.index, state="up")


def make_tap(name: str) -> None:
    """Make a persistent tap in this thread's namespace. :raises OSError: no /dev/net/tun, or not allowed."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(fd, TUNSETPERSIST, 1)
    finally:
        os.close(fd)


def silence_ipv6(name: str) -> None:
    """Keep the host from sending IPv6 of its own (router solicitations, MLD) through *name*; guests' IPv6 is bridged."""
    setting = Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
    if setting.exists():
        setting.write_text("1")


def remove(ip: IPRoute, name: str) -> None:
    """Remove a device; none there is success."""
    found = find(ip, name)
    if found is None:
        return
    try:
        ip.link("del", index=found.index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise


def default_interfaces(ip: IPRoute) -> list[str]:
    """Return the names of the interfaces that IPv4 default routes leave by."""
    indices = set()
    for route in ip.get_default_routes(family=socket.AF_INET, table=254):
        hops = route.get_attr("RTA_MULTIPATH") or []
        indices |= {route.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)}
    names = [link.get_attr("IFLA_IFNAME") for index in indices if index for link in ip.get_links(index)]
    return sorted(str(name) for name in names)

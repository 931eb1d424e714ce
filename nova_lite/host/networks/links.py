"""Bridges and ports' devices on the host, by netlink: each function runs in the thread that owns the socket.

Each makes what is wanted out of whatever is there, so that it may be called again after it was cut off.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.networks import devices
from nova_lite.host.ports import HostError

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_UP = 1
REMOVED_AT_ONCE = 200
"""Nothing else can change devices meanwhile."""


@dataclass(frozen=True)
class Link:
    """A network device: ``kind`` is tun, veth, bridge, …, or empty; ``bridge`` the index of its bridge, 0: none."""

    index: int
    name: str
    kind: str
    up: bool
    mtu: int
    bridge: int


@dataclass(frozen=True)
class Bridge:
    """A bridge as it shall be. ``addresses`` (with prefix length): the host's own, where the host is a network's outside.

    ``ipv6``: the bridge must know neighbours of IPv6, if only to answer for them.
    """

    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...] = ()
    ipv6: bool = False


@dataclass(frozen=True)
class Tap:
    """A port's device as it shall be. ``make``: False where libvirt makes it (a container's veth)."""

    name: str
    bridge: str
    mtu: int
    up: bool
    make: bool


def index_of(name: str) -> int | None:
    """Return a device's index in this thread's namespace; None: there is none. A fiftieth of the time that :func:`find` takes."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


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


def ensure_bridge(ip: IPRoute, bridge: Bridge) -> bool:
    """Have the bridge up; True: it was made.

    No STP: there is nothing to loop with, and a port must forward at once. No multicast snooping: it would forget who listens to
    neighbour discovery. br_netfilter looks at IPv4 and IPv6 of this bridge, whatever it does with the host's others.
    """
    made = index_of(bridge.name) is None
    if made:
        ip.link("add", **_bridge_attributes(bridge))
        silence_ipv6(bridge.name)
        index, is_up = _there(bridge.name), False
    else:
        found = find(ip, bridge.name)
        if found is None:
            raise HostError(f"The device {bridge.name} was removed while it was looked at")
        index, is_up = found.index, found.up
        if found.mtu != bridge.mtu:
            ip.link("set", index=index, mtu=bridge.mtu)
    if bridge.ipv6:
        _hear_ipv6(bridge.name)
    if bridge.addresses or not made:
        _ensure_addresses(ip, index, {ipaddress.ip_interface(text) for text in bridge.addresses})
    if not is_up:
        ip.link("set", index=index, state="up")
    return made


def _bridge_attributes(bridge: Bridge) -> dict[str, Any]:
    return {
        "ifname": bridge.name,
        "kind": "bridge",
        "address": bridge.mac,
        "mtu": bridge.mtu,
        "br_stp_state": 0,
        "br_forward_delay": 0,
        "br_mcast_snooping": 0,
        "br_nf_call_iptables": 1,
        "br_nf_call_ip6tables": 1,
    }


def _ensure_addresses(ip: IPRoute, index: int, wanted: set[ipaddress.IPv4Interface | ipaddress.IPv6Interface]) -> None:
    has = set()
    for raw in ip.get_addr(index=index):
        text = raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS")
        address = ipaddress.ip_interface(f"{text}/{raw['prefixlen']}")
        if not address.ip.is_link_local:
            has.add(address)
    for address in has - wanted:
        ip.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
    for address in wanted - has:
        ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)


def taken(ip: IPRoute, addresses: tuple[str, ...], besides: str) -> str | None:
    """Say what of the host's own has the address range of one of *addresses*; None: nothing has. *besides*: a device that may."""
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in ip.get_links()} if addresses else {}
    for raw in ip.get_addr() if addresses else ():
        text = raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS")
        other = ipaddress.ip_interface(f"{text}/{raw['prefixlen']}")
        for mine in map(ipaddress.ip_interface, addresses):
            if names.get(raw["index"]) != besides and mine.version == other.version and _overlap(mine, other):
                return f"The network {mine.network} overlaps with {other} on {names.get(raw['index'])} of this host"
    return None


def _overlap(
    one: ipaddress.IPv4Interface | ipaddress.IPv6Interface, other: ipaddress.IPv4Interface | ipaddress.IPv6Interface
) -> bool:
    return int(one.network[0]) <= int(other.network[-1]) and int(other.network[0]) <= int(one.network[-1])


def ensure_tap(ip: IPRoute, tap: Tap) -> bool:
    """Have a persistent tap of one queue, not yet on its bridge if it is new; True: it was made.

    Whoever attaches to it sets IFF_VNET_HDR as it likes (the kernel takes the flags of the last attach); only the number
    of queues must agree, and libvirt asks for one queue unless told otherwise.
    """
    if not tap.make:
        return False
    found = find(ip, tap.name) if index_of(tap.name) is not None else None
    if found is not None and found.kind != "tun":
        ip.link("del", index=found.index)
        found = None
    if found is None:
        make_tap(tap.name)
        silence_ipv6(tap.name)
    return found is None


def is_right(tap: Tap, found: Link | None, bridge: Link | None) -> bool:
    """Say whether a port's device is as it shall be; one that libvirt makes may be absent."""
    if found is None:
        return not tap.make
    kind = found.kind == "tun" or not tap.make
    return kind and bridge is not None and (found.bridge, found.mtu, found.up) == (bridge.index, tap.mtu, tap.up)


def join(ip: IPRoute, name: str, bridge: str, mtu: int, *, up: bool) -> None:
    """Have a device that was just made on *bridge*, in one message. :raises HostError: one of the two was removed meanwhile."""
    ip.link("set", index=_there(name), mtu=mtu, master=_there(bridge), state="up" if up else "down")


def attach(ip: IPRoute, name: str, bridge: str, mtu: int, *, up: bool) -> None:
    """Have a device on *bridge*, up or down; touched only where it is not so. No such device: nothing to do."""
    found = find(ip, name) if index_of(name) is not None else None
    if found is None:
        return
    owner = index_of(bridge)
    if owner is None:
        raise HostError(f"The bridge {bridge} is not there")
    if found.mtu != mtu:
        ip.link("set", index=found.index, mtu=mtu)
    if found.bridge != owner:
        ip.link("set", index=found.index, master=owner)
    if found.up != up:
        ip.link("set", index=found.index, state="up" if up else "down")


def _there(name: str) -> int:
    index = index_of(name)
    if index is None:
        raise HostError(f"The device {name} was removed while it was being made")
    return index


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
    _set(name, "disable_ipv6", "1")


def _hear_ipv6(name: str) -> None:
    """Let the kernel have neighbours of IPv6 on *name*, with no address of its own but those given."""
    for setting, value in (("addr_gen_mode", "1"), ("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")):
        _set(name, setting, value)


def _set(name: str, setting: str, value: str) -> None:
    path = Path("/proc/sys/net/ipv6/conf", name, setting)
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)


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


def remove_all(ip: IPRoute, names: Sequence[str]) -> None:
    """Remove devices, in this order; none there is success.

    The kernel waits for all its processors whenever a device goes (30 ms), but once for all of a group: so they are put into one.
    """
    there = {name: index for index, name in socket.if_nameindex()}
    for start in range(0, len(names), REMOVED_AT_ONCE):
        indices = [there[name] for name in names[start : start + REMOVED_AT_ONCE] if name in there]
        # A number that nobody else has given to a device.
        group = secrets.randbelow(1 << 30) + (1 << 30)
        for index in indices:
            try:
                ip.link("set", index=index, group=group)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise
        try:
            ip.link("del", group=group)
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

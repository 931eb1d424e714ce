"""Bring the inside of a namespace to what it shall be: devices, addresses, routes, settings. Only what differs is touched.

Runs in a thread that has entered the namespace. What the kernel does of itself (link-local addresses, the routes of a subnet) is left alone.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.networks.place import Place
from nova_lite.host.networks.rooms import Leg, Room, Route
from nova_lite.host.ports import HostError

IFA_F_NODAD = 0x02
IFF_UP = 1
MAIN_TABLE = 254
UNICAST = 1
KERNEL, RA = 2, 9
"""Protocols of routes that the kernel makes itself."""

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
LINK_LOCAL = ipaddress.IPv6Network("fe80::/10")


@dataclass(frozen=True)
class Inner:
    """A device as it is in the namespace."""

    index: int
    mac: str
    mtu: int
    up: bool


def devices(ip: IPRoute) -> dict[str, Inner]:
    """Return the namespace's devices by name."""
    return {
        raw.get_attr("IFLA_IFNAME"): Inner(
            raw["index"], raw.get_attr("IFLA_ADDRESS") or "", raw.get_attr("IFLA_MTU"), bool(raw["flags"] & IFF_UP)
        )
        for raw in ip.get_links()
    }


def settings(place: Place, room: Room) -> bool:
    """Set what is not set; True: something was."""
    return _set(place, room.settings)


def leg_settings(place: Place, room: Room) -> bool:
    """Set what is a leg's own, once it is there; True: something was changed."""
    return _set(place, [(f"ipv4/conf/{leg.name}/arp_accept", str(int(leg.learns))) for leg in room.legs])


def _set(place: Place, wanted: Iterable[tuple[str, str]]) -> bool:
    changed = False
    for name, value in wanted:
        path = name.split("/")
        try:
            if place.read_sysctl(*path) != value:
                place.write_sysctl(value, *path)
                changed = True
        except FileNotFoundError:
            if not name.startswith("ipv6/"):  # A kernel without IPv6 has nothing to set.
                raise
    return changed


def links(ip: IPRoute, room: Room, found: Mapping[str, Inner]) -> bool:
    """Have each leg up with its MAC and MTU, and no other device; True: something was changed.

    :param found: the namespace's devices, here and below.
    """
    changed = False
    wanted = {leg.name: leg for leg in room.legs}
    for name, device in found.items():
        if name not in wanted and name != "lo" and not _is_the_kernels(name):
            ip.link("del", index=device.index)
            changed = True
    for leg in room.legs:
        device = found[leg.name]
        if device.mac != leg.mac:
            # Neighbours would be told of an address that is not there any more: down, changed, up.
            ip.link("set", index=device.index, state="down")
            ip.link("set", index=device.index, address=leg.mac)
            device = Inner(device.index, leg.mac, device.mtu, False)
            changed = True
        if device.mtu != leg.mtu:
            ip.link("set", index=device.index, mtu=leg.mtu)
            changed = True
        if not device.up:
            ip.link("set", index=device.index, state="up")
            changed = True
    if not found["lo"].up:
        ip.link("set", index=found["lo"].index, state="up")
        changed = True
    return changed


def _is_the_kernels(name: str) -> bool:
    # What the modules of tunnels put into each new namespace.
    return name.rstrip("0123456789") in (
        "tunl",
        "gre",
        "gretap",
        "erspan",
        "sit",
        "ip_vti",
        "ip",
        "ip6tnl",
        "ip6gre",
        "ip6_vti",
    )


def addresses(
    ip: IPRoute, room: Room, found: Mapping[str, Inner], *, is_new: bool = False
) -> tuple[list[tuple[Leg, str]], bool]:
    """Have exactly the legs' addresses, beside those that the kernel gives; return (leg, address) that came, and if any changed.

    :param is_new: the namespace was made just now, so there is nothing to look for; here and below.
    """
    index = {name: device.index for name, device in found.items()}
    present: dict[int, set[Interface]] = {}
    for raw in ip.get_addr() if not is_new else ():
        text = raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS")
        present.setdefault(raw["index"], set()).add(ipaddress.ip_interface(f"{text}/{raw['prefixlen']}"))
    came: list[tuple[Leg, str]] = []
    changed = False
    for leg in room.legs:
        wanted = {ipaddress.ip_interface(text) for text in leg.addresses}
        new, old = _difference(wanted, present.get(index[leg.name], set()))
        # The primary address of a subnet takes the others with it when it goes: first those that go, then those that come.
        for address in old:
            _del_address(ip, index[leg.name], address)
        for text in leg.addresses:
            if ipaddress.ip_interface(text) in new:
                _add_address(ip, index[leg.name], ipaddress.ip_interface(text))
                came.append((leg, text.partition("/")[0]))
        changed = changed or bool(new or old)
    kept = {ipaddress.ip_interface(text) for text in ("127.0.0.1/8", "::1/128")}
    wanted = {ipaddress.ip_interface(text) for text in room.loopback}
    new, old = _difference(wanted, present.get(index["lo"], set()) - kept)
    for address in old:
        _del_address(ip, index["lo"], address)
    for address in new:
        _add_address(ip, index["lo"], address)
    return came, changed or bool(new or old)


def _difference(wanted: set[Interface], present: set[Interface]) -> tuple[set[Interface], set[Interface]]:
    """Return what is to be added and what removed; link-local addresses that nobody asked for are the kernel's."""
    return wanted - present, {
        address for address in present - wanted if address.version == 4 or address.ip not in LINK_LOCAL
    }


def _add_address(ip: IPRoute, index: int, address: Interface) -> None:
    flags = {"flags": IFA_F_NODAD} if address.version == 6 else {}
    try:
        ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
    except NetlinkError as error:
        # Secondary addresses may have been promoted meanwhile.
        if error.code != errno.EEXIST:
            raise


def _del_address(ip: IPRoute, index: int, address: Interface) -> None:
    try:
        ip.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
    except NetlinkError as error:
        if error.code != errno.EADDRNOTAVAIL:
            raise


def routes(ip: IPRoute, room: Room, found: Mapping[str, Inner], *, is_new: bool = False) -> tuple[list[str], bool]:
    """Have exactly the room's routes beside the kernel's; return what could not be had, in words, and if any changed."""
    index = {name: device.index for name, device in found.items()}
    wanted = {_key(route.destination): route for route in room.routes}
    families = () if is_new else (socket.AF_INET, socket.AF_INET6)
    present = {key: value for family in families for key, value in _routes(ip, family)}
    failures = []
    changed = False
    for key in present.keys() - wanted.keys():
        gateway, out = present[key]
        _route(ip, "del", key, gateway, out)
        changed = True
    for key, route in wanted.items():
        device = index[route.device] if route.device else None
        if key in present and present[key][0] == route.via and device in (None, present[key][1]):
            continue
        changed = True
        try:
            _set_route(ip, key, route, device, known=present.get(key))
        except NetlinkError as error:
            failures.append(f"a route to {route.destination} via {route.via} can't be: {error.args[-1]}")
    return failures, changed


def _set_route(ip: IPRoute, key: str, route: Route, device: int | None, known: tuple[str, int] | None) -> None:
    if known is not None and ":" in key:
        # For IPv6 the kernel would take a second next hop for one more path.
        _route(ip, "del", key, *known)
    try:
        _route(ip, "replace", key, route.via, device)
    except NetlinkError as error:
        if device is None or error.code not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL):
            raise
        # A next hop beside the subnet: it is on the link all the same.
        _route(ip, "replace", key, route.via, device, flags=("onlink",))


def _route(ip: IPRoute, command: str, key: str, via: str, device: int | None, flags: Iterable[str] = ()) -> None:
    values: dict[str, Any] = {"dst": key, "gateway": via, "proto": 4}
    if device is not None:
        values["oif"] = device
    if flags:
        values["flags"] = list(flags)
    ip.route(command, **values)


def _routes(ip: IPRoute, family: int) -> list[tuple[str, tuple[str, int]]]:
    found = []
    for raw in ip.get_routes(family=family, table=MAIN_TABLE):
        gateway = raw.get_attr("RTA_GATEWAY")
        if raw["type"] != UNICAST or raw["proto"] in (KERNEL, RA) or gateway is None:
            continue
        destination = raw.get_attr("RTA_DST") or ("0.0.0.0" if family == socket.AF_INET else "::")
        found.append((f"{destination}/{raw['dst_len']}", (gateway, raw.get_attr("RTA_OIF"))))
    return found


def _key(cidr: str) -> str:
    try:
        return str(ipaddress.ip_network(cidr))
    except ValueError as error:
        raise HostError(f"This is not a network: {cidr[:64]!r}", code="host.refused_value") from error

"""VXLAN between hosts: where each port is comes from the database, nothing is learned, and ARP and ND are answered on the spot.

A frame for a port on another host goes to that host alone; broadcasts go to each host that has ports of the network. The bridge
answers ARP and neighbour solicitations for ports on other hosts itself (neigh_suppress), so that they don't leave.
"""

from __future__ import annotations

import errno
import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices, links
from nova_lite.host.ports import HostError

OVERHEAD = 50
"""What VXLAN adds to a frame over IPv4: 20 IP, 8 UDP, 8 VXLAN, 14 Ethernet."""

EVERYBODY = "00:00:00:00:00:00"
SELF, MASTER = 2, 4
STATIC, PERMANENT = 0x40, 0x80
"""NUD_NOARP and NUD_PERMANENT; for a bridge's own table NUD_NOARP means static."""


@dataclass(frozen=True)
class Tunnel:
    """This host's end of tunnels: ``local``, an IPv4 address of its own, and the UDP port."""

    local: str
    port: int


@dataclass(frozen=True)
class Vxlan:
    """A network's way to other hosts. ``places``: (MAC, tunnel end), ``everybody``: tunnel ends, ``neighbours``: (address, MAC)."""

    name: str
    vni: int
    tunnel: Tunnel
    mtu: int
    bridge: str
    places: frozenset[tuple[str, str]]
    everybody: frozenset[str]
    neighbours: frozenset[tuple[str, str]]


def wanted(network: NetworkSpec, tunnel: Tunnel | None, local_macs: frozenset[str]) -> Vxlan | None:
    """Return what a network needs to reach other hosts; None: it has nothing there.

    :param local_macs: of ports on this host: one that is on its way from another host is here already.
    :raises HostError: it must, and this host has no address for tunnels.
    """
    remote = [port for port in network.remote if port.mac not in local_macs]
    hosts = {*network.remote_hosts, *(port.host_address for port in remote)}
    if network.kind != "vxlan" or not hosts:
        return None
    if tunnel is None:
        raise HostError("This host has no address for tunnels to other hosts: set [network] local_ip")
    hosts.discard(tunnel.local)
    return Vxlan(
        devices.vxlan_name(network.number),
        network.number,
        tunnel,
        network.mtu,
        devices.bridge_name(network.number),
        frozenset((port.mac, port.host_address) for port in remote),
        frozenset(hosts),
        frozenset((a, port.mac) for port in remote for a in port.addresses if "/" not in a),
    )


class Tables:
    """What the kernel has for all bridges together, asked for once in a pass: it gives no part of it."""

    def __init__(self) -> None:
        self._ends: dict[int, set[tuple[str, str]]] | None = None
        self._macs: dict[int, set[str]] = {}
        self._neighbours: dict[int, set[tuple[str, str]]] | None = None

    def entries(self, ip: IPRoute, index: int) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
        """Return (MAC, tunnel end) of a vxlan device, and the MACs that its bridge knows to be behind it."""
        if self._ends is None:
            self._ends = defaultdict(set)
            self._macs = defaultdict(set)
            for raw in ip.fdb("dump"):
                mac, host = raw.get_attr("NDA_LLADDR"), raw.get_attr("NDA_DST")
                if host is not None:
                    self._ends[raw["ifindex"]].add((mac, host))
                elif raw["state"] & STATIC and raw.get_attr("NDA_MASTER"):
                    self._macs[raw["ifindex"]].add(mac)
        return frozenset(self._ends[index]), frozenset(self._macs[index])

    def neighbours(self, ip: IPRoute, index: int) -> set[tuple[str, str]]:
        """Return (address, MAC) of a bridge's neighbours that were set."""
        if self._neighbours is None:
            self._neighbours = defaultdict(set)
            for raw in ip.get_neighbours():
                if raw["state"] & PERMANENT:
                    self._neighbours[raw["ifindex"]].add((raw.get_attr("NDA_DST"), raw.get_attr("NDA_LLADDR")))
        return self._neighbours[index]


def ensure(ip: IPRoute, vxlan: Vxlan, before: Vxlan | None, tables: Tables | None = None) -> None:
    """Have the device on its bridge and exactly its entries there.

    :param before: what was applied last, and is still so but for what has changed; None: the kernel is asked.
    """
    found = links.find(ip, vxlan.name)
    if found is not None and not _is_like(ip, found.index, vxlan):
        links.remove(ip, vxlan.name)
        found = None
    is_new = found is None
    if is_new:
        before = replace(
            vxlan, places=frozenset(), everybody=frozenset(), neighbours=before.neighbours if before else frozenset()
        )
        ip.link(
            "add",
            ifname=vxlan.name,
            kind="vxlan",
            mtu=vxlan.mtu,
            vxlan_id=vxlan.vni,
            vxlan_local=vxlan.tunnel.local,
            vxlan_port=vxlan.tunnel.port,
            vxlan_learning=0,
        )
        links.silence_ipv6(vxlan.name)
    links.attach(ip, vxlan.name, vxlan.bridge, vxlan.mtu, up=False)
    found, bridge = links.find(ip, vxlan.name), links.find(ip, vxlan.bridge)
    if found is None or bridge is None:
        raise HostError(f"The device {vxlan.name} was removed while it was being made")
    if is_new or before is None:
        ip.brport("set", index=found.index, neigh_suppress=1, learning=0)
    tables = tables or Tables()
    _entries(ip, vxlan, before, found.index, tables)
    _neighbours(ip, vxlan, before, bridge.index, tables)
    links.attach(ip, vxlan.name, vxlan.bridge, vxlan.mtu, up=True)


def forget(ip: IPRoute, before: Vxlan) -> None:
    """Take what was answered for ports on other hosts from the bridge, whose device for tunnels goes."""
    bridge = links.find(ip, before.bridge)
    if bridge is not None:
        _neighbours(ip, replace(before, neighbours=frozenset()), before, bridge.index, Tables())


def _is_like(ip: IPRoute, index: int, vxlan: Vxlan) -> bool:
    info = next(iter(ip.get_links(index))).get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info and info.get_attr("IFLA_INFO_KIND") == "vxlan" else None
    return data is not None and (
        data.get_attr("IFLA_VXLAN_ID"),
        data.get_attr("IFLA_VXLAN_LOCAL"),
        data.get_attr("IFLA_VXLAN_PORT"),
        data.get_attr("IFLA_VXLAN_LEARNING"),
    ) == (vxlan.vni, vxlan.tunnel.local, vxlan.tunnel.port, 0)


def _entries(ip: IPRoute, vxlan: Vxlan, before: Vxlan | None, index: int, tables: Tables) -> None:
    ends = vxlan.places | {(EVERYBODY, host) for host in vxlan.everybody}
    macs = {mac for mac, _ in vxlan.places}
    if before is not None:
        has_ends = before.places | {(EVERYBODY, host) for host in before.everybody}
        has_macs = frozenset(mac for mac, _ in before.places)
    else:
        has_ends, has_macs = tables.entries(ip, index)
    for mac, host in ends - has_ends:
        # A port has one place: a new one takes the old one's, with no moment between.
        command = "append" if mac == EVERYBODY else "replace"
        _fdb(ip, command, ifindex=index, lladdr=mac, dst=host, flags=SELF, state=PERMANENT)
    for mac, host in has_ends - ends:
        if mac not in macs:
            _fdb(ip, "del", ifindex=index, lladdr=mac, dst=host, flags=SELF, state=PERMANENT)
    for mac in has_macs - macs:
        _fdb(ip, "del", ifindex=index, lladdr=mac, flags=MASTER, state=STATIC)
    for mac in macs - has_macs:
        _fdb(ip, "replace", ifindex=index, lladdr=mac, flags=MASTER, state=STATIC)


def _fdb(ip: IPRoute, command: str, **entry: Any) -> None:
    try:
        ip.fdb(command, **entry)
    except NetlinkError as error:
        # Cut off after this step, and done again.
        if error.code not in (errno.EEXIST, errno.ENOENT):
            raise


def _neighbours(ip: IPRoute, vxlan: Vxlan, before: Vxlan | None, bridge: int, tables: Tables) -> None:
    wanted = {(str(ipaddress.ip_address(address)), mac) for address, mac in vxlan.neighbours}
    if before is not None:
        has = {(str(ipaddress.ip_address(address)), mac) for address, mac in before.neighbours}
    else:
        has = tables.neighbours(ip, bridge)
    kept = {address for address, _ in wanted}
    for address, mac in has - wanted:
        if address not in kept:
            _neighbour(ip, "del", ifindex=bridge, dst=address, lladdr=mac)
    for address, mac in wanted - has:
        _neighbour(ip, "replace", ifindex=bridge, dst=address, lladdr=mac, state=PERMANENT)


def _neighbour(ip: IPRoute, command: str, **entry: Any) -> None:
    try:
        ip.neigh(command, **entry)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise


def host_mac(local: str) -> str:
    """Return the MAC that what is routed on this host has when it leaves: made from the tunnel's end, so each host's own."""
    return "fe:3e:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(local).packed)


def text(tunnel: Tunnel | None, anycast: Mapping[int, Sequence[tuple[str, tuple[str, ...]]]]) -> str:
    """Return the body of the nft table ``bridge nova_lite_overlay`` (see ``rules.table``); empty: no network has other hosts.

    What has the same MAC on every host must not be seen from another: what it asks and announces stays here, and what it routes
    leaves with this host's own MAC. Nor does anybody ask other hosts for it.

    :param anycast: by network number, (MAC, addresses) of our legs in it, for networks that are on other hosts too.
    """
    if tunnel is None or not anycast:
        return ""
    macs = [f'"{devices.vxlan_name(n)}" . {mac}' for n, legs in sorted(anycast.items()) for mac, _ in legs]
    addresses = [
        f'"{devices.vxlan_name(n)}" . {address}'
        for n, legs in sorted(anycast.items())
        for _, each in legs
        for address in each
        if ":" not in address
    ]
    return f"""
  set legs {{ type ifname . ether_addr;{_elements(macs)} }}
  set addresses {{ type ifname . ipv4_addr;{_elements(addresses)} }}
  chain arriving {{
    type filter hook prerouting priority -310; policy accept;
    iifname . ether saddr @legs drop
  }}
  chain leaving {{
    type filter hook postrouting priority 0; policy accept;
    oifname . arp daddr ip @addresses drop
    oifname . ether saddr @legs goto routed
  }}
  chain routed {{
    ether type arp drop
    icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }} drop
    udp sport {{ 67, 547 }} drop
    ether saddr set {host_mac(tunnel.local)}
  }}
"""


def _elements(items: Sequence[str]) -> str:
    return f" elements = {{ {', '.join(sorted(set(items)))} }};" if items else ""

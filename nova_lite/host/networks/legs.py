"""The legs of our namespaces: veths between a namespace and a bridge, by netlink in the thread that owns the host's socket."""

from __future__ import annotations

import errno

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.networks import links
from nova_lite.host.networks.rooms import Leg
from nova_lite.host.ports import HostError

FORWARDING = 3
"""A bridge port's state (linux/if_bridge.h)."""


def ensure(ip: IPRoute, leg: Leg, namespace: int, is_inside: bool) -> bool:
    """Have the leg with its outer end in its bridge; True: it was made.

    :param namespace: a file descriptor of the namespace.
    :param is_inside: the inner end is where it should be; if not, what bears the name here is a left-over.
    """
    found = links.index_of(leg.name)
    if found is not None and not is_inside:
        links.remove(ip, leg.name)
        found = None
    made = found is None
    if made:
        peer = {"ifname": leg.name, "net_ns_fd": namespace, "address": leg.mac, "mtu": leg.mtu}
        ip.link("add", ifname=leg.name, kind="veth", mtu=leg.mtu, peer=peer)
        links.silence_ipv6(leg.name)
        links.join(ip, leg.name, leg.bridge, leg.mtu, up=True)
        remember(ip, leg)
    else:
        links.attach(ip, leg.name, leg.bridge, leg.mtu, up=True)
    return made


def passes(ip: IPRoute, name: str) -> bool:
    """Say whether the leg's bridge takes what comes from it. It does not at once when the leg is up: the kernel tells it by and by."""
    index = links.index_of(name)
    if index is None:
        return False
    info = next(iter(ip.get_links(index))).get_attr("IFLA_LINKINFO")
    port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    return port is not None and port.get_attr("IFLA_BRPORT_STATE") == FORWARDING


def remember(ip: IPRoute, leg: Leg) -> None:
    """Let the bridge know for good where the leg is: what is for a leg that says nothing would be flooded to every guest."""
    index = links.index_of(leg.name)
    if index is None:
        raise HostError(f"The leg {leg.name} was removed while it was being made")
    try:
        # NTF_MASTER: the bridge's table; 0x40 NUD_NOARP: static.
        ip.fdb("replace", ifindex=index, lladdr=leg.mac, flags=4, state=0x40)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise

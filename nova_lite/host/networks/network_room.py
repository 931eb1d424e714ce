"""The namespace of a network: one leg into its bridge, on which DHCP, DNS and metadata are answered. Pure."""

from __future__ import annotations

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices, rooms, rules
from nova_lite.host.networks.rooms import METADATA_V4, METADATA_V6, Leg, Room, Route

_INPUT = f"""
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp dport {{ 67, 547 }} accept
    meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {METADATA_V4} tcp dport 80 accept
    ip6 daddr {METADATA_V6} tcp dport 80 accept
  }}
"""


def room(network: NetworkSpec, prefix: str = devices.PREFIX) -> Room | None:
    """Return the namespace's desired state; None: the network has no leg of ours.

    The default route leads through the network's own gateway: DNS asks the outside by the way that guests take.
    """
    dhcp = network.dhcp
    if dhcp is None:
        return None
    name = devices.leg_name(network.number)
    addresses = (*rooms.with_prefix(network, dhcp.addresses), f"{METADATA_V4}/32", f"{METADATA_V6}/64")
    leg = Leg(name, dhcp.mac, network.mtu, devices.bridge_name(network.number), addresses)
    return Room(
        devices.network_namespace(network.number, prefix),
        (leg,),
        _routes(network, name),
        rules.table(_INPUT),
        settings=(*rooms.QUIET, ("ipv4/ip_forward", "0")),
    )


def _routes(network: NetworkSpec, device: str) -> tuple[Route, ...]:
    found: dict[str, Route] = {}
    for subnet in network.subnets:
        own = rooms.leg_address(network.dhcp, subnet.subnet_id)
        if own is None or subnet.gateway is None or subnet.gateway == own:
            continue
        destination = "0.0.0.0/0" if rooms.is_v4(subnet.cidr) else "::/0"
        found.setdefault(destination, Route(destination, subnet.gateway, device))
    return tuple(found.values())

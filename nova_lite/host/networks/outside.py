"""The host as the outside of a network: the gateway's address on its bridge, and a way on, by masquerading behind the host's own.

Everything about it is in the host's own namespace, in the nft table ``inet nova_lite``, and speaks of that network's bridge only:
what its addresses are is the operator's to choose, so they overlap with nothing.

``accept`` here ends our chain only: a firewall of the host that drops forwarded packets (Docker sets the policy of
iptables' FORWARD chain to DROP, ufw and firewalld likewise) still does, and no rule of ours can overrule it. Where that is
so, the operator lets our bridges through there: ``iptables -I DOCKER-USER -i nl-br+ -j ACCEPT`` and the same with ``-o``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices, rooms
from nova_lite.host.networks.namespace import Namespace


@dataclass(frozen=True)
class Outside:
    """A bridge that the host is the outside of, and the IPv4 ranges there."""

    bridge: str
    ranges: tuple[str, ...]


def gateways(network: NetworkSpec) -> tuple[str, ...]:
    """Return the addresses that the host has on the bridge: each subnet's gateway with its prefix length."""
    return tuple(
        f"{subnet.gateway}/{ipaddress.ip_network(subnet.cidr).prefixlen}"
        for subnet in network.subnets
        if subnet.gateway is not None
    )


def of(network: NetworkSpec) -> Outside:
    """Return what the rules need to know of a network that the host is the outside of."""
    cidrs = tuple(subnet.cidr for subnet in network.subnets if rooms.is_v4(subnet.cidr))
    return Outside(devices.bridge_name(network.number), cidrs)


def text(networks: Sequence[Outside], *, nat: bool) -> str:
    """Return the body of the table (see ``rules.table``); empty: the host is the outside of none.

    From inside the host answers pings and what belongs to a connection that it began. Where br_netfilter is loaded, frames
    within a bridge come through here as well, with the bridge as both interfaces: they pass.
    """
    if not networks:
        return ""
    names = [f'"{network.bridge}"' for network in networks]
    inside = [f'"{network.bridge}" . {cidr}' for network in networks for cidr in network.ranges]
    onward = "iifname . ip saddr @ranges accept" if nat else "drop"
    masquerade = 'iifname @bridges oifname != @bridges oifname != "lo" meta nfproto ipv4 masquerade' if nat else ""
    return f"""
  set bridges {{ type ifname; elements = {{ {", ".join(names)} }}; }}
  set same {{ type ifname . ifname; elements = {{ {", ".join(f"{name} . {name}" for name in names)} }}; }}
  set ranges {{ type ifname . ipv4_addr; flags interval;{_elements(inside)} }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname @bridges goto from_inside
  }}
  chain from_inside {{
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname . oifname @same accept
    iifname @bridges goto leaving
    oifname @bridges goto entering
  }}
  chain leaving {{
    ct state established,related accept
    {onward}
    drop
  }}
  chain entering {{
    ct state established,related accept
    ct state new oifname . ip daddr @ranges accept
    drop
  }}
  chain outward {{
    type nat hook postrouting priority srcnat; policy accept;
    {masquerade}
  }}
"""


def _elements(items: Sequence[str]) -> str:
    return f" elements = {{ {', '.join(items)} }};" if items else ""


def forward_policy_drops(namespace: Namespace) -> bool:
    """Say whether the host's own iptables drop what is forwarded, which our rules can't overrule."""
    done = namespace.run(["nft", "list", "chain", "ip", "filter", "FORWARD"])
    return done.returncode == 0 and "policy drop" in done.stdout

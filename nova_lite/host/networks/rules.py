"""The rules of our own nftables table ``inet nova_lite``, as one text that replaces the table atomically.

What they say: a guest may talk to its own network, and out through the host's address when NAT is on. It may not talk to
other networks of ours, nor to the host, but for DHCP, DNS and ping at its gateway. What nobody inside asked for does not come in.
Answers to what the host itself began pass.

``accept`` here ends our chain only: a firewall of the host that drops forwarded packets (Docker sets the policy of
iptables' FORWARD chain to DROP, ufw and firewalld likewise) still does, and no rule of ours can overrule it. Where that is
so, the operator lets our bridges through there: ``iptables -I DOCKER-USER -i nl-br+ -j ACCEPT`` and the same with ``-o``.

Where br_netfilter is loaded, frames between two guests of one bridge come through these chains as well, with the bridge as
both interfaces: they are let through first. Format: nft(8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from nova_lite.host.network_state import NetworkSpec
from nova_lite.host.networks import devices, links
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

TABLE = "nova_lite"
_CLEAR = f"table inet {TABLE}\ndelete table inet {TABLE}\n"

_CHAINS = """
  chain input {
    type filter hook input priority filter; policy accept;
    iifname @bridges goto from_guest
  }
  chain from_guest {
    ct state established,related accept
    udp sport 68 udp dport 67 accept
    iifname . ip daddr @gateways meta l4proto { tcp, udp } th dport 53 accept
    iifname . ip daddr @gateways icmp type echo-request accept
    drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname . oifname @same accept
    iifname @bridges oifname @bridges drop
    iifname @bridges goto leaving
    oifname @bridges goto entering
  }
  chain entering {
    ct state established,related accept
    drop
  }
"""

_NAT = """
  chain leaving {
    iifname . ip saddr @inside accept
    drop
  }
  chain outward {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr @ranges oifname != @bridges oifname != "lo" masquerade
  }
"""

_NO_NAT = """
  chain leaving {
    drop
  }
"""


def text(networks: Sequence[NetworkSpec], *, nat: bool) -> str:
    """Return what ``nft -f -`` makes the table of; no networks: no table."""
    if not networks:
        return _CLEAR
    names = [f'"{devices.bridge_name(network.number)}"' for network in networks]
    gateways = [
        f"{name} . {gateway.ip}"
        for name, network in zip(names, networks, strict=True)
        for gateway in sorted(links.gateways(network))
    ]
    inside = [
        f"{name} . {subnet.cidr}"
        for name, network in zip(names, networks, strict=True)
        for subnet in network.subnets
        if ipaddress.ip_network(subnet.cidr).version == 4
    ]
    ranges = sorted({element.rpartition(" ")[2] for element in inside})
    sets = [
        _set("bridges", "type ifname;", names),
        _set("same", "type ifname . ifname;", [f"{name} . {name}" for name in names]),
        _set("gateways", "type ifname . ipv4_addr;", gateways),
        _set("inside", "type ifname . ipv4_addr; flags interval;", inside),
        _set("ranges", "type ipv4_addr; flags interval; auto-merge;", ranges),
    ]
    return f"{_CLEAR}table inet {TABLE} {{\n{''.join(sets)}{_CHAINS}{_NAT if nat else _NO_NAT}}}\n"


def _set(name: str, kind: str, elements: Sequence[str]) -> str:
    content = f" elements = {{ {', '.join(elements)} }}" if elements else ""
    return f"  set {name} {{ {kind}{content} }}\n"


def apply(namespace: Namespace, wanted: str) -> None:
    """Replace the table in one transaction; connections go on. :raises HostError: nft refused it, so nothing changed."""
    done = namespace.run(["nft", "-f", "-"], stdin=wanted)
    if done.returncode != 0:
        raise HostError(f"nft refused our rules: {done.stderr.strip()[:500]}")


def forward_policy_drops(namespace: Namespace) -> bool:
    """Say whether the host's own iptables drop what is forwarded, which our rules can't overrule."""
    done = namespace.run(["nft", "list", "chain", "ip", "filter", "FORWARD"])
    return done.returncode == 0 and "policy drop" in done.stdout

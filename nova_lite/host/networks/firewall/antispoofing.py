"""What a port may send, by its MACs and addresses: chains of the bridge family, before a packet's connection is looked up.

Here is what each frame says by itself: MAC, IPv4 source, ARP sender, IPv6 source. What is in a transport header (neighbour
discovery, DHCP) is judged by :mod:`nova_lite.host.networks.firewall.guards` on whole packets, since a fragment may hide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nova_lite.host.network_state import PortSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.firewall.ruleset import ARP, BRIDGE, INET, Chain, Elements, Name

MARK_BASE = 0x4E4C0000
"""Marks of ours are this and a port's number of 16 bits, so that they are not taken for another program's."""
MARK_MASK = 0xFFFF0000
INSPECTED = 0x01000000
"""Set in the mark by the inet family, whose chains a frame must have passed."""

PORTS_FROM = Name(BRIDGE, "ports_from")
PORTS_TO = Name(BRIDGE, "ports_to")
MARKS_TO = Name(BRIDGE, "marks_to")
TO_HOST = Name(BRIDGE, "to_host")
TO_GUARDED = "to-guarded"
ZONE_NOTE = "zone "
_ETHERTYPES = "{ ip, arp, ip6 }"
_LEGS = f'"{devices.leg_name(0)[:-1]}*"'
"""Legs of networks' namespaces, whose names begin as a port's device might; the other legs' do not."""
_HOOK = "type filter hook {hook} priority {priority}; policy accept;"


@dataclass(frozen=True)
class Sender:
    """A MAC that a port may use, with the addresses that it may have with it."""

    mac: str
    addresses: tuple[values.Network, ...]

    def addresses_of(self, version: int) -> list[str]:
        """Return the addresses of one IP version as nft takes them."""
        return values.collapsed(self.addresses, version)


def senders(port: PortSpec) -> list[Sender]:
    """Return a port's own MAC, and those of its allowed pairs, each with its addresses. :raises HostError: a value is refused."""
    own = values.mac(port.mac)
    found: dict[str, list[values.Network]] = {own: [values.cidr(address) for _, address in port.addresses]}
    for mac, cidr in port.pairs:
        found.setdefault(values.mac(mac) if mac else own, []).append(values.cidr(cidr))
    return [Sender(mac, (values.link_local(mac), *addresses)) for mac, addresses in found.items()]


def chain(port: PortSpec, mark: int, zone: int) -> Chain:
    """Return the chain that all frames from a port's device go through; it ends in accept or drop.

    *zone*: of its connections; it is written down for an agent that starts (:func:`nova_lite.host.networks.firewall.kernel.held`).
    """
    # First the ethertype: a VLAN tag, LLC or anything else would pass br_netfilter by, and with it the groups.
    rules = [f"ether type != {_ETHERTYPES} drop", f'meta mark set {mark:#010x} comment "{ZONE_NOTE}{zone}"']
    for sender in senders(port):
        rules += _sender_rules(sender)
    return Chain((*rules, "drop"))


def _sender_rules(sender: Sender) -> list[str]:
    mac = f"ether saddr {sender.mac}"
    v4 = sender.addresses_of(4)
    arp = f"{mac} arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether {sender.mac}"
    rules = []
    if v4:
        own = f"{{ {', '.join(v4)} }}"
        rules += [
            f"{mac} ip saddr {own} accept",
            f"{arp} arp saddr ip {own} accept",
            # A probe whether an address is taken (RFC 5227, 1.1), of its own alone: it would stop another's from being used.
            f"{arp} arp operation request arp saddr ip 0.0.0.0 arp daddr ip {own} accept",
        ]
    rules += [
        f"{mac} ip6 saddr {{ {', '.join(sender.addresses_of(6))} }} accept",
        f"{mac} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
        # Without an address yet: duplicate address detection, router solicitation, joining groups (RFC 4861, 4862, 3810).
        f"{mac} ip6 saddr :: icmpv6 type {{ 131, 133, 135, 143 }} accept",
    ]
    return rules


def base(
    ports_from: Mapping[str, str], ports_to: Mapping[str, str], marks_to: Mapping[str, str], to_host: Iterable[str]
) -> tuple[dict[Name, Chain], dict[Name, Elements]]:
    """Return what all ports share. The maps are by device: verdicts of what it sends and gets, and marks of what it gets.

    *to_host*: devices of ports on bridges by which the host itself is reached.
    """
    unknown = port_devices()
    ours = f"meta mark & {MARK_MASK:#010x} == {MARK_BASE:#010x}"
    chains = {
        TO_GUARDED: Chain((f"ether type != {_ETHERTYPES} drop", f"meta mark set oifname map @{MARKS_TO.name}")),
        "from": Chain(
            (
                f"iifname vmap @{PORTS_FROM.name}",
                f"iifname {_LEGS} accept",
                *(f"iifname {name} drop" for name in unknown),
            ),
            _HOOK.format(hook="prerouting", priority=-300),
        ),
        # The mark without the bit: br_netfilter did not show the packet to the groups. That must not leave a port open.
        "from-late": Chain(
            (f"{ours} ether type != arp drop",),
            _HOOK.format(hook="prerouting", priority=100),
        ),
        "to": Chain(
            (
                'iifname "nl-*" meta mark set 0',
                'oifname != "nl-*" accept',
                "meta mark set 0",
                f"oifname vmap @{PORTS_TO.name}",
                f"oifname {_LEGS} accept",
                *(f"oifname {name} drop" for name in unknown),
            ),
            _HOOK.format(hook="forward", priority=-300),
        ),
        "to-late": Chain((f"{ours} ether type != arp drop",), _HOOK.format(hook="forward", priority=100)),
        # To the bridge's own MAC or to everybody: that would be for the host's own stack.
        # Only a router's leg may, and who is on a network whose outside is the host.
        "to-host": Chain(
            ('iifname "nl-gw*" accept', f"iifname @{TO_HOST.name} accept", 'iifname "nl-*" drop'),
            _HOOK.format(hook="input", priority=-300),
        ),
    }
    elements = {
        PORTS_FROM: Elements("map", "type ifname : verdict;", ports_from),
        PORTS_TO: Elements("map", "type ifname : verdict;", ports_to),
        MARKS_TO: Elements("map", "type ifname : mark;", marks_to),
        TO_HOST: Elements("set", "type ifname;", dict.fromkeys(to_host, "")),
    }
    return {**{Name(BRIDGE, name): each for name, each in chains.items()}, **_closed_host()}, elements


def port_devices() -> list[str]:
    """Return what names of ports' devices begin with, as nft takes them. Before: a rule for ``nl-br`` and ``nl-dh``, which do too."""
    return [f'"nl-{digit:x}*"' for digit in range(16)]


def _closed_host() -> dict[Name, Chain]:
    """Return the chains that keep what a bridge hands to its host around its own hooks (01:80:c2:00:00:0e, LLDP) from its stack.

    It comes there by the port's device and not by the bridge's, as nothing else does.
    """
    rules = (
        'iifname != "nl-*" accept',
        'iifname "nl-br*" accept',
        *(f"iifname {name} drop" for name in port_devices()),
    )
    return {
        Name(INET, "to-host"): Chain(rules, _HOOK.format(hook="prerouting", priority=-500)),
        Name(ARP, "to-host"): Chain(rules, _HOOK.format(hook="input", priority=-500)),
    }


def chain_name(port_id: str) -> Name:
    """Return the name of a port's chain in the bridge family."""
    return Name(BRIDGE, f"port-{port_id}")

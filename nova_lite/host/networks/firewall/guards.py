"""A port's chains of the inet family: what it may never send, what always passes, its connections, its groups.

Packets come here whole (fragments are put together first), so that nothing can hide in a fragment. Marks find the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nova_lite.host.network_state import PortSpec
from nova_lite.host.networks.firewall import groups, judging
from nova_lite.host.networks.firewall.antispoofing import INSPECTED, MARK_BASE, MARK_MASK, Sender, senders
from nova_lite.host.networks.firewall.ruleset import INET, Chain, Elements, Name

METADATA = ("169.254.169.254", "fe80::a9fe:a9fe")
EGRESS = Name(INET, "egress")
INGRESS = Name(INET, "ingress")
ZONES = Name(INET, "zones")
DELIVERED = {4: Name(INET, "delivered4"), 6: Name(INET, "delivered6")}
NEVER_SENT = (
    # DHCP servers are ours; 67 to 67 is a relay.
    "meta nfproto ipv4 udp sport 67 drop",
    "meta nfproto ipv6 udp sport 547 drop",
    "icmpv6 type { nd-router-advert, nd-redirect } drop",
    "icmp type redirect drop",
)
# In plain packets' words, for stateless ports, and in connections' words, for all others.
PLAIN_SENT = (
    "meta nfproto ipv4 udp sport 68 udp dport 67 accept",
    "meta nfproto ipv6 udp sport 546 udp dport 547 accept",
    # Router solicitation, and joining and leaving groups.
    "icmpv6 type { 131, 132, 133, 143 } accept",
    f"ip daddr {METADATA[0]} tcp dport 80 accept",
    f"ip6 daddr {METADATA[1]} tcp dport 80 accept",
)
ALWAYS_SENT = (
    "meta nfproto ipv4 ct original protocol 17 ct original proto-src 68 ct original proto-dst 67 goto passed-out",
    "meta nfproto ipv6 ct original protocol 17 ct original proto-src 546 ct original proto-dst 547 goto passed-out",
    "icmpv6 type { 131, 132, 133, 143 } accept",
    f"meta nfproto ipv4 ct original ip daddr {METADATA[0]} ct original protocol 6 ct original proto-dst 80 goto passed-out",
    f"meta nfproto ipv6 ct original ip6 daddr {METADATA[1]} ct original protocol 6 ct original proto-dst 80 goto passed-out",
)
PLAIN_GOT = (
    "meta nfproto ipv4 udp sport 67 udp dport 68 accept",
    "meta nfproto ipv6 udp sport 547 udp dport 546 accept",
    # Group queries, router advertisements, neighbour discovery.
    "icmpv6 type { 130, 134, 135, 136 } accept",
)
ALWAYS_GOT = (
    "meta nfproto ipv4 ct original protocol 17 ct original proto-src 67 ct original proto-dst 68 goto passed-in",
    "meta nfproto ipv6 ct original protocol 17 ct original proto-src 547 ct original proto-dst 546 goto passed-in",
    "icmpv6 type { 130, 134, 135, 136 } accept",
)


def port_chain(port_id: str, direction: str) -> Name:
    """Return the name of a port's chain for *direction*."""
    return Name(INET, f"port-{'in' if direction == 'ingress' else 'out'}-{port_id}")


def neighbour_chain(port_id: str) -> Name:
    """Return the name of a port's chain for neighbour discovery."""
    return Name(INET, f"port-nd-{port_id}")


def judge(group_ids: Sequence[str], resolvers: Sequence[str]) -> tuple[str, dict[Name, Chain]]:
    """Return the name and the chains of what judges connections of ports in these groups. *resolvers*: where DNS answers on their network."""
    name = judging.judge_name((group_ids, resolvers))
    sent = [
        "jump always-sent",
        *_resolving(resolvers),
        *(f"jump {groups.chain_name(group_id, 'egress').name}" for group_id in group_ids),
    ]
    got = ["jump always-got", *(f"jump {groups.chain_name(group_id, 'ingress').name}" for group_id in group_ids)]
    return name, {
        judging.judge_chain(name, "egress"): judging.chain(sent),
        judging.judge_chain(name, "ingress"): judging.chain(got),
    }


def chains(port: PortSpec, judge_name: str) -> dict[Name, Chain]:
    """Return the chains of a port that has connections."""
    return _port_chains(port, judging.port_rules(judge_name, "egress"), judging.port_rules(judge_name, "ingress"))


def stateless_chains(port: PortSpec, group_ids: Sequence[str], resolvers: Sequence[str]) -> dict[Name, Chain]:
    """Return the chains of a port in stateless groups: each packet is judged by itself."""
    out = (
        "jump plain-sent",
        *_plain_resolving("daddr", "dport", resolvers),
        *(f"jump {groups.plain_chain_name(group_id, 'egress').name}" for group_id in group_ids),
        "drop",
    )
    into = (
        "jump plain-got",
        # Answers of our own services would need rules that nobody knows to make.
        *_plain_resolving("saddr", "sport", resolvers),
        *_METADATA_ANSWERS,
        *(f"jump {groups.plain_chain_name(group_id, 'ingress').name}" for group_id in group_ids),
        "drop",
    )
    return _port_chains(port, out, into)


def _port_chains(port: PortSpec, out: Sequence[str], into: Sequence[str]) -> dict[Name, Chain]:
    allowed = senders(port)
    # The client's hardware address in a DHCP message (RFC 2131, 2): in another's name a guest could give back or refuse its lease.
    macs = ", ".join(f"0x{sender.mac.replace(':', '')}" for sender in allowed)
    never = (
        "jump never-sent",
        f"meta nfproto ipv4 udp dport 67 @th,288,48 != {{ {macs} }} drop",
        f"icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} goto {neighbour_chain(port.port_id).name}",
    )
    return {
        port_chain(port.port_id, "egress"): Chain((*never, *out)),
        port_chain(port.port_id, "ingress"): Chain(tuple(into)),
        neighbour_chain(port.port_id): neighbours(allowed),
    }


_METADATA_ANSWERS = (
    f"ip saddr {METADATA[0]} tcp sport 80 accept",
    f"ip6 saddr {METADATA[1]} tcp sport 80 accept",
)


def _plain_resolving(address: str, port: str, resolvers: Iterable[str]) -> list[str]:
    return [
        f"{family} {address} {{ {', '.join(addresses)} }} meta l4proto {{ tcp, udp }} th {port} 53 accept"
        for family, addresses in _by_family(resolvers)
    ]


def _resolving(resolvers: Iterable[str]) -> list[str]:
    return [
        f"meta nfproto {'ipv6' if family == 'ip6' else 'ipv4'} ct original {family} daddr {{ {', '.join(addresses)} }} "
        f"ct original protocol {protocol} ct original proto-dst 53 goto passed-out"
        for family, addresses in _by_family(resolvers)
        for protocol in (6, 17)
    ]


def _by_family(addresses: Iterable[str]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for each in addresses:
        found.setdefault("ip6" if ":" in each else "ip", []).append(each)
    return sorted(found.items())


def neighbours(allowed: Sequence[Sender]) -> Chain:
    """Return the chain for a port's neighbour solicitations and advertisements (RFC 4861, 4.3 and 4.4).

    The message is right behind the IPv6 header, and has no option or only the one that names the sender's MAC: a receiver that
    took a second one for the first would be fooled otherwise. Offsets are in bits from the ICMPv6 header: target 64, option 192.
    """
    rules = ["ip6 nexthdr != ipv6-icmp drop"]
    for sender in allowed:
        # Is the address free? For its own alone: the answer would keep another from using its own.
        rules += [f"icmpv6 type nd-neighbor-solicit ip6 saddr ::{target} accept" for target in _targets(sender)]
    # From :: no more: such a message names no MAC, and what is not its own has been meant for another.
    rules.append("ip6 saddr :: drop")
    for kind, option in (("nd-neighbor-solicit", "0x0101"), ("nd-neighbor-advert", "0x0201")):
        for sender in allowed:
            named = f"ip6 length 32 @th,192,16 {option} @th,208,48 0x{sender.mac.replace(':', '')}"
            for target in _targets(sender) if kind == "nd-neighbor-advert" else [""]:
                rules += [f"icmpv6 type {kind} {length}{target} accept" for length in ("ip6 length 24", named)]
    return Chain((*dict.fromkeys(rules), "drop"))


def _targets(sender: Sender) -> list[str]:
    found = []
    for network in sender.addresses:
        if network.version != 6:
            continue
        bits = network.prefixlen
        found.append(f" @th,64,{bits} {int(network.network_address) >> (128 - bits):#x}" if bits else "")
    return found


def base(
    egress: Mapping[str, str],
    ingress: Mapping[str, str],
    zones: Mapping[str, str],
    delivered: Mapping[int, Mapping[str, str]],
) -> tuple[dict[Name, Chain], dict[Name, Elements]]:
    """Return what all ports share. *egress* and *ingress* are verdicts by mark, *zones* conntrack zones by bridge.

    *delivered*: for each IP version, verdicts by bridge and address of what the host itself routes into a bridge: it is not bridged, so that
    no mark says whom it is for.
    """
    marked = f"meta mark & {MARK_MASK:#010x} == {MARK_BASE:#010x} meta mark set meta mark | {INSPECTED:#010x}"
    chains = {
        "never-sent": Chain(NEVER_SENT),
        "always-sent": Chain(ALWAYS_SENT),
        "always-got": Chain(ALWAYS_GOT),
        "plain-sent": Chain(PLAIN_SENT),
        "plain-got": Chain(PLAIN_GOT),
        # Before fragments are put together (-400): those of two networks with the same addresses must not be mixed.
        "zone": Chain(
            (f"ct zone set iifname map @{ZONES.name}",), "type filter hook prerouting priority -450; policy accept;"
        ),
        # After the connection was looked up (-200).
        "egress": Chain(
            ('iifname != "nl-br*" accept', marked, f"meta mark vmap @{EGRESS.name}"),
            "type filter hook prerouting priority -150; policy accept;",
        ),
        "ingress": Chain(
            ('oifname != "nl-br*" accept', marked, f"meta mark vmap @{INGRESS.name}"),
            "type filter hook forward priority -150; policy accept;",
        ),
        "delivered": Chain(
            (
                'oifname != "nl-br*" accept',
                *(f"oifname . {family} daddr vmap @{DELIVERED[v].name}" for v, family in ((4, "ip"), (6, "ip6"))),
            ),
            "type filter hook postrouting priority -150; policy accept;",
        ),
    }
    elements = {
        EGRESS: Elements("map", "type mark : verdict;", egress),
        INGRESS: Elements("map", "type mark : verdict;", ingress),
        ZONES: Elements("map", "typeof iifname : ct zone;", zones),
        **{
            name: Elements("map", f"type ifname . ipv{version}_addr : verdict;", delivered[version])
            for version, name in DELIVERED.items()
        },
    }
    return {Name(INET, name): each for name, each in chains.items()}, elements

"""Security groups: a chain for each group and direction, shared by its ports, and the sets of remote and address groups.

A rule judges a connection (:mod:`nova_lite.host.networks.firewall.judging`); one of a group that is stateless judges packets, too, for
ports that are in such groups alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.host.network_state import GroupSpec, RuleSpec
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.firewall.judging import PASSED
from nova_lite.host.networks.firewall.ruleset import INET, Chain, Elements, Name
from nova_lite.host.ports import HostError

ICMP, ICMPV6 = 1, 58
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_MAYBE_WITHOUT_PORTS = (33, 132, 136)
_OCTET = 0xFF
_FAMILIES = {4: "ip", 6: "ip6"}
_SIDES = {"ingress": "in", "egress": "out"}
_UNTRACKED = (130, 131, 132, 133, 134, 135, 136, 143)
"""Types of ICMPv6 that conntrack leaves alone (nf_conntrack_proto_icmpv6.c): group membership and neighbour discovery."""


def chain_name(group_id: str, direction: str) -> Name:
    """Return the name of a group's chain for connections of *direction* (ingress or egress)."""
    return Name(INET, f"group-{_SIDES[direction]}-{group_id}")


def plain_chain_name(group_id: str, direction: str) -> Name:
    """Return the name of a stateless group's chain for packets of *direction*."""
    return Name(INET, f"plain-{_SIDES[direction]}-{group_id}")


def chains(group: GroupSpec) -> dict[Name, Chain]:
    """Return a group's chains. What no rule lets pass returns to who asked. :raises HostError: a value is refused."""
    group_id = values.uuid(group.group_id, "The security group's id")
    found = {}
    for direction in _SIDES:
        rules = [rule for rule in group.rules if rule.direction == direction]
        found[chain_name(group_id, direction)] = Chain(tuple(text for rule in rules for text in rule_texts(rule)))
        if not group.stateful:
            found[plain_chain_name(group_id, direction)] = Chain(tuple(plain_text(rule) for rule in rules))
    return found


def rule_texts(rule: RuleSpec) -> list[str]:
    """Return a rule in nft's words, as it judges a connection by its first packet, whichever packet is looked at.

    :raises HostError: a value is refused.
    """
    head, tail = _ends(rule)
    goal = f"goto {PASSED[rule.direction]} {tail}"
    protocol = _protocol_number(rule)
    remote, ports = _remote(rule, "ct original "), _tracked_ports(rule, protocol)
    asked = [] if protocol is None else [f"ct original protocol {protocol}"]
    texts = [" ".join([head, *remote, *asked, *ports, goal])]
    plain = [*_remote(rule), *_plain_protocol(rule, protocol)]
    if rule.version == 6 and protocol in (None, ICMPV6) and plain:
        texts += [" ".join([head, "ct state untracked", *plain, f"accept {tail}"])] if _may_be_untracked(rule) else []
    if protocol in _MAYBE_WITHOUT_PORTS and ports:
        # A kernel whose conntrack knows no ports of theirs: the question's are in the packet.
        texts.append(" ".join([head, "ct direction original", *plain, goal]))
    return texts


def plain_text(rule: RuleSpec) -> str:
    """Return a rule in nft's words, as it judges each packet by itself. :raises HostError: a value is refused."""
    head, tail = _ends(rule)
    return " ".join([head, *_remote(rule), *_plain_protocol(rule, _protocol_number(rule)), f"accept {tail}"])


def _ends(rule: RuleSpec) -> tuple[str, str]:
    if rule.version not in _FAMILIES or rule.direction not in _SIDES:
        raise HostError(f"Rule {rule.rule_id} has version {rule.version}, direction {rule.direction[:16]!r}")
    rule_id = values.uuid(rule.rule_id, "The rule's id")
    return f"meta nfproto ipv{rule.version}", f'comment "{rule_id}"'


def _remote(rule: RuleSpec, of: str = "") -> list[str]:
    field = f"{of}{_FAMILIES[rule.version]} {'saddr' if rule.direction == 'ingress' else 'daddr'}"
    if rule.remote_cidr is not None:
        network = values.cidr(rule.remote_cidr)
        if network.version != rule.version:
            raise HostError(f"Rule {rule.rule_id} is for IPv{rule.version}, and its remote prefix is {network}")
        return [f"{field} {network}"] if network.prefixlen else []
    if rule.remote_group_id is not None:
        return [f"{field} @{members_name(rule.remote_group_id, rule.version).name}"]
    if rule.remote_address_group_id is not None:
        return [f"{field} @{addresses_name(rule.remote_address_group_id, rule.version).name}"]
    return []


def _protocol_number(rule: RuleSpec) -> int | None:
    number, low, high = rule.protocol, rule.port_min, rule.port_max
    if number is None:
        return None
    if not 0 <= number <= 255 or any(bound is not None and not 0 <= bound <= 65_535 for bound in (low, high)):
        raise HostError(f"Rule {rule.rule_id} has protocol {number}, ports {low} to {high}")
    if number in (ICMP, ICMPV6):
        # Whoever says icmp in an IPv6 rule means ICMPv6, as upstream takes it.
        return ICMP if rule.version == 4 else ICMPV6
    return number


def _tracked_ports(rule: RuleSpec, protocol: int | None) -> list[str]:
    """Return what is asked of a connection's ports. An ICMP connection has its first packet's type and code as the port it goes to."""
    if protocol in (ICMP, ICMPV6):
        kind, code = rule.port_min, rule.port_max
        if kind is None:
            return []
        if kind > _OCTET or (code is not None and code > _OCTET):
            raise HostError(f"Rule {rule.rule_id} has ICMP type {kind}, code {code}")
        first = kind << 8 | (code or 0)
        return [
            f"ct original proto-dst {first}" if code is not None else f"ct original proto-dst {first}-{first | _OCTET}"
        ]
    bounds = _bounds(rule, protocol)
    return (
        [f"{'ct reply proto-src' if rule.direction == 'ingress' else 'ct original proto-dst'} {bounds}"]
        if bounds
        else []
    )


def _plain_protocol(rule: RuleSpec, protocol: int | None) -> list[str]:
    if protocol is None:
        return []
    parts = [f"meta l4proto {protocol}"]
    if protocol in (ICMP, ICMPV6):
        name = "icmp" if protocol == ICMP else "icmpv6"
        parts += [] if rule.port_min is None else [f"{name} type {rule.port_min}"]
        return parts + ([] if None in (rule.port_min, rule.port_max) else [f"{name} code {rule.port_max}"])
    bounds = _bounds(rule, protocol)
    return [*parts, f"th dport {bounds}"] if bounds else parts


def _bounds(rule: RuleSpec, protocol: int | None) -> str:
    low, high = rule.port_min, rule.port_max
    if protocol not in WITH_PORTS or (low is None and high is None):
        return ""
    first, last = 0 if low is None else low, 65_535 if high is None else high
    if first > last:
        raise HostError(f"Rule {rule.rule_id} has ports {low} to {high}")
    return f"{first}" if first == last else f"{first}-{last}"


def _may_be_untracked(rule: RuleSpec) -> bool:
    return rule.protocol is None or rule.port_min is None or rule.port_min in _UNTRACKED


def members_name(group_id: str, version: int) -> Name:
    """Return the name of the set of a remote group's addresses."""
    return Name(INET, f"members{version}-{values.uuid(group_id, 'The remote group')}")


def addresses_name(address_group_id: str, version: int) -> Name:
    """Return the name of an address group's set."""
    return Name(INET, f"addresses{version}-{values.uuid(address_group_id, 'The address group')}")


def remote_sets(
    groups: Iterable[GroupSpec], members: Mapping[str, tuple[str, ...]], address_groups: Mapping[str, tuple[str, ...]]
) -> dict[Name, Elements]:
    """Return the sets that *groups*' rules refer to, whoever is in them; nobody: the set is empty."""
    found: dict[Name, Elements] = {}
    remote_groups = {rule.remote_group_id for group in groups for rule in group.rules if rule.remote_group_id}
    named = {rule.remote_address_group_id for group in groups for rule in group.rules if rule.remote_address_group_id}
    for group_id in sorted(remote_groups):
        found |= {members_name(group_id, version): _set(members.get(group_id, ()), version) for version in (4, 6)}
    for group_id in sorted(named):
        found |= {
            addresses_name(group_id, version): _set(address_groups.get(group_id, ()), version) for version in (4, 6)
        }
    return found


def _set(cidrs: Iterable[str], version: int) -> Elements:
    content = dict.fromkeys(values.collapsed((values.cidr(each) for each in cidrs), version), "")
    return Elements("set", f"type ipv{version}_addr; flags interval;", content)

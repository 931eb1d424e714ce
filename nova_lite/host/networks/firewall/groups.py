"""Security groups: a chain for each group and direction, shared by its ports, and the sets of remote and address groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.host.network_state import GroupSpec, RuleSpec
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.firewall.ruleset import INET, Chain, Elements, Name
from nova_lite.host.ports import HostError

ICMP, ICMPV6 = 1, 58
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_FAMILIES = {4: "ip", 6: "ip6"}
_SIDES = {"ingress": "in", "egress": "out"}


def chain_name(group_id: str, direction: str) -> Name:
    """Return the name of a group's chain for *direction* (ingress or egress)."""
    return Name(INET, f"group-{_SIDES[direction]}-{group_id}")


def chains(group: GroupSpec) -> dict[Name, Chain]:
    """Return a group's two chains. What no rule lets pass returns to the port's chain. :raises HostError: a value is refused."""
    group_id = values.uuid(group.group_id, "The security group's id")
    return {
        chain_name(group_id, direction): Chain(
            tuple(rule_text(rule) for rule in group.rules if rule.direction == direction)
        )
        for direction in _SIDES
    }


def rule_text(rule: RuleSpec) -> str:
    """Return a rule of a group in nft's words. :raises HostError: a value is refused."""
    if rule.version not in _FAMILIES or rule.direction not in _SIDES:
        raise HostError(f"Rule {rule.rule_id} has version {rule.version}, direction {rule.direction[:16]!r}")
    rule_id = values.uuid(rule.rule_id, "The rule's id")
    parts = [f"meta nfproto ipv{rule.version}", *_remote(rule), *_protocol(rule)]
    return " ".join([*parts, "accept", f'comment "{rule_id}"'])


def _remote(rule: RuleSpec) -> list[str]:
    field = f"{_FAMILIES[rule.version]} {'saddr' if rule.direction == 'ingress' else 'daddr'}"
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


def _protocol(rule: RuleSpec) -> list[str]:
    number, low, high = rule.protocol, rule.port_min, rule.port_max
    if number is None:
        return []
    if not 0 <= number <= 255 or any(bound is not None and not 0 <= bound <= 65_535 for bound in (low, high)):
        raise HostError(f"Rule {rule.rule_id} has protocol {number}, ports {low} to {high}")
    if number in (ICMP, ICMPV6):
        # Whoever says icmp in an IPv6 rule means ICMPv6, as upstream takes it.
        name = "icmp" if rule.version == 4 else "icmpv6"
        parts = [f"meta l4proto {ICMP if rule.version == 4 else ICMPV6}"]
        parts += [] if low is None else [f"{name} type {low}"]
        return parts + ([] if low is None or high is None else [f"{name} code {high}"])
    parts = [f"meta l4proto {number}"]
    if number in WITH_PORTS and (low is not None or high is not None):
        first, last = 0 if low is None else low, 65_535 if high is None else high
        if first > last:
            raise HostError(f"Rule {rule.rule_id} has ports {low} to {high}")
        parts.append(f"th dport {first}" if first == last else f"th dport {first}-{last}")
    return parts


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

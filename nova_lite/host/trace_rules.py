"""Which rule of a port's security groups lets a packet pass: the same question that the host's firewall answers, in words. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from nova_lite.host.network_state import HostState, PortSpec, RuleSpec

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
WITH_PORTS = (TCP, UDP, 33, 132, 136)
PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6, "sctp": 132}
METADATA = ("169.254.169.254", "fe80::a9fe:a9fe")


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection. ``port`` is the destination's; None: the protocol has none. An ICMP packet is an echo request."""

    source: str
    destination: str
    protocol: int
    port: int | None = None

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.destination else 4

    def said(self) -> str:
        """Say what it is: ``tcp/80 10.0.0.5 → 10.0.0.6``."""
        names = {number: name for name, number in reversed(PROTOCOLS.items())}
        name = names.get(self.protocol, f"protocol {self.protocol}")
        kind = name if self.port is None else f"{name}/{self.port}"
        return f"{kind} {self.source} → {self.destination}"


@dataclass(frozen=True)
class Judgement:
    """Whether a packet passes a port's groups, and why. ``rule_id`` is the rule that lets it pass, if it was one."""

    passes: bool
    why: str
    rule_id: str | None = None


def judge(state: HostState, port: PortSpec, packet: Packet, direction: str) -> Judgement:
    """Judge the first packet of a connection at a port. *direction*: ingress (to the port) or egress."""
    if not port.secured:
        return Judgement(True, "port security is off: anything passes")
    always = _always(state, port, packet, direction)
    if always:
        return Judgement(True, always)
    known = [state.groups[group_id] for group_id in port.group_ids if group_id in state.groups]
    if not known:
        return Judgement(False, "the port is in no security group, so nothing passes")
    for group in known:
        for rule in group.rules:
            if rule.direction == direction and matches(state, rule, packet):
                stateless = "" if any(g.stateful for g in known) else "; its groups are stateless: answers need a rule"
                return Judgement(
                    True, f"rule {rule.rule_id} of group {group.group_id} lets it pass{stateless}", rule.rule_id
                )
    names = ", ".join(group.group_id for group in known)
    way = "in" if direction == "ingress" else "out"
    return Judgement(False, f"no rule of group {names} lets it {way}")


def matches(state: HostState, rule: RuleSpec, packet: Packet) -> bool:
    """Say whether a rule of the packet's direction lets it pass."""
    if rule.version != packet.version:
        return False
    other = packet.source if rule.direction == "ingress" else packet.destination
    if rule.remote_cidr is not None and not _within(other, [rule.remote_cidr]):
        return False
    if rule.remote_group_id is not None and not _within(other, state.members.get(rule.remote_group_id, ())):
        return False
    named = rule.remote_address_group_id
    if named is not None and not _within(other, state.address_groups.get(named, ())):
        return False
    return _is_of_protocol(rule, packet)


def _is_of_protocol(rule: RuleSpec, packet: Packet) -> bool:
    if rule.protocol is None:
        return True
    wanted = ICMPV6 if rule.version == 6 and rule.protocol == ICMP else rule.protocol
    if wanted != packet.protocol:
        return False
    if wanted in (ICMP, ICMPV6):
        echo = 8 if wanted == ICMP else 128
        return rule.port_min in (None, echo) and (rule.port_min is None or rule.port_max in (None, 0))
    if wanted not in WITH_PORTS or (rule.port_min is None and rule.port_max is None):
        return True
    low = 0 if rule.port_min is None else rule.port_min
    high = 65_535 if rule.port_max is None else rule.port_max
    return packet.port is not None and low <= packet.port <= high


def _always(state: HostState, port: PortSpec, packet: Packet, direction: str) -> str:
    """Say why a packet passes whatever the groups are; empty: it does not."""
    network = state.networks.get(port.network_id)
    resolvers = {address for _, address in network.dhcp.addresses} if network and network.dhcp else set()
    if direction == "ingress":
        return ""
    if packet.destination in METADATA and (packet.protocol, packet.port) == (TCP, 80):
        return "metadata is always to be had"
    if packet.destination in resolvers and packet.protocol in (TCP, UDP) and packet.port == 53:
        return "the network's DNS is always to be had"
    return ""


def _within(address: str, cidrs: Iterable[str]) -> bool:
    one = ipaddress.ip_address(address)
    networks = (ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
    return any(one.version == network.version and one in network for network in networks)

#!/usr/bin/env python3
"""Measure the firewall of one host: 1,000 ports and 10,000 rules, in a network namespace that is thrown away.

Usage (root): ``.venv/bin/python tools/bench/firewall.py [--ports 1000] [--rules 10000] [--count 20]``. Prints JSON: what the first
transaction takes, an agent's start over rules that are in force, and one change of each kind; the target is 0.5 s for one rule.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import replace

import cloud

from nova_lite.host.network_state import GroupSpec, HostState, NetworkSpec, PortSpec, RuleSpec, ServiceLeg, SubnetSpec
from nova_lite.host.networks.firewall import Firewall
from nova_lite.host.networks.namespace import Namespace

NETWORKS, GROUPS, REMOTE_MEMBERS = 10, 100, 1000
TARGET_S = 0.5


def an_id() -> str:
    """Return a new UUID."""
    return str(uuid.uuid4())


def a_rule(port: int) -> RuleSpec:
    """Return a rule that lets TCP to one port in from a range."""
    return RuleSpec(an_id(), "ingress", 4, 6, port, port, remote_cidr=f"192.168.{port % 250}.0/24")


def a_state(ports: int, rules: int) -> HostState:
    """Return a host with *ports* ports, each in one of 100 groups, which have *rules* rules in all."""
    networks = {}
    for number in range(NETWORKS):
        subnet = SubnetSpec(an_id(), f"10.{number}.0.0/16", f"10.{number}.0.1", True, ())
        leg = ServiceLeg(an_id(), "fa:16:3e:ff:00:01", ((subnet.subnet_id, f"10.{number}.0.2"),))
        made = NetworkSpec(an_id(), 100 + number, 1450, (subnet,), dhcp=leg)
        networks[made.network_id] = made
    groups = {}
    for _ in range(GROUPS):
        group = GroupSpec(an_id(), tuple(a_rule(1000 + index) for index in range(rules // GROUPS)))
        groups[group.group_id] = group
    remote = an_id()
    first = next(iter(groups.values()))
    rule = RuleSpec(an_id(), "ingress", 4, 6, 22, 22, remote_group_id=remote)
    groups[first.group_id] = replace(first, rules=(*first.rules, rule))
    found: dict[str, PortSpec] = {}
    for index, (network, group_id) in enumerate(zip(itertools.cycle(networks.values()), itertools.cycle(groups))):
        if index == ports:
            break
        high, low = divmod(index, 250)
        address = f"10.{network.number - 100}.{high + 1}.{low + 1}"
        mac = f"fa:16:3e:00:{high:02x}:{low:02x}"
        port = PortSpec(
            an_id(), an_id(), network.network_id, mac, "g", ((network.subnets[0].subnet_id, address),), "tap",
            group_ids=(group_id,),
        )  # fmt: skip
        found[port.port_id] = port
    members = tuple(f"10.9.{index // 100}.{index % 100 * 2}" for index in range(REMOTE_MEMBERS))
    return HostState(networks, found, {}, groups, {remote: members})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=20)
    wanted = parser.parse_args()
    name = f"nlb-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    namespace = Namespace(name)
    try:
        with cloud.report("firewall") as figures:
            figures |= {"ports": wanted.ports, "rules": wanted.rules}
            measure(namespace, a_state(wanted.ports, wanted.rules), wanted.count, figures)
    finally:
        namespace.close()
        subprocess.run(["ip", "netns", "del", name], check=True)


def measure(namespace: Namespace, state: HostState, count: int, figures: dict[str, object]) -> None:
    """Fill *figures*."""
    firewall = Firewall(namespace)

    def once(work: Callable[[], None]) -> float:
        return round(cloud.timed(work, 1, warm=0)[0], 3)

    figures["everything_at_once_s"] = once(lambda: firewall.apply(state))
    figures["an_agents_start_s"] = once(lambda: Firewall(namespace).apply(state))
    figures["nothing_to_change"] = cloud.percentiles(cloud.timed(lambda: firewall.apply(state), count))
    groups = list(state.groups)
    current = state

    def change(**what: object) -> None:
        nonlocal current
        current = replace(current, **what)  # type: ignore[arg-type]
        firewall.apply(current)

    def a_rule_more() -> None:
        group = current.groups[secrets.choice(groups)]
        change(groups={**current.groups, group.group_id: replace(group, rules=(*group.rules, a_rule(443)))})

    def a_member_more() -> None:
        ((remote, members),) = current.members.items()
        change(members={remote: (*members, f"10.8.{secrets.randbelow(250)}.{secrets.randbelow(250)}")})

    def a_port_more() -> None:
        port = replace(secrets.choice(list(state.ports.values())), port_id=an_id())
        change(ports={**current.ports, port.port_id: port})

    one_rule = cloud.timed(a_rule_more, count)
    figures["one_rule"] = cloud.percentiles(one_rule)
    figures["one_member_of_a_remote_group"] = cloud.percentiles(cloud.timed(a_member_more, count))
    figures["one_port"] = cloud.percentiles(cloud.timed(a_port_more, count))
    figures["target_s"] = TARGET_S
    figures["met"] = sorted(one_rule)[len(one_rule) // 2] <= TARGET_S


if __name__ == "__main__":
    main()

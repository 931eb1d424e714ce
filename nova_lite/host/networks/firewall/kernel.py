"""What the kernel can do, and what it has of ours, by nft's JSON output."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import antispoofing, connections, values
from nova_lite.host.networks.firewall.antispoofing import MARK_MASK
from nova_lite.host.networks.firewall.guards import EGRESS, ZONES
from nova_lite.host.networks.firewall.ruleset import BRIDGE, TABLES, Name
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

BR_NETFILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_CT_IN_BRIDGE = "table bridge nova_lite_probe {\n chain c {\n  ct state established accept\n }\n}\n"
LISTING_TIMEOUT_S = 60.0
_BRIDGE_CHAIN = re.compile(r"port-([0-9a-f-]{36})")
_PORT_CHAIN = re.compile(r"port-out-([0-9a-f-]{36})")


@dataclass(frozen=True)
class Found:
    """What is in force: the ruleset's version (None: nothing, or not whole), ports' marks and networks' zones."""

    version: str | None
    ports: dict[str, int]
    zones: dict[int, int]


def bridge_conntrack(namespace: Namespace) -> bool:
    """Say whether rules of the bridge family can ask for a connection's state (nf_conntrack_bridge). Nothing is changed."""
    return namespace.run(["nft", "--check", "-f", "-"], stdin=_CT_IN_BRIDGE).returncode == 0


def require_br_netfilter(namespace: Namespace) -> None:
    """Have br_netfilter in the kernel. :raises HostError: this kernel has none, so no group could be in force."""
    if BR_NETFILTER.exists():
        return
    done = namespace.run(["modprobe", "br_netfilter"])
    if not BR_NETFILTER.exists():
        raise HostError(
            "Security groups need the kernel's br_netfilter, which can't be loaded: "
            + (done.stderr.strip()[:200] or "modprobe said nothing"),
            code="host.no_br_netfilter",
        )


def present(namespace: Namespace) -> Found:
    """Read what is in force; what can't be read is not there. :raises HostError: nft is not installed."""
    ports = {}
    for mark, verdict in _map(namespace, EGRESS):
        found = _PORT_CHAIN.fullmatch(str(verdict.get("goto", {}).get("target")) if isinstance(verdict, dict) else "")
        if found and isinstance(mark, int):
            ports[found[1]] = mark & ~MARK_MASK
    zones = {}
    for bridge, zone in _map(namespace, ZONES):
        number = devices.bridge_number(str(bridge))
        if number is not None and isinstance(zone, int):
            zones[number] = zone
    return Found(version_in_force(namespace), ports, zones)


def held(namespace: Namespace) -> connections.Held:
    """Return which addresses the ports that are in force may send from, as :mod:`antispoofing` wrote them. 1,000 ports: half a second."""
    done = namespace.run(["nft", "-j", "list", "table", *BRIDGE.split(" ")], timeout_s=LISTING_TIMEOUT_S)
    zones: dict[str, int] = {}
    networks: dict[str, list[values.Network]] = defaultdict(list)
    for entry in json.loads(done.stdout)["nftables"] if done.returncode == 0 else ():
        rule = entry.get("rule", {})
        found = _BRIDGE_CHAIN.fullmatch(rule.get("chain", ""))
        if found is None:
            continue
        noted = str(rule.get("comment", "")).removeprefix(antispoofing.ZONE_NOTE)
        if noted.isdecimal() and rule["comment"] != noted:
            zones[found[1]] = int(noted)
        networks[found[1]] += _sources(rule.get("expr", ()))
    return connections.of_ports(
        (port_id, zone, connections.single(networks[port_id])) for port_id, zone in zones.items()
    )


def _sources(expressions: Iterable[Any]) -> Iterator[values.Network]:
    """Give the single addresses that a rule asks of an IP packet's source."""
    for each in expressions:
        match = each.get("match", {}) if isinstance(each, dict) else {}
        left = match.get("left", {})
        payload = left.get("payload", {}) if isinstance(left, dict) else {}
        if payload.get("protocol") not in ("ip", "ip6") or payload.get("field") != "saddr":
            continue
        right = match.get("right")
        for value in right.get("set", ()) if isinstance(right, dict) else (right,):
            # A range or a prefix is an object.
            if isinstance(value, str):
                yield values.cidr(value)


def version_in_force(namespace: Namespace) -> str | None:
    """Return the version that both tables have; None: there is none, or not the same. 50 ms with 1,000 ports."""
    versions = [chain["name"] for chain in _chains(namespace) if chain["name"].startswith("version-")]
    return versions[0] if len(versions) == len(TABLES) and len(set(versions)) == 1 else None


def _chains(namespace: Namespace) -> list[dict[str, Any]]:
    done = namespace.run(["nft", "-j", "list", "chains"])
    if done.returncode != 0:
        return []
    found = [entry["chain"] for entry in json.loads(done.stdout)["nftables"] if "chain" in entry]
    return [chain for chain in found if f"{chain['family']} {chain['table']}" in TABLES]


def _map(namespace: Namespace, name: Name) -> list[Any]:
    done = namespace.run(["nft", "-j", "list", "map", *name.table.split(" "), name.name])
    if done.returncode != 0:
        return []
    listed = [entry["map"].get("elem", []) for entry in json.loads(done.stdout)["nftables"] if "map" in entry]
    return [each for each in (listed[0] if listed else []) if isinstance(each, list) and len(each) == 2]

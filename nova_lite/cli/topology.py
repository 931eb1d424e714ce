"""Draw networks, subnets, routers, ports, floating IPs and guests as a tree of text. Pure, from what the API lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_lite.cli.hostile import clean

Thing = Mapping[str, Any]
_INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
_OWN = (*_INTERFACES, "network:router_gateway", "network:dhcp", "network:floatingip")


@dataclass(frozen=True)
class Node:
    """A line and what hangs below it."""

    text: str
    below: list[Node] = field(default_factory=list)

    def lines(self, begin: str = "", rest: str = "") -> Iterator[str]:
        """Give the lines, with branches drawn before them."""
        yield begin + self.text
        for index, node in enumerate(self.below):
            is_last = index == len(self.below) - 1
            yield from node.lines(rest + ("└── " if is_last else "├── "), rest + ("    " if is_last else "│   "))


@dataclass(frozen=True)
class Found:
    """All that is drawn, as the API lists it."""

    networks: Sequence[Thing]
    subnets: Sequence[Thing]
    routers: Sequence[Thing]
    ports: Sequence[Thing]
    floating_ips: Sequence[Thing]
    servers: Sequence[Thing]


def draw(found: Found) -> list[str]:
    """Return the lines: networks that lead outside with their routers and the networks behind them, then the others."""
    picture = _Picture(found)
    return [line for node in picture.roots() for line in node.lines()] or ["There are no networks."]


class _Picture:
    def __init__(self, found: Found) -> None:
        self._found = found
        self._subnets = {subnet["id"]: subnet for subnet in found.subnets}
        self._networks = {network["id"]: network for network in found.networks}
        self._servers = {server["id"]: server for server in found.servers}
        self._floating: dict[tuple[str, str], list[str]] = {}
        for each in found.floating_ips:
            if each.get("port_id"):
                key = (each["port_id"], each.get("fixed_ip_address") or "")
                self._floating.setdefault(key, []).append(each["floating_ip_address"])
        self._joined: dict[str, list[Thing]] = {}
        for port in found.ports:
            if port.get("device_owner") in _INTERFACES:
                self._joined.setdefault(port["device_id"], []).append(port)

    def roots(self) -> list[Node]:
        drawn: set[str] = set()
        nodes = []
        for network in self._found.networks:
            if network.get("router:external"):
                drawn.add(network["id"])
                node = Node(self._network(network), self._guests(network["id"]))
                node.below.extend(Node(f"floating IP {ip} (leads to nobody)") for ip in self._idle(network["id"]))
                node.below.extend(self._router(each, drawn) for each in self._routers(network["id"]))
                nodes.append(node)
        nodes += [self._router(router, drawn) for router in self._routers(None)]
        nodes += [
            Node(self._network(network), self._guests(network["id"]))
            for network in self._found.networks
            if network["id"] not in drawn
        ]
        return nodes

    def _routers(self, external: str | None) -> list[Thing]:
        return [
            router
            for router in self._found.routers
            if (router.get("external_gateway_info") or {}).get("network_id") == external
            or (external is None and self._leads_nowhere(router))
        ]

    def _leads_nowhere(self, router: Thing) -> bool:
        gateway = (router.get("external_gateway_info") or {}).get("network_id")
        return gateway is not None and gateway not in self._networks

    def _idle(self, network_id: str) -> list[str]:
        return [
            each["floating_ip_address"]
            for each in self._found.floating_ips
            if each.get("floating_network_id") == network_id and not each.get("port_id")
        ]

    def _router(self, router: Thing, drawn: set[str]) -> Node:
        info = router.get("external_gateway_info") or {}
        address = ", ".join(each["ip_address"] for each in info.get("external_fixed_ips") or ())
        snat = "" if info.get("enable_snat", True) or not info else ", no SNAT"
        down = "" if router.get("admin_state_up", True) else ", down"
        node = Node(f"router {_named(router)}{f'  {address}' if address else ''}{snat}{down}")
        for port in self._joined.get(router["id"], ()):
            network = self._networks.get(port["network_id"])
            if network is None:
                continue
            legs = ", ".join(each["ip_address"] for each in port.get("fixed_ips") or ())
            text = f"{self._network(network)}  by {legs}"
            # Behind two routers a network is drawn once with what is on it.
            again = network["id"] in drawn
            drawn.add(network["id"])
            node.below.append(Node(f"{text}  (see above)") if again else Node(text, self._guests(network["id"])))
        return node

    def _network(self, network: Thing) -> str:
        cidrs = [self._subnets[key]["cidr"] for key in network.get("subnets") or () if key in self._subnets]
        kind = network.get("provider:network_type")
        number = network.get("provider:segmentation_id")
        marks = [str(kind) + (f" {number}" if number else "")] if kind else []
        marks += ["external"] if network.get("router:external") else []
        marks += ["shared"] if network.get("shared") else []
        marks += ["down"] if not network.get("admin_state_up", True) else []
        return "  ".join(
            part
            for part in (f"network {_named(network)}", ", ".join(cidrs), f"({', '.join(marks)})" if marks else "")
            if part
        )

    def _guests(self, network_id: str) -> list[Node]:
        ports = [p for p in self._found.ports if p["network_id"] == network_id and p.get("device_owner") not in _OWN]
        return [Node(self._guest(port)) for port in sorted(ports, key=_address_order)]

    def _guest(self, port: Thing) -> str:
        server = self._servers.get(port.get("device_id") or "")
        if server is not None:
            who, state = f"server {_named(server)}", str(server.get("status", ""))
        elif port.get("device_id"):
            who, state = f"port {_named(port)} of {clean(str(port['device_id']))}", str(port.get("status", ""))
        else:
            who, state = f"port {_named(port)}", "unused"
        addresses = []
        for each in port.get("fixed_ips") or ():
            floating = self._floating.get((port["id"], each["ip_address"]), [])
            addresses.append(each["ip_address"] + "".join(f" ← {ip}" for ip in floating))
        open_mark = "" if port.get("port_security_enabled", True) else "  no port security"
        return f"{who}  {', '.join(addresses) or 'no address'}  {state}{open_mark}"


def _named(thing: Thing) -> str:
    return clean(str(thing.get("name") or thing["id"]))


def _address_order(port: Thing) -> tuple[int, int, str]:
    for each in port.get("fixed_ips") or ():
        address = ipaddress.ip_address(each["ip_address"])
        return address.version, int(address), port["id"]
    return 9, 0, port["id"]

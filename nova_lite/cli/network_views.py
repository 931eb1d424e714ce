"""Networks to look at: what there is as a tree, and the way of a packet."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite.cli import names, topology
from nova_lite.cli.command import Command, Lister
from nova_lite.cli.faults import ApiError
from nova_lite.cli.hostile import clean
from nova_lite.cli.topology import Found

_MENTIONED = re.compile(r"\b(network|router|group|server|port) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_KINDS = {
    "network": ("networks", "network"),
    "router": ("routers", "router"),
    "group": ("security-groups", "security_group"),
    "server": ("servers", "server"),
    "port": ("ports", "port"),
}
_VERDICTS = {"passes": "passes", "dropped": "DROPPED", "arrives": "arrives", "leaves": "leaves", "goes on": "goes on"}


class ShowTopology(Command):
    """Draw networks, routers, ports, floating IPs and guests as a tree."""

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Fetch all, and draw."""
        network = self.connection.network
        found = Found(
            networks=list(network.pages("networks", "networks")),
            subnets=list(network.pages("subnets", "subnets")),
            routers=list(network.pages("routers", "routers")),
            ports=list(network.pages("ports", "ports")),
            floating_ips=list(network.pages("floatingips", "floatingips")),
            servers=list(self.connection.compute.pages("servers/detail", "servers")),
        )
        for line in topology.draw(found):
            print(line, file=self.app.stdout)
        return 0


class TracePacket(Lister):
    """Follow a connection's first packet (without --port: a ping) from a server; say where it would be dropped and by what."""

    def get_parser(self, prog_name: str) -> Any:
        """Take where from and where to."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id of the server that sends")
        parser.add_argument("address", metavar="ADDRESS", help="the address that it sends to")
        parser.add_argument("--port", type=int, metavar="N", help="the port that it sends to")
        parser.add_argument("--protocol", metavar="NAME", help="tcp (default with --port), udp, icmp, sctp or a number")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Ask the server's host."""
        server = names.server(self.connection, parsed_args.server)
        query = {"address": parsed_args.address, "port": parsed_args.port, "protocol": parsed_args.protocol}
        found = self.connection.compute.get(f"servers/{server['id']}/nova-lite-trace", **query)["trace"]
        hops = found["hops"]
        known = self._names(hops) if parsed_args.formatter == "table" else {}
        # Hosts' names are for admins: a column of nothing tells nobody anything.
        hosts = parsed_args.formatter != "table" or bool(parsed_args.columns) or any(hop["host"] for hop in hops)
        return ("Step", *(("Host",) if hosts else ()), "Where", "What", "Verdict"), [
            (
                number,
                *((hop["host"] or "",) if hosts else ()),
                hop["where"],
                _MENTIONED.sub(lambda found: f"{found[1]} {known.get(found[2], found[2])}", hop["what"]),
                _VERDICTS.get(hop["verdict"], hop["verdict"]),
            )
            for number, hop in enumerate(hops, 1)
        ]

    def _names(self, hops: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Return the names of what the hops mention by id, as far as there are any and the caller may see them."""
        mentioned = {(each[1], each[2]) for hop in hops for each in _MENTIONED.finditer(hop["what"])}
        known = {}
        for kind, identifier in sorted(mentioned):
            path, member = _KINDS[kind]
            service = self.connection.compute if kind == "server" else self.connection.network
            try:
                name = service.get(f"{path}/{identifier}")[member]["name"]
            except ApiError as error:
                if error.status not in (403, 404):
                    raise
                continue
            if name:
                known[identifier] = clean(name)
        return known

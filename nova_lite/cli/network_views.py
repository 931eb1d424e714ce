"""Networks to look at: what there is as a tree, and the way of a packet."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, topology
from nova_lite.cli.command import Command, Lister
from nova_lite.cli.topology import Found

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
        return ("Step", "Host", "Where", "What", "Verdict"), [
            (number, hop["host"] or "", hop["where"], hop["what"], _VERDICTS.get(hop["verdict"], hop["verdict"]))
            for number, hop in enumerate(found["hops"], 1)
        ]

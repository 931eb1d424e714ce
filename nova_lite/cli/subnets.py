"""Subnets."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Deletion, Lister, ShowOne, fields

_FIRST = ("id", "name", "network_id", "cidr", "gateway_ip", "enable_dhcp")


class ListSubnets(Lister):
    """List subnets."""

    def get_parser(self, prog_name: str) -> Any:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--network", metavar="NETWORK", help="of this network: name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query: dict[str, Any] = {}
        if parsed_args.network:
            query["network_id"] = names.network(self.connection, parsed_args.network)["id"]
        return ("ID", "Name", "Network ID", "CIDR"), [
            (item["id"], item["name"], item["network_id"], item["cidr"])
            for item in self.connection.network.pages("subnets", "subnets", **query)
        ]


class ShowSubnet(ShowOne):
    """Show a subnet."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the subnet."""
        parser = super().get_parser(prog_name)
        parser.add_argument("subnet", metavar="SUBNET", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return fields(names.subnet(self.connection, parsed_args.subnet), first=_FIRST, without=("tenant_id",))


class CreateSubnet(ShowOne):
    """Create a subnet on a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the subnet's name")
        parser.add_argument("--network", required=True, metavar="NETWORK", help="the network: name or id")
        parser.add_argument(
            "--subnet-range", "--cidr", required=True, metavar="CIDR", help="its addresses: 10.1.0.0/24"
        )
        parser.add_argument("--gateway", metavar="ADDRESS", help="the gateway's address, or none (default: the first)")
        parser.add_argument("--no-dhcp", dest="dhcp", action="store_false", help="hand no addresses out")
        parser.add_argument(
            "--dns-nameserver", action="append", default=[], metavar="ADDRESS", help="a name server; may be repeated"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        subnet: dict[str, Any] = {
            "name": parsed_args.name,
            "network_id": names.network(self.connection, parsed_args.network)["id"],
            "cidr": parsed_args.subnet_range,
            "ip_version": 6 if ":" in parsed_args.subnet_range else 4,
            "enable_dhcp": parsed_args.dhcp,
        }
        if parsed_args.gateway:
            subnet["gateway_ip"] = None if parsed_args.gateway == "none" else parsed_args.gateway
        if parsed_args.dns_nameserver:
            subnet["dns_nameservers"] = parsed_args.dns_nameserver
        made = self.connection.network.post("subnets", {"subnet": subnet})["subnet"]
        return fields(made, first=_FIRST, without=("tenant_id",))


class DeleteSubnets(Deletion):
    """Delete subnets that nothing has an address of."""

    noun = "subnet"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"subnets/{names.subnet(self.connection, name)['id']}")

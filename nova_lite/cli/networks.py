"""Networks and ports."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Deletion, Lister, ShowOne, fields

_FIRST = ("id", "name", "status")


class ListNetworks(Lister):
    """List the networks that you may use."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--name", metavar="NAME", help="of this name")
        parser.add_argument("--external", action="store_true", help="only those that lead outside")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {"name": parsed_args.name, "router:external": "True" if parsed_args.external else None}
        found = self.connection.network.pages("networks", "networks", **query)
        return ("ID", "Name", "Status", "Subnets", "Shared"), [
            (item["id"], item["name"], item["status"], Joined(item["subnets"]), item.get("shared")) for item in found
        ]


class ShowNetwork(ShowOne):
    """Show a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the network."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return fields(names.network(self.connection, parsed_args.network), first=_FIRST, without=("tenant_id",))


class CreateNetwork(ShowOne):
    """Create a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the network's name")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        parser.add_argument("--share", action="store_true", help="let every project use it (admins)")
        parser.add_argument("--external", action="store_true", help="it leads outside (admins)")
        parser.add_argument("--mtu", type=int, metavar="BYTES", help="the largest packet")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        network = {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "shared": parsed_args.share or None,
            "router:external": parsed_args.external or None,
            "mtu": parsed_args.mtu,
        }
        body = {"network": {key: value for key, value in network.items() if value is not None}}
        return fields(self.connection.network.post("networks", body)["network"], first=_FIRST, without=("tenant_id",))


class DeleteNetworks(Deletion):
    """Delete networks that nothing is on."""

    noun = "network"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"networks/{names.network(self.connection, name)['id']}")


def _addresses(port: Mapping[str, Any]) -> Joined:
    return Joined([item["ip_address"] for item in port.get("fixed_ips") or ()])


_RENAMED = {"fixed_ip_addresses": "Fixed IPs"}


class ListPorts(Lister):
    """List ports."""

    renamed = _RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--server", metavar="SERVER", help="of this server: name or id")
        parser.add_argument("--network", metavar="NETWORK", help="on this network: name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query: dict[str, Any] = {}
        if parsed_args.server:
            query["device_id"] = names.server(self.connection, parsed_args.server)["id"]
        if parsed_args.network:
            query["network_id"] = names.network(self.connection, parsed_args.network)["id"]
        return ("ID", "Name", "MAC Address", "Fixed IPs", "Status", "Device ID"), [
            (item["id"], item["name"], item["mac_address"], _addresses(item), item["status"], item["device_id"])
            for item in self.connection.network.pages("ports", "ports", **query)
        ]


class ShowPort(ShowOne):
    """Show a port."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the port."""
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = names.port(self.connection, parsed_args.port)
        first = (*_FIRST, "mac_address", "fixed_ips", "network_id", "device_id")
        return fields({**found, "fixed_ips": _addresses(found)}, first=first, without=("tenant_id",))

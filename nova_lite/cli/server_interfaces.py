"""Interfaces of servers: plug networks, ports and addresses in, and take them out again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Command, ShowOne
from nova_lite.cli.faults import CommandError, Missing


def _addresses(interface: Mapping[str, Any]) -> list[str]:
    return [item["ip_address"] for item in interface.get("fixed_ips") or ()]


class _Attach(ShowOne):
    """The base: plug something into a server and show the interface."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        self.add_thing(parser)
        parser.add_argument("--tag", metavar="TAG", help="what the server knows the interface by in its metadata")
        return parser

    def add_thing(self, parser: Any) -> None:
        """Take what is plugged in."""
        parser.add_argument("thing", metavar="NETWORK", help="name or id")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Plug it in."""
        server = names.server(self.connection, parsed_args.server)
        wanted = self.wanted(parsed_args)
        if parsed_args.tag:
            wanted["tag"] = parsed_args.tag
        path = f"servers/{server['id']}/os-interface"
        found = self.connection.compute.post(path, {"interfaceAttachment": wanted})["interfaceAttachment"]
        return ("Port ID", "Network ID", "MAC Address", "Port State", "Fixed IPs"), (
            found["port_id"],
            found["net_id"],
            found["mac_addr"],
            found["port_state"],
            Joined(_addresses(found)),
        )

    def wanted(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the body's members."""
        return {"net_id": names.network(self.connection, parsed_args.thing)["id"]}


class AddNetwork(_Attach):
    """Plug a server into a network, by a new port."""


class AddPort(_Attach):
    """Plug a port into a server."""

    def add_thing(self, parser: Any) -> None:
        """Take the port."""
        parser.add_argument("thing", metavar="PORT", help="name or id")

    def wanted(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the body's members."""
        return {"port_id": names.port(self.connection, parsed_args.thing)["id"]}


class AddFixedIp(_Attach):
    """Plug a server into a network with an address that is named."""

    def add_thing(self, parser: Any) -> None:
        """Take the network and the address."""
        super().add_thing(parser)
        parser.add_argument("--fixed-ip-address", metavar="ADDRESS", help="which (default: one that is free)")

    def wanted(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the body's members."""
        found = super().wanted(parsed_args)
        if parsed_args.fixed_ip_address:
            found["fixed_ips"] = [{"ip_address": parsed_args.fixed_ip_address}]
        return found


class _Detach(Command):
    """The base: take interfaces of a server out."""

    metavar, what = "", ""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and what goes."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("thing", metavar=self.metavar, help=self.what)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take out each that is meant."""
        compute = self.connection.compute
        path = f"servers/{names.server(self.connection, parsed_args.server)['id']}/os-interface"
        found = compute.get(path)["interfaceAttachments"]
        meant = self.meant(found, parsed_args.thing)
        if not meant:
            raise Missing(f"Server {parsed_args.server} has no interface with {parsed_args.thing}.")
        for interface in meant:
            compute.delete(f"{path}/{interface['port_id']}")

    def meant(self, interfaces: list[dict[str, Any]], thing: str) -> list[dict[str, Any]]:
        """Return the interfaces that go."""
        raise CommandError(f"nothing is known of {thing}")


class RemoveNetwork(_Detach):
    """Take a server off a network: each of its ports there."""

    metavar, what = "NETWORK", "name or id"

    def meant(self, interfaces: list[dict[str, Any]], thing: str) -> list[dict[str, Any]]:
        """Return those on the network."""
        network = names.network(self.connection, thing)["id"]
        return [interface for interface in interfaces if interface["net_id"] == network]


class RemovePort(_Detach):
    """Take a port out of a server; a port that was made for it goes too."""

    metavar, what = "PORT", "name or id"

    def meant(self, interfaces: list[dict[str, Any]], thing: str) -> list[dict[str, Any]]:
        """Return the port's."""
        port = names.port(self.connection, thing)["id"]
        return [interface for interface in interfaces if interface["port_id"] == port]


class RemoveFixedIp(_Detach):
    """Take the interface that has an address out of a server."""

    metavar, what = "ADDRESS", "one of the server's addresses, the only one of its interface"

    def meant(self, interfaces: list[dict[str, Any]], thing: str) -> list[dict[str, Any]]:
        """Return the interface of the address. :raises CommandError: it has others that would go too."""
        found = [interface for interface in interfaces if thing in _addresses(interface)]
        if found and len(_addresses(found[0])) > 1:
            raise CommandError(
                f"The interface of {thing} has other addresses: {', '.join(_addresses(found[0]))}. "
                f"`openstack port set` changes what port {found[0]['port_id']} has."
            )
        return found

"""Security groups and floating IPs of servers."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, network_names
from nova_lite.cli.command import Command
from nova_lite.cli.faults import CommandError


class _ServerCommand(Command):
    """A command about one server and another thing."""

    metavar = ""
    what = ""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and the thing."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("thing", metavar=self.metavar, help=self.what)
        return parser


class _Group(_ServerCommand):
    metavar, what = "GROUP", "name or id"
    action = ""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask for it."""
        server = names.server(self.connection, parsed_args.server)
        group = network_names.security_group(self.connection, parsed_args.thing)
        self.connection.compute.post(f"servers/{server['id']}/action", {self.action: {"name": group["id"]}})


class AddSecurityGroup(_Group):
    """Put a server's ports into a security group."""

    action = "addSecurityGroup"


class RemoveSecurityGroup(_Group):
    """Take a server's ports out of a security group."""

    action = "removeSecurityGroup"


class AddFloatingIp(_ServerCommand):
    """Let a floating IP lead to a server."""

    metavar, what = "FLOATING-IP", "address or id"

    def get_parser(self, prog_name: str) -> Any:
        """Take which of the server's addresses."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--fixed-ip-address", metavar="ADDRESS", help="which of the server's addresses")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Choose the port that has the address, and ask for it."""
        floating = network_names.floating_ip(self.connection, parsed_args.thing)
        server = names.server(self.connection, parsed_args.server)
        held = [
            (port["id"], address["ip_address"])
            for port in self.connection.network.pages("ports", "ports", device_id=server["id"])
            for address in port["fixed_ips"]
            if ":" not in address["ip_address"] and parsed_args.fixed_ip_address in (None, address["ip_address"])
        ]
        if not held:
            raise CommandError(f"Server {parsed_args.server} has no such IPv4 address that could be led to.")
        port_id, address = held[0]
        target = {"port_id": port_id, "fixed_ip_address": address}
        self.connection.network.put(f"floatingips/{floating['id']}", {"floatingip": target})


class RemoveFloatingIp(_ServerCommand):
    """Let a floating IP lead to a server no more."""

    metavar, what = "FLOATING-IP", "address or id"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask for it, if it leads there."""
        floating = network_names.floating_ip(self.connection, parsed_args.thing)
        server = names.server(self.connection, parsed_args.server)
        leads = floating["port_details"] or {}
        if leads.get("device_id") != server["id"]:
            raise CommandError(f"Floating IP {parsed_args.thing} does not lead to server {parsed_args.server}.")
        self.connection.network.put(f"floatingips/{floating['id']}", {"floatingip": {"port_id": None}})

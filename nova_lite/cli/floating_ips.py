"""Floating IPs."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, network_names, network_options
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.network_options import given

_FIRST = ("id", "floating_ip_address", "fixed_ip_address", "status", "port_id", "router_id", "floating_network_id")


class ListFloatingIps(Lister):
    """List floating IPs."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--network", metavar="NETWORK", help="of this external network: name or id")
        parser.add_argument("--port", metavar="PORT", help="that lead to this port: name or id")
        parser.add_argument("--router", metavar="ROUTER", help="that this router leads: name or id")
        parser.add_argument("--fixed-ip-address", metavar="ADDRESS", help="that lead to this address")
        parser.add_argument("--floating-ip-address", metavar="ADDRESS", help="of this address")
        parser.add_argument("--status", choices=("ACTIVE", "DOWN"), help="that lead somewhere, or nowhere")
        parser.add_argument("--project", metavar="PROJECT-ID", help="of this project: its id (admins)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection
        query = given(
            {
                "floating_network_id": _id(names.network, found, parsed_args.network),
                "port_id": _id(names.port, found, parsed_args.port),
                "router_id": _id(network_names.router, found, parsed_args.router),
                "fixed_ip_address": parsed_args.fixed_ip_address,
                "floating_ip_address": parsed_args.floating_ip_address,
                "status": parsed_args.status,
                "project_id": parsed_args.project,
            }
        )
        columns = ("ID", "Floating IP Address", "Fixed IP Address", "Port", "Floating Network", "Project")
        members = ("id", "floating_ip_address", "fixed_ip_address", "port_id", "floating_network_id", "project_id")
        return columns, [
            tuple(item[member] for member in members)
            for item in found.network.pages("floatingips", "floatingips", **query)
        ]


def _id(find: Any, connection: Any, text: str | None) -> str | None:
    return None if text is None else str(find(connection, text)["id"])


class ShowFloatingIp(ShowOne):
    """Show a floating IP."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the floating IP."""
        parser = super().get_parser(prog_name)
        parser.add_argument("floating_ip", metavar="FLOATING-IP", help="address or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.floating_ip(self.connection, parsed_args.floating_ip)
        return fields(found, first=_FIRST, without=("tenant_id",))


class CreateFloatingIp(ShowOne):
    """Take a floating IP of an external network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="the external network: name or id")
        parser.add_argument("--subnet", metavar="SUBNET", help="of this subnet: name or id")
        parser.add_argument("--port", metavar="PORT", help="the port that it is to lead to: name or id")
        parser.add_argument("--fixed-ip-address", metavar="ADDRESS", help="which of the port's addresses")
        parser.add_argument("--floating-ip-address", metavar="ADDRESS", help="just this one (managers)")
        parser.add_argument("--qos-policy", metavar="POLICY", help="its limits: name or id of a QoS policy")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        found = self.connection
        wanted = given(
            {
                "floating_network_id": names.network(found, parsed_args.network)["id"],
                "subnet_id": _id(names.subnet, found, parsed_args.subnet),
                "port_id": _id(names.port, found, parsed_args.port),
                "fixed_ip_address": parsed_args.fixed_ip_address,
                "floating_ip_address": parsed_args.floating_ip_address,
                "qos_policy_id": _id(network_names.qos_policy, found, parsed_args.qos_policy),
                "description": parsed_args.description,
                "project_id": parsed_args.project,
            }
        )
        made = found.network.post("floatingips", {"floatingip": wanted})["floatingip"]
        return fields(made, first=_FIRST, without=("tenant_id",))


class DeleteFloatingIps(Deletion):
    """Give floating IPs back."""

    noun = "floating ip"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"floatingips/{network_names.floating_ip(self.connection, name)['id']}")


class _Change(Command):
    def get_parser(self, prog_name: str) -> Any:
        """Take the floating IP."""
        parser = super().get_parser(prog_name)
        parser.add_argument("floating_ip", metavar="FLOATING-IP", help="address or id")
        return parser

    def _change(self, parsed_args: argparse.Namespace, values: dict[str, Any]) -> None:
        found = network_names.floating_ip(self.connection, parsed_args.floating_ip)
        if values:
            self.connection.network.put(f"floatingips/{found['id']}", {"floatingip": values})


class SetFloatingIp(_Change):
    """Let a floating IP lead to a port; change its limits."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--port", metavar="PORT", help="the port that it is to lead to: name or id")
        parser.add_argument("--fixed-ip-address", metavar="ADDRESS", help="which of the port's addresses")
        parser.add_argument("--description", metavar="TEXT", help="another description")
        limits = parser.add_mutually_exclusive_group()
        limits.add_argument("--qos-policy", metavar="POLICY", help="its limits: name or id of a QoS policy")
        limits.add_argument("--no-qos-policy", action="store_true", help="no limits")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        values = given(
            {
                "port_id": _id(names.port, self.connection, parsed_args.port),
                "fixed_ip_address": parsed_args.fixed_ip_address,
                "description": parsed_args.description,
                "qos_policy_id": _id(network_names.qos_policy, self.connection, parsed_args.qos_policy),
            }
        )
        self._change(parsed_args, {**values, **({"qos_policy_id": None} if parsed_args.no_qos_policy else {})})


class UnsetFloatingIp(_Change):
    """Let a floating IP lead nowhere; take its limits away."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--port", action="store_true", help="where it leads")
        parser.add_argument("--qos-policy", action="store_true", help="its limits")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        wanted = {"port_id": parsed_args.port, "qos_policy_id": parsed_args.qos_policy}
        self._change(parsed_args, {name: None for name, asked in wanted.items() if asked})

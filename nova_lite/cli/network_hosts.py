"""What the Network API tells of hosts and of addresses left; topologies that it makes by itself; its quotas."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from nova_lite.cli import names, quotas
from nova_lite.cli.command import Command, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError

_COUNTS = {
    "network": "networks",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
    "port": "ports",
    "router": "routers",
    "floatingip": "floating-ips",
    "security_group": "secgroups",
    "security_group_rule": "secgroup-rules",
    "rbac_policy": "rbac-policies",
}
"""Neutron's names, with the options' as upstream has them."""


class ListAgents(Lister):
    """List the hosts as agents of networks (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", metavar="HOST", help="of this host")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.network.get("agents", host=parsed_args.host)["agents"]
        columns = ("ID", "Agent Type", "Host", "Availability Zone", "Alive", "State", "Binary")
        return columns, [
            (
                item["id"],
                item["agent_type"],
                item["host"],
                item["availability_zone"],
                item["alive"],
                "UP" if item["admin_state_up"] else "DOWN",
                item["binary"],
            )
            for item in found
        ]


class ShowAgent(ShowOne):
    """Show a host as an agent of networks (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the agent."""
        parser = super().get_parser(prog_name)
        parser.add_argument("agent", metavar="AGENT-ID", help="its id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = self.connection.network.get(f"agents/{quote(parsed_args.agent, safe='')}")["agent"]
        return fields(found, first=("id", "host", "agent_type", "alive", "admin_state_up", "availability_zone"))


class ListAvailability(Lister):
    """List how many addresses networks have, and how many are held (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--ip-version", choices=("4", "6"), default="4", help="of this IP version (default: 4)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.network.get("network-ip-availabilities", ip_version=parsed_args.ip_version)
        return ("Network ID", "Network Name", "Total IPs", "Used IPs"), [
            (item["network_id"], item["network_name"], item["total_ips"], item["used_ips"])
            for item in found["network_ip_availabilities"]
        ]


class ShowAvailability(ShowOne):
    """Show how many addresses a network has, and how many are held (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the network."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        network = names.network(self.connection, parsed_args.network)
        found = self.connection.network.get(f"network-ip-availabilities/{network['id']}")["network_ip_availability"]
        return fields(found, first=("network_id", "network_name", "total_ips", "used_ips"), without=("tenant_id",))


class CreateTopology(ShowOne):
    """Have a network with a router to the outside made for the project, or show the one that was."""

    def get_parser(self, prog_name: str) -> Any:
        """Take whose, and whether it is only asked for."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT-ID", help="whose: a project's id (admins)")
        parser.add_argument("--check-resources", action="store_true", help="only say whether it could be made")
        parser.add_argument("--or-show", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Have it made."""
        path = f"auto-allocated-topology/{quote(parsed_args.project or 'None', safe='')}"
        found = self.connection.network.get(path, fields="dry-run" if parsed_args.check_resources else None)
        return fields(found["auto_allocated_topology"], first=("id",), without=("tenant_id",))


class DeleteTopology(Command):
    """Delete the network and router that were made for the project."""

    def get_parser(self, prog_name: str) -> Any:
        """Take whose."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT-ID", help="whose: a project's id (admins)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        self.connection.network.delete(f"auto-allocated-topology/{quote(parsed_args.project or 'None', safe='')}")


class ShowQuota(Lister):
    """Show what of networks a project may have, and what it has; -1 is unlimited."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", nargs="?", help="name or id (default: your own)")
        parser.add_argument("--default", action="store_true", help="what a project begins with")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        path = f"quotas/{quotas.project_id(self.connection, parsed_args.project)}"
        if parsed_args.default:
            found = self.connection.network.get(f"{path}/default")["quota"]
            return ("Resource", "Limit"), sorted(found.items())
        found = self.connection.network.get(f"{path}/details.json")["quota"]
        return ("Resource", "Limit", "In Use"), [
            (name, item["limit"], item["used"]) for name, item in sorted(found.items())
        ]


class SetQuota(Command):
    """Set what of networks a project may have (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project and the limits."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help="name or id")
        for name, option in _COUNTS.items():
            parser.add_argument(f"--{option}", dest=name, type=int, metavar="COUNT", help=f"{option}; -1: any number")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set them."""
        limits = {name: getattr(parsed_args, name) for name in _COUNTS if getattr(parsed_args, name) is not None}
        if not limits:
            raise CommandError("Say at least one limit: " + ", ".join(f"--{option}" for option in _COUNTS.values()))
        project = quotas.project_id(self.connection, parsed_args.project)
        self.connection.network.put(f"quotas/{project}", {"quota": limits})


class DeleteQuota(Command):
    """Let a project have what every project begins with (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set them back."""
        self.connection.network.delete(f"quotas/{quotas.project_id(self.connection, parsed_args.project)}")

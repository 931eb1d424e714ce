"""Address groups."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import network_names, network_options
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.network_options import given

_FIRST = ("id", "name", "description", "addresses", "project_id")


def _address_option(parser: Any) -> None:
    parser.add_argument(
        "--address", action="append", default=[], metavar="CIDR", help="an address or CIDR; may be repeated"
    )


class ListAddressGroups(Lister):
    """List address groups."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        return ("ID", "Name", "Description", "Project", "Addresses"), [
            (item["id"], item["name"], item["description"], item["project_id"], Joined(item["addresses"]))
            for item in self.connection.network.pages("address-groups", "address_groups")
        ]


class ShowAddressGroup(ShowOne):
    """Show an address group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the group."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="ADDRESS-GROUP", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.address_group(self.connection, parsed_args.group)
        return fields(found, first=_FIRST, without=("tenant_id",))


class CreateAddressGroup(ShowOne):
    """Create an address group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the group's name")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        _address_option(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        group = given(
            {
                "name": parsed_args.name,
                "description": parsed_args.description,
                "addresses": parsed_args.address,
                "project_id": parsed_args.project,
            }
        )
        made = self.connection.network.post("address-groups", {"address_group": group})["address_group"]
        return fields(made, first=_FIRST, without=("tenant_id",))


class SetAddressGroup(Command):
    """Change an address group's names; add addresses to it."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="ADDRESS-GROUP", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        parser.add_argument("--description", metavar="TEXT", help="another description")
        _address_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        path = f"address-groups/{network_names.address_group(self.connection, parsed_args.group)['id']}"
        values = given({"name": parsed_args.name, "description": parsed_args.description})
        if values:
            self.connection.network.put(path, {"address_group": values})
        if parsed_args.address:
            self.connection.network.put(f"{path}/add_addresses", {"addresses": parsed_args.address})


class UnsetAddressGroup(Command):
    """Remove addresses of an address group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="ADDRESS-GROUP", help="name or id")
        _address_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        path = f"address-groups/{network_names.address_group(self.connection, parsed_args.group)['id']}"
        if parsed_args.address:
            self.connection.network.put(f"{path}/remove_addresses", {"addresses": parsed_args.address})


class DeleteAddressGroups(Deletion):
    """Delete address groups that no rule refers to."""

    noun = "address group"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"address-groups/{network_names.address_group(self.connection, name)['id']}")

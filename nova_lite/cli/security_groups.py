"""Security groups."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import network_names, network_options
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.network_options import given, switch

_FIRST = ("id", "name", "description", "stateful", "project_id", "security_group_rules")


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    switch(
        parser, "--stateful", "--stateless", "stateful", "answers may come back (the default)", "every packet by rule"
    )


class ListSecurityGroups(Lister):
    """List security groups."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT-ID", help="of this project: its id (admins)")
        parser.add_argument("--tags", metavar="TAG,TAG", help="with all of these tags")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = given({"project_id": parsed_args.project, "tags": parsed_args.tags})
        return ("ID", "Name", "Description", "Project", "Stateful"), [
            (item["id"], item["name"], item["description"], item["project_id"], item["stateful"])
            for item in self.connection.network.pages("security-groups", "security_groups", **query)
        ]


class ShowSecurityGroup(ShowOne):
    """Show a security group with its rules."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the group."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.security_group(self.connection, parsed_args.group)
        return fields(_short(found), first=_FIRST, without=("tenant_id",))


def _short(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group whose rules say only what they do."""
    without = ("tenant_id", "project_id", "created_at", "updated_at", "revision_number", "tags", "security_group_id")
    return {
        **group,
        "security_group_rules": [
            {name: value for name, value in rule.items() if value not in (None, "") and name not in without}
            for rule in group["security_group_rules"]
        ],
    }


class CreateSecurityGroup(ShowOne):
    """Create a security group: all may leave, nothing may come in."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the group's name")
        _options(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        group = given(
            {
                "name": parsed_args.name,
                "description": parsed_args.description or parsed_args.name,
                "stateful": parsed_args.stateful,
                "project_id": parsed_args.project,
            }
        )
        made = self.connection.network.post("security-groups", {"security_group": group})["security_group"]
        return fields(_short(made), first=_FIRST, without=("tenant_id",))


class SetSecurityGroup(Command):
    """Change a security group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        _options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = network_names.security_group(self.connection, parsed_args.group)
        values = given(
            {"name": parsed_args.name, "description": parsed_args.description, "stateful": parsed_args.stateful}
        )
        if values:
            self.connection.network.put(f"security-groups/{found['id']}", {"security_group": values})


class DeleteSecurityGroups(Deletion):
    """Delete security groups that no port is in."""

    noun = "security group"

    def remove(self, name: str) -> None:
        """Delete one."""
        found = network_names.security_group(self.connection, name)
        self.connection.network.delete(f"security-groups/{found['id']}")

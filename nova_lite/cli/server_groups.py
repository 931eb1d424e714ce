"""Server groups: servers that are to be together, or apart."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import Joined, Pairs
from nova_lite.cli.command import Deletion, Lister, ShowOne, pair, positive

_POLICIES = ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity")
_COLUMNS = ("ID", "Name", "Policy", "Members")
_LONG = ("Rules", "Project ID", "User ID")


def _row(group: Mapping[str, Any]) -> tuple[Any, ...]:
    return group["id"], group["name"], group["policy"], Joined(group["members"])


def _long_row(group: Mapping[str, Any]) -> tuple[Any, ...]:
    return Pairs(group.get("rules") or {}), group.get("project_id"), group.get("user_id")


def _shown(group: Mapping[str, Any]) -> tuple[Any, Any]:
    return _COLUMNS + _LONG, _row(group) + _long_row(group)


class ListServerGroups(Lister):
    """List server groups."""

    def get_parser(self, prog_name: str) -> Any:
        """Take which."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--all-projects", action="store_true", help="of every project (admins)")
        parser.add_argument("--long", action="store_true", help="show more columns")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: 1000)")
        parser.add_argument("--offset", type=int, metavar="N", help="without the first N")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {
            "all_projects": "1" if parsed_args.all_projects else None,
            "limit": parsed_args.limit,
            "offset": parsed_args.offset,
        }
        found = self.connection.compute.get("os-server-groups", **query)["server_groups"]
        if not parsed_args.long:
            return _COLUMNS, [_row(group) for group in found]
        return _COLUMNS + _LONG, [_row(group) + _long_row(group) for group in found]


class ShowServerGroup(ShowOne):
    """Show a server group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the group."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return _shown(names.server_group(self.connection, parsed_args.group))


class CreateServerGroup(ShowOne):
    """Make a server group; servers join it when they are made: `server create --server-group GROUP`."""

    def get_parser(self, prog_name: str) -> Any:
        """Take its name and policy."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the group's name")
        parser.add_argument(
            "--policy",
            choices=_POLICIES,
            default="affinity",
            help="on one host, or each on another (default: affinity)",
        )
        parser.add_argument(
            "--rule",
            type=pair,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="max_server_per_host=N, with anti-affinity",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        group: dict[str, Any] = {"name": parsed_args.name, "policy": parsed_args.policy}
        if parsed_args.rule:
            group["rules"] = dict(parsed_args.rule)
        return _shown(self.connection.compute.post("os-server-groups", {"server_group": group})["server_group"])


class DeleteServerGroups(Deletion):
    """Delete server groups; their servers go on."""

    noun = "server group"

    def remove(self, name: str) -> None:
        """Delete one."""
        found = names.server_group(self.connection, name)
        self.connection.compute.delete(f"os-server-groups/{found['id']}")

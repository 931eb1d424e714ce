"""Subnet pools."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import network_names, network_options, network_tags
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.network_options import given, switch

_FIRST = ("id", "name", "prefixes", "ip_version", "default_prefixlen")


class ListSubnetPools(Lister):
    """List subnet pools."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        network_options.filters(parser)
        switch(parser, "--share", "--no-share", "shared", "only those that are shared", "only those that are not")
        switch(parser, "--default", "--no-default", "default", "only the default ones", "only the others")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {
            **network_options.filtered(parsed_args),
            "shared": parsed_args.shared,
            "is_default": parsed_args.default,
        }
        return ("ID", "Name", "Prefixes"), [
            (item["id"], item["name"], Joined(item["prefixes"]))
            for item in self.connection.network.pages("subnetpools", "subnetpools", **query)
        ]


class ShowSubnetPool(ShowOne):
    """Show a subnet pool."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the pool."""
        parser = super().get_parser(prog_name)
        parser.add_argument("pool", metavar="POOL", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.subnet_pool(self.connection, parsed_args.pool)
        return fields(found, first=_FIRST, without=("tenant_id",))


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    for name in ("default", "min", "max"):
        option = f"--{name}-prefix-length"
        parser.add_argument(option, type=int, metavar="BITS", help=f"{name} length of its subnets' prefixes")
    parser.add_argument(
        "--default-quota", type=int, metavar="COUNT", help="addresses (IPv4) or /64s a project may take"
    )
    switch(parser, "--default", "--no-default", "default", "subnets take from it unasked (admins)", "they do not")


def _members(parsed_args: argparse.Namespace) -> dict[str, Any]:
    return given(
        {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "default_prefixlen": parsed_args.default_prefix_length,
            "min_prefixlen": parsed_args.min_prefix_length,
            "max_prefixlen": parsed_args.max_prefix_length,
            "default_quota": parsed_args.default_quota,
            "is_default": parsed_args.default,
        }
    )


class CreateSubnetPool(ShowOne):
    """Create a subnet pool."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the pool's name")
        parser.add_argument(
            "--pool-prefix", action="append", required=True, metavar="CIDR", help="a prefix; may be repeated"
        )
        _options(parser)
        parser.add_argument("--share", action="store_true", help="let every project take from it (admins)")
        network_tags.new_options(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        pool = _members(parsed_args) | given(
            {
                "prefixes": parsed_args.pool_prefix,
                "shared": parsed_args.share or None,
                "project_id": parsed_args.project,
            }
        )
        made = self.connection.network.post("subnetpools", {"subnetpool": pool})["subnetpool"]
        made = network_tags.give(self.connection, "subnetpools", made, parsed_args.tag)
        return fields(made, first=_FIRST, without=("tenant_id",))


class SetSubnetPool(Command):
    """Change a subnet pool; prefixes are added."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the pool and what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("pool", metavar="POOL", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        parser.add_argument(
            "--pool-prefix", action="append", default=[], metavar="CIDR", help="one more; may be repeated"
        )
        _options(parser)
        network_tags.set_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = network_names.subnet_pool(self.connection, parsed_args.pool)
        members = _members(parsed_args)
        if parsed_args.pool_prefix:
            members["prefixes"] = [*found["prefixes"], *parsed_args.pool_prefix]
        if members:
            self.connection.network.put(f"subnetpools/{found['id']}", {"subnetpool": members})
        network_tags.change(self.connection, "subnetpools", found, parsed_args)


class UnsetSubnetPool(Command):
    """Take tags off a subnet pool."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the pool and the tags."""
        parser = super().get_parser(prog_name)
        parser.add_argument("pool", metavar="POOL", help="name or id")
        network_tags.unset_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take them off."""
        found = network_names.subnet_pool(self.connection, parsed_args.pool)
        network_tags.take(self.connection, "subnetpools", found, parsed_args)


class DeleteSubnetPools(Deletion):
    """Delete subnet pools that no subnet is from."""

    noun = "subnet pool"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"subnetpools/{network_names.subnet_pool(self.connection, name)['id']}")

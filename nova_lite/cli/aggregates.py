"""Aggregates: hosts with something in common, and the availability zones that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import Joined, Pairs
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, pair
from nova_lite.cli.faults import CommandError

ZONE = "availability_zone"
_COLUMNS = ("ID", "Name", "Availability Zone", "Hosts", "Properties")


def _row(aggregate: Mapping[str, Any]) -> tuple[Any, ...]:
    properties = {key: value for key, value in (aggregate.get("metadata") or {}).items() if key != ZONE}
    return (
        aggregate["id"],
        aggregate["name"],
        aggregate[ZONE],
        Joined(aggregate.get("hosts") or []),
        Pairs(properties),
    )


def _shown(aggregate: Mapping[str, Any]) -> tuple[Any, Any]:
    return (*_COLUMNS, "UUID", "Created At", "Updated At"), (
        *_row(aggregate),
        aggregate.get("uuid"),
        aggregate.get("created_at"),
        aggregate.get("updated_at"),
    )


def _act(command: Any, aggregate_id: Any, action: str, argument: Mapping[str, Any]) -> dict[str, Any]:
    body = {action: dict(argument)}
    return dict(command.connection.compute.post(f"os-aggregates/{aggregate_id}/action", body)["aggregate"])


class ListAggregates(Lister):
    """List aggregates (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is typed elsewhere too."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--long", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        return _COLUMNS, [_row(item) for item in self.connection.compute.get("os-aggregates")["aggregates"]]


class ShowAggregate(ShowOne):
    """Show an aggregate (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the aggregate."""
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", metavar="AGGREGATE", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return _shown(names.aggregate(self.connection, parsed_args.aggregate))


class CreateAggregate(ShowOne):
    """Make an aggregate, without hosts (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take its name and what it has."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the aggregate's name")
        parser.add_argument("--zone", metavar="ZONE", help="the availability zone that its hosts are in")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="a property; repeatable"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        wanted = {"name": parsed_args.name, ZONE: parsed_args.zone}
        compute = self.connection.compute
        made = compute.post("os-aggregates", {"aggregate": wanted})["aggregate"]
        if parsed_args.property:
            _act(self, made["id"], "set_metadata", {"metadata": dict(parsed_args.property)})
        return _shown(compute.get(f"os-aggregates/{made['id']}")["aggregate"])


class SetAggregate(Command):
    """Change an aggregate's name, zone or properties (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", metavar="AGGREGATE", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        parser.add_argument("--zone", metavar="ZONE", help="the availability zone that its hosts are in")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="set a property"
        )
        parser.add_argument("--no-property", action="store_true", help="remove all properties first")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.aggregate(self.connection, parsed_args.aggregate)
        changes = {"name": parsed_args.name, ZONE: parsed_args.zone}
        changes = {key: value for key, value in changes.items() if value is not None}
        items: dict[str, Any] = dict.fromkeys(found["metadata"]) if parsed_args.no_property else {}
        items.pop(ZONE, None)
        items |= dict(parsed_args.property)
        if not (changes or parsed_args.property or parsed_args.no_property):
            raise CommandError("Nothing is to be changed: give --name, --zone, --property or --no-property.")
        if changes:
            self.connection.compute.put(f"os-aggregates/{found['id']}", {"aggregate": changes})
        if items:
            _act(self, found["id"], "set_metadata", {"metadata": items})


class UnsetAggregate(Command):
    """Remove properties of an aggregate (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", metavar="AGGREGATE", help="name or id")
        parser.add_argument(
            "--property", action="append", required=True, metavar="KEY", help="a property; may be repeated"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.aggregate(self.connection, parsed_args.aggregate)
        _act(self, found["id"], "set_metadata", {"metadata": dict.fromkeys(parsed_args.property)})


class _OfHost(ShowOne):
    """The base: do something about one host of an aggregate."""

    action = ""

    def get_parser(self, prog_name: str) -> Any:
        """Take the aggregate and the host."""
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", metavar="AGGREGATE", help="name or id")
        parser.add_argument("host", metavar="HOST", help="its name, as `hypervisor list` shows it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Do it."""
        found = names.aggregate(self.connection, parsed_args.aggregate)
        return _shown(_act(self, found["id"], self.action, {"host": parsed_args.host}))


class AddHost(_OfHost):
    """Put a host into an aggregate (admins)."""

    action = "add_host"


class RemoveHost(_OfHost):
    """Take a host out of an aggregate (admins)."""

    action = "remove_host"


class CacheImages(Command):
    """Have an aggregate's hosts fetch images before anybody needs them (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the aggregate and the images."""
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", metavar="AGGREGATE", help="name or id")
        parser.add_argument("images", metavar="IMAGE", nargs="+", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask for it."""
        found = names.aggregate(self.connection, parsed_args.aggregate)
        wanted = [{"id": names.image(self.connection, name)["id"]} for name in parsed_args.images]
        self.connection.compute.post(f"os-aggregates/{found['id']}/images", {"cache": wanted})


class DeleteAggregates(Deletion):
    """Delete aggregates that have no hosts (admins)."""

    noun = "aggregate"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.compute.delete(f"os-aggregates/{names.aggregate(self.connection, name)['id']}")

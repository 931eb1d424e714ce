"""Flavors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from nova_lite.cli import names
from nova_lite.cli.cells import Pairs
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, not_negative, pair, positive
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError

_COLUMNS = ("ID", "Name", "RAM", "Disk", "Ephemeral", "VCPUs", "Is Public")
_LONG = ("Swap", "RXTX Factor", "Properties")


def _row(flavor: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        flavor["id"],
        flavor["name"],
        flavor["ram"],
        flavor["disk"],
        flavor.get("OS-FLV-EXT-DATA:ephemeral"),
        flavor["vcpus"],
        flavor.get("os-flavor-access:is_public"),
    )


def _long_row(flavor: Mapping[str, Any], specs: Mapping[str, str]) -> tuple[Any, ...]:
    return flavor.get("swap") or 0, flavor.get("rxtx_factor"), Pairs(dict(specs))


def _specs(connection: Connection, flavor: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a flavor's extra specs; those that may not be read count as none."""
    if "extra_specs" in flavor:
        return dict(flavor["extra_specs"])
    return dict(connection.compute.get(f"flavors/{quote(flavor['id'], safe='')}/os-extra_specs")["extra_specs"])


def _shown(connection: Connection, flavor: Mapping[str, Any]) -> tuple[Any, Any]:
    cells = _row(flavor) + _long_row(flavor, _specs(connection, flavor)) + (flavor.get("description"),)
    return (*_COLUMNS, *_LONG, "Description"), cells


class ListFlavors(Lister):
    """List flavors."""

    def get_parser(self, prog_name: str) -> Any:
        """Take which."""
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--public", dest="public", action="store_const", const="True", help="public ones (default)")
        which.add_argument("--private", dest="public", action="store_const", const="False", help="those that are not")
        which.add_argument("--all", dest="public", action="store_const", const="None", help="both")
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = list(self.connection.compute.pages("flavors/detail", "flavors", is_public=parsed_args.public))
        if not parsed_args.long:
            return _COLUMNS, [_row(flavor) for flavor in found]
        rows = [_row(flavor) + _long_row(flavor, _specs(self.connection, flavor)) for flavor in found]
        return _COLUMNS + _LONG, rows


class ShowFlavor(ShowOne):
    """Show a flavor."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the flavor."""
        parser = super().get_parser(prog_name)
        parser.add_argument("flavor", metavar="FLAVOR", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return _shown(self.connection, names.flavor(self.connection, parsed_args.flavor))


class CreateFlavor(ShowOne):
    """Create a flavor."""

    def get_parser(self, prog_name: str) -> Any:
        """Take its sizes."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the flavor's name")
        parser.add_argument("--id", default=None, metavar="ID", help="its id (default: a random one)")
        parser.add_argument("--ram", type=positive, default=256, metavar="MIB", help="memory (default: 256)")
        parser.add_argument(
            "--disk", type=not_negative, default=0, metavar="GIB", help="root disk (0: the image's size)"
        )
        parser.add_argument(
            "--ephemeral", type=not_negative, default=0, metavar="GIB", help="another disk (default: 0)"
        )
        parser.add_argument("--swap", type=not_negative, default=0, metavar="MIB", help="swap (default: 0)")
        parser.add_argument("--vcpus", type=positive, default=1, metavar="N", help="processors (default: 1)")
        parser.add_argument("--private", action="store_true", help="for chosen projects only")
        parser.add_argument("--public", dest="private", action="store_false", help="for all (default)")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="an extra spec; repeatable"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        flavor = {
            "name": parsed_args.name,
            "id": parsed_args.id,
            "ram": parsed_args.ram,
            "disk": parsed_args.disk,
            "OS-FLV-EXT-DATA:ephemeral": parsed_args.ephemeral,
            "swap": parsed_args.swap,
            "vcpus": parsed_args.vcpus,
            "os-flavor-access:is_public": not parsed_args.private,
        }
        if parsed_args.description is not None:
            flavor["description"] = parsed_args.description
        compute = self.connection.compute
        made = compute.post("flavors", {"flavor": flavor})["flavor"]
        if parsed_args.property:
            path = f"flavors/{quote(made['id'], safe='')}/os-extra_specs"
            made["extra_specs"] = compute.post(path, {"extra_specs": dict(parsed_args.property)})["extra_specs"]
        return _shown(self.connection, made)


class SetFlavor(Command):
    """Change a flavor's description or extra specs."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("flavor", metavar="FLAVOR", help="name or id")
        parser.add_argument("--description", metavar="TEXT", help="the new description")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="set an extra spec"
        )
        parser.add_argument("--no-property", action="append", default=[], metavar="KEY", help="remove an extra spec")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        if not (parsed_args.property or parsed_args.no_property) and parsed_args.description is None:
            raise CommandError("Nothing is to be changed: give --description, --property or --no-property.")
        compute = self.connection.compute
        path = f"flavors/{quote(names.flavor(self.connection, parsed_args.flavor)['id'], safe='')}"
        if parsed_args.description is not None:
            compute.put(path, {"flavor": {"description": parsed_args.description}})
        if parsed_args.property:
            compute.post(f"{path}/os-extra_specs", {"extra_specs": dict(parsed_args.property)})
        for key in parsed_args.no_property:
            compute.delete(f"{path}/os-extra_specs/{quote(key, safe='')}")


class DeleteFlavors(Deletion):
    """Delete flavors; servers keep what they have of them."""

    noun = "flavor"

    def remove(self, name: str) -> None:
        """Delete one."""
        found = names.flavor(self.connection, name)
        self.connection.compute.delete(f"flavors/{quote(found['id'], safe='')}")

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
        parser.add_argument("--min-ram", type=not_negative, metavar="MIB", help="with at least this memory")
        parser.add_argument("--min-disk", type=not_negative, metavar="GIB", help="with at least this disk")
        parser.add_argument("--long", action="store_true", help="show more columns")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--marker", metavar="ID", help="those after this flavor")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query: dict[str, Any] = {
            "is_public": parsed_args.public,
            "minRam": parsed_args.min_ram,
            "minDisk": parsed_args.min_disk,
            "marker": parsed_args.marker,
        }
        if parsed_args.limit:
            found = self.connection.compute.get("flavors/detail", limit=parsed_args.limit, **query)["flavors"]
        else:
            found = list(self.connection.compute.pages("flavors/detail", "flavors", **query))
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
            "--ephemeral", type=not_negative, default=0, metavar="GIB", help="ephemeral disks, in all (default: 0)"
        )
        parser.add_argument("--swap", type=not_negative, default=0, metavar="MIB", help="swap disk (default: 0)")
        parser.add_argument("--vcpus", type=positive, default=1, metavar="N", help="processors (default: 1)")
        parser.add_argument("--private", action="store_true", help="for chosen projects only")
        parser.add_argument("--public", dest="private", action="store_false", help="for all (default)")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        parser.add_argument(
            "--rxtx-factor", type=float, default=None, metavar="N", help="for who reads it (default: 1.0)"
        )
        parser.add_argument("--project", metavar="PROJECT", help="with --private: who may use it")
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
        if parsed_args.rxtx_factor is not None:
            flavor["rxtx_factor"] = parsed_args.rxtx_factor
        if parsed_args.project and not parsed_args.private:
            raise CommandError("--project goes with --private: everybody may use a public flavor.")
        project = names.project(self.connection, parsed_args.project)["id"] if parsed_args.project else None
        compute = self.connection.compute
        made = compute.post("flavors", {"flavor": flavor})["flavor"]
        if project:
            access = {"addTenantAccess": {"tenant": project}}
            compute.post(f"flavors/{quote(made['id'], safe='')}/action", access)
        if parsed_args.property:
            path = f"flavors/{quote(made['id'], safe='')}/os-extra_specs"
            made["extra_specs"] = compute.post(path, {"extra_specs": dict(parsed_args.property)})["extra_specs"]
        return _shown(self.connection, made)


def _path(connection: Connection, text: str) -> str:
    return f"flavors/{quote(names.flavor(connection, text)['id'], safe='')}"


class SetFlavor(Command):
    """Change a flavor's description or extra specs, or let projects use it (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("flavor", metavar="FLAVOR", help="name or id")
        parser.add_argument("--description", metavar="TEXT", help="the new description")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="set an extra spec"
        )
        parser.add_argument("--no-property", action="append", default=[], metavar="KEY", help="remove an extra spec")
        parser.add_argument(
            "--project",
            action="append",
            default=[],
            metavar="PROJECT",
            help="let this project use it, if it is private",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        given = parsed_args.property or parsed_args.no_property or parsed_args.project
        if not given and parsed_args.description is None:
            raise CommandError("Nothing is to be changed: give --description, --property, --no-property or --project.")
        compute = self.connection.compute
        path = _path(self.connection, parsed_args.flavor)
        if parsed_args.description is not None:
            compute.put(path, {"flavor": {"description": parsed_args.description}})
        if parsed_args.property:
            compute.post(f"{path}/os-extra_specs", {"extra_specs": dict(parsed_args.property)})
        for key in parsed_args.no_property:
            compute.delete(f"{path}/os-extra_specs/{quote(key, safe='')}")
        for name in parsed_args.project:
            project = names.project(self.connection, name)["id"]
            compute.post(f"{path}/action", {"addTenantAccess": {"tenant": project}})


class UnsetFlavor(Command):
    """Remove extra specs of a flavor, or take projects' right to use it (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("flavor", metavar="FLAVOR", help="name or id")
        parser.add_argument("--property", action="append", default=[], metavar="KEY", help="an extra spec; repeatable")
        parser.add_argument(
            "--project", action="append", default=[], metavar="PROJECT", help="a project that is not to use it any more"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        if not (parsed_args.property or parsed_args.project):
            raise CommandError("Nothing is to be changed: give --property or --project.")
        compute = self.connection.compute
        path = _path(self.connection, parsed_args.flavor)
        for key in parsed_args.property:
            compute.delete(f"{path}/os-extra_specs/{quote(key, safe='')}")
        for name in parsed_args.project:
            project = names.project(self.connection, name)["id"]
            compute.post(f"{path}/action", {"removeTenantAccess": {"tenant": project}})


class ListAccess(Lister):
    """List the projects that may use a private flavor (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the flavor."""
        parser = super().get_parser(prog_name)
        parser.add_argument("flavor", metavar="FLAVOR", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.get(f"{_path(self.connection, parsed_args.flavor)}/os-flavor-access")
        return ("Flavor ID", "Project ID"), [(row["flavor_id"], row["tenant_id"]) for row in found["flavor_access"]]


class DeleteFlavors(Deletion):
    """Delete flavors; servers keep what they have of them."""

    noun = "flavor"

    def remove(self, name: str) -> None:
        """Delete one."""
        found = names.flavor(self.connection, name)
        self.connection.compute.delete(f"flavors/{quote(found['id'], safe='')}")

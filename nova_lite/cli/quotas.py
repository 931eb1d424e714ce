"""Quotas: what projects may have."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Command, Lister
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError

_OPTIONS = {
    "instances": ("--instances", "servers"),
    "cores": ("--cores", "vCPUs"),
    "ram": ("--ram", "memory, MiB"),
    "key_pairs": ("--key-pairs", "keypairs of one user"),
    "metadata_items": ("--properties", "properties of one server"),
    "server_groups": ("--server-groups", "server groups"),
    "server_group_members": ("--server-group-members", "servers in one group"),
}
"""Nova's names, with the option and what it counts."""


def _limit(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -2
    if value < -1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of at least 0, or -1: unlimited")
    return value


def project_id(connection: Connection, text: str | None) -> str:
    """Return the id of the project that is named, or of one's own."""
    return str(names.project(connection, text)["id"]) if text else connection.project_id


class ShowQuota(Lister):
    """Show what a project may have, and what it has of it; -1 is unlimited."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", nargs="?", help="name or id (default: your own)")
        parser.add_argument("--default", action="store_true", help="what a project begins with")
        for option in ("--usage", "--compute"):
            parser.add_argument(option, action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        path = f"os-quota-sets/{project_id(self.connection, parsed_args.project)}"
        compute = self.connection.compute
        if parsed_args.default:
            found = compute.get(f"{path}/defaults")["quota_set"]
            return ("Resource", "Limit"), [(name, found[name]) for name in _OPTIONS if name in found]
        found = compute.get(f"{path}/detail")["quota_set"]
        rows = [(name, found[name]["limit"], found[name]["in_use"]) for name in _OPTIONS if name in found]
        return ("Resource", "Limit", "In Use"), rows


class ListQuotas(Lister):
    """List the projects whose quota is not the default (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is typed elsewhere too."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--compute", action="store_true", help="no effect; for those who type it")
        parser.add_argument("--all", action="store_true", help="those with the default, too")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Compare each project's with the default."""
        compute = self.connection.compute
        rows = []
        for project in self.connection.identity.get("projects")["projects"]:
            path = f"os-quota-sets/{project['id']}"
            found = compute.get(path)["quota_set"]
            if parsed_args.all or found != compute.get(f"{path}/defaults")["quota_set"]:
                rows.append((project["id"], project["name"], *(found.get(name) for name in _OPTIONS)))
        return ("Project ID", "Project", *_OPTIONS), rows


class SetQuota(Command):
    """Set what a project may have, or what every project begins with (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project and its limits."""
        parser = super().get_parser(prog_name)
        whose = parser.add_mutually_exclusive_group()
        whose.add_argument("project", metavar="PROJECT", nargs="?", help="name or id")
        whose.add_argument("--default", action="store_true", help="what every project begins with")
        for name, (option, text) in _OPTIONS.items():
            parser.add_argument(option, dest=name, type=_limit, metavar="N", help=f"{text}; -1: unlimited")
        parser.add_argument("--force", action="store_true", help="even below what is in use")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set it."""
        limits = {name: getattr(parsed_args, name) for name in _OPTIONS if getattr(parsed_args, name) is not None}
        if not limits:
            raise CommandError(f"Nothing is to be set: give {', '.join(option for option, _ in _OPTIONS.values())}.")
        if parsed_args.default:
            self.connection.compute.put("os-quota-class-sets/default", {"quota_class_set": limits})
            return
        if not parsed_args.project:
            raise CommandError("Whose? Name a project, or give --default.")
        body: dict[str, Any] = dict(limits)
        if parsed_args.force:
            body["force"] = True
        path = f"os-quota-sets/{project_id(self.connection, parsed_args.project)}"
        self.connection.compute.put(path, {"quota_set": body})


class DeleteQuota(Command):
    """Let a project have the default again (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help="name or id")
        parser.add_argument("--compute", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take back what was set."""
        path = f"os-quota-sets/{project_id(self.connection, parsed_args.project)}"
        self.connection.compute.delete(path)

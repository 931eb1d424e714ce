"""Change what a server's user may change: its name, description, properties, tags; and, as an admin, its state."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from nova_lite.cli import names
from nova_lite.cli.command import Command, pair
from nova_lite.cli.connection import Service
from nova_lite.cli.faults import ApiError, CommandError
from nova_lite.cli.server_states import ask_password, change_password

_MEMBERS = ("name", "description", "hostname")


class RenameServer(Command):
    """Give a server another name."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and its new name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("name", metavar="NAME", help="the new name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Rename it."""
        found = names.server(self.connection, parsed_args.server)
        self.connection.compute.put(f"servers/{found['id']}", {"server": {"name": parsed_args.name}})


class SetServer(Command):
    """Change a server's name, description, properties or tags; set its password; reset its state (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        parser.add_argument("--description", metavar="TEXT", help="the new description")
        parser.add_argument(
            "--hostname", metavar="NAME", help="the new host name; the guest sees it when it asks again"
        )
        parser.add_argument(
            "--property", "--meta", type=pair, action="append", default=[], metavar="KEY=VALUE", help="set a property"
        )
        parser.add_argument("--no-property", action="append", default=[], metavar="KEY", help="remove a property")
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="add a tag; may be repeated")
        parser.add_argument(
            "--state",
            choices=("active", "error"),
            help="say that it is so, whatever is the case (admins): a way out of a state that nothing else leads out of",
        )
        word = parser.add_mutually_exclusive_group()
        word.add_argument("--password", metavar="TEXT", help="set this password inside it, if its guest agent answers")
        word.add_argument("--ask-password", "--root-password", action="store_true", help="likewise, and ask for it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes = {key: getattr(parsed_args, key) for key in _MEMBERS if getattr(parsed_args, key) is not None}
        others = ("property", "no_property", "tag", "state", "password", "ask_password")
        if not changes and not any(getattr(parsed_args, name) for name in others):
            raise CommandError(
                "Nothing is to be changed: give --name, --description, --hostname, --property, --no-property, --tag, "
                "--state or --password."
            )
        compute = self.connection.compute
        server_id = names.server(self.connection, parsed_args.server)["id"]
        path = f"servers/{server_id}"
        if changes:
            compute.put(path, {"server": changes})
        if parsed_args.property:
            compute.post(f"{path}/metadata", {"metadata": dict(parsed_args.property)})
        for key in parsed_args.no_property:
            remove_if_there(compute, f"{path}/metadata/{quote(key, safe='')}")
        for tag in parsed_args.tag:
            compute.put(f"{path}/tags/{quote(tag, safe='')}", None)
        if parsed_args.state:
            compute.post(f"{path}/action", {"os-resetState": {"state": parsed_args.state}})
        if parsed_args.password or parsed_args.ask_password:
            change_password(self.connection, server_id, parsed_args.password or ask_password(self.app))


class UnsetServer(Command):
    """Remove properties, tags or the description of a server."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument(
            "--property", action="append", default=[], metavar="KEY", help="a property; may be repeated"
        )
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag; may be repeated")
        parser.add_argument("--description", action="store_true", help="its description")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        if not (parsed_args.property or parsed_args.tag or parsed_args.description):
            raise CommandError("Nothing is to be changed: give --property, --tag or --description.")
        compute = self.connection.compute
        path = f"servers/{names.server(self.connection, parsed_args.server)['id']}"
        if parsed_args.description:
            compute.put(path, {"server": {"description": None}})
        for key in parsed_args.property:
            remove_if_there(compute, f"{path}/metadata/{quote(key, safe='')}")
        for tag in parsed_args.tag:
            remove_if_there(compute, f"{path}/tags/{quote(tag, safe='')}")


def remove_if_there(service: Service, path: str) -> None:
    """Remove something; that it was not there is as good."""
    try:
        service.delete(path)
    except ApiError as error:
        if error.status != 404:
            raise

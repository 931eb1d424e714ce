"""Resize, cold or live, and rebuild."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, servers, waiting
from nova_lite.cli.command import Command, ShowOne, pair
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError
from nova_lite.cli.server_actions import Action
from nova_lite.cli.server_create import read_user_data

LIVE = "nova_lite:live"
_TRUE = ("1", "t", "true", "on", "y", "yes")
_ENDS = ("VERIFY_RESIZE", "ACTIVE", "SHUTOFF")
_BACK = ("ACTIVE", "SHUTOFF")


class Resize(Command):
    """Give a server another flavor; it is confirmed by itself after a while unless it is reverted."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and what is to happen."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--flavor", metavar="FLAVOR", help="the new one: name or id")
        what.add_argument("--confirm", action="store_true", help="keep the new size; as `server resize confirm`")
        what.add_argument("--revert", action="store_true", help="take the old size back; as `server resize revert`")
        parser.add_argument(
            "--live",
            action="store_true",
            help=f"as it runs, without a stop: the flavor must have {LIVE}=true and the disk that the server has",
        )
        waiting.add_options(parser, "until it is resized")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Resize it, or end its resize."""
        found = names.server(self.connection, parsed_args.server)
        wanted: tuple[str, ...] = _BACK
        if parsed_args.flavor:
            flavor = names.flavor(self.connection, parsed_args.flavor)
            if parsed_args.live:
                check_live(found, flavor)
            else:
                wanted = _ENDS
            body: dict[str, Any] = {"resize": {"flavorRef": flavor["id"]}}
        else:
            body = {"confirmResize" if parsed_args.confirm else "revertResize": None}
        self.connection.compute.post(f"servers/{found['id']}/action", body)
        end = waiting.told(self, parsed_args, found["id"], wanted)
        if end and end["status"] == "VERIFY_RESIZE":
            name = parsed_args.server
            self.app.tell(
                f"`nova-lite server resize confirm {name}` keeps it, `server resize revert {name}` goes back."
            )


def check_live(server: dict[str, Any], flavor: dict[str, Any]) -> None:
    """Check that a resize to *flavor* will be live. :raises CommandError: it won't, and how it would."""
    if str(flavor.get("extra_specs", {}).get(LIVE, "")).strip().lower() not in _TRUE:
        raise CommandError(
            f"Flavor {flavor['name']} does not resize live; an admin can let it: "
            f"`nova-lite flavor set --property {LIVE}=true {flavor['name']}`."
        )
    if server["status"] != "ACTIVE":
        raise CommandError(f"Only an ACTIVE server is resized live; {server['name']} is {server['status']}.")


class ConfirmResize(Action):
    """Keep the new size of servers that were resized."""

    verb = "confirmResize"
    wanted = _BACK


class RevertResize(Action):
    """Give servers that were resized their old size back."""

    verb = "revertResize"
    wanted = _BACK


class Rebuild(ShowOne):
    """Make a server's disk anew, of its image or another; its id, addresses and flavor stay."""

    renamed = servers.RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and what it is made of."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("--image", metavar="IMAGE", help="name or id (default: the image that it has)")
        parser.add_argument("--name", metavar="NAME", help="a new name")
        parser.add_argument("--description", metavar="TEXT", help="a new description")
        parser.add_argument("--hostname", metavar="NAME", help="a new host name")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="its properties from now on"
        )
        key = parser.add_mutually_exclusive_group()
        key.add_argument("--key-name", metavar="KEYPAIR", help="the public key that it gets")
        key.add_argument("--no-key-name", "--key-unset", dest="no_key", action="store_true", help="it gets none")
        data = parser.add_mutually_exclusive_group()
        data.add_argument("--user-data", metavar="FILE", help="what it gets as user data; - is stdin")
        data.add_argument("--no-user-data", action="store_true", help="it gets none")
        parser.add_argument("--password", metavar="TEXT", help="the password that it gets, if it takes one")
        waiting.add_options(parser, "until it is rebuilt")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Rebuild it."""
        found = names.server(self.connection, parsed_args.server)
        argument = self._argument(found, parsed_args)
        made = self.connection.compute.post(f"servers/{found['id']}/action", {"rebuild": argument})["server"]
        end = waiting.told(self, parsed_args, found["id"], _BACK)
        return servers.details(self.connection, end or made)

    def _argument(self, server: dict[str, Any], wanted: argparse.Namespace) -> dict[str, Any]:
        found: dict[str, Any] = {"imageRef": image_of(self.connection, server, wanted.image)}
        for name in ("name", "description", "hostname", "key_name"):
            if getattr(wanted, name) is not None:
                found[name] = getattr(wanted, name)
        if wanted.property:
            found["metadata"] = dict(wanted.property)
        if wanted.no_key:
            found["key_name"] = None
        if wanted.user_data:
            found["user_data"] = read_user_data(self.app, wanted.user_data)
        if wanted.no_user_data:
            found["user_data"] = None
        if wanted.password:
            found["adminPass"] = wanted.password
        return found


def image_of(connection: Connection, server: dict[str, Any], named: str | None) -> str:
    """Return the id of the image that is named, or of the one that the server has."""
    if named:
        return str(names.image(connection, named)["id"])
    if not server.get("image"):
        raise CommandError(f"{server['name']} was booted from no image; name one with --image.")
    return str(server["image"]["id"])

"""What is done to servers beside switching them on and off: lock, rescue, shelve, restore, dump, password."""

from __future__ import annotations

import argparse
import contextlib
import getpass
from typing import Any

from nova_lite.cli import names, waiting
from nova_lite.cli.command import Command
from nova_lite.cli.faults import ApiError, CommandError
from nova_lite.cli.progress import Progress
from nova_lite.cli.server_actions import Action

_RUNNING = ("ACTIVE", "SHUTOFF")


class Lock(Action):
    """Lock servers: only an admin can do anything to one until it is unlocked."""

    verb = "lock"
    waits = False

    def get_parser(self, prog_name: str) -> Any:
        """Take a reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--reason", metavar="TEXT", help="why; everybody who sees the server sees it")
        return parser

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"lock": {"locked_reason": parsed_args.reason} if parsed_args.reason else None}


class Unlock(Action):
    """Unlock servers."""

    verb = "unlock"
    waits = False


class Rescue(Command):
    """Boot a server from another image, with its own disk as a second one, to mend it."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and what it is rescued with."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("--image", metavar="IMAGE", help="what to boot: name or id (default: its own image)")
        parser.add_argument("--password", metavar="TEXT", help="the password of the rescue system, if it takes one")
        waiting.add_options(parser, "until it is RESCUE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Rescue it."""
        found = names.server(self.connection, parsed_args.server)
        argument: dict[str, Any] = {}
        if parsed_args.image:
            argument["rescue_image_ref"] = names.image(self.connection, parsed_args.image)["id"]
        if parsed_args.password:
            argument["adminPass"] = parsed_args.password
        self.connection.compute.post(f"servers/{found['id']}/action", {"rescue": argument or None})
        waiting.told(self, parsed_args, found["id"], ("RESCUE",))


class Unrescue(Action):
    """Boot servers from their own disks again."""

    verb = "unrescue"
    wanted = ("ACTIVE",)


class Shelve(Action):
    """Shelve servers: a snapshot is kept and, once offloaded, nothing of the host is used."""

    verb = "shelve"
    wanted = ("SHELVED", "SHELVED_OFFLOADED")

    def get_parser(self, prog_name: str) -> Any:
        """Take whether its host is to be left too."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--offload",
            action="store_true",
            help="leave the host at once too (admins); this waits, with or without --wait",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Shelve all, then offload those that are to be."""
        parsed_args.wait = parsed_args.wait or parsed_args.offload
        return super().take_action(parsed_args)

    def ask(self, server_id: str, parsed_args: argparse.Namespace) -> None:
        """Shelve one that is not shelved yet."""
        shelved = parsed_args.offload and self._status(server_id) in self.wanted
        if not shelved:
            super().ask(server_id, parsed_args)

    def until(self, server_id: str, progress: Progress, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Wait for one, offloading it in between if asked to."""
        end = super().until(server_id, progress, parsed_args)
        if not parsed_args.offload or end["status"] == "SHELVED_OFFLOADED":
            return end
        with contextlib.suppress(_Underway):
            self._offload(server_id)
        return waiting.until(self.connection, server_id, ("SHELVED_OFFLOADED",), progress, parsed_args.timeout)

    def _status(self, server_id: str) -> str:
        return str(self.connection.compute.get(f"servers/{server_id}")["server"]["status"])

    def _offload(self, server_id: str) -> None:
        try:
            self.connection.compute.post(f"servers/{server_id}/action", {"shelveOffload": None})
        except ApiError as error:
            if error.status == 409:
                # The cloud has begun to do it by itself.
                raise _Underway from error
            raise


class _Underway(Exception):
    """Somebody else has begun it."""


class Unshelve(Action):
    """Bring shelved servers back."""

    verb = "unshelve"
    wanted = _RUNNING

    def get_parser(self, prog_name: str) -> Any:
        """Take where."""
        parser = super().get_parser(prog_name)
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--availability-zone", metavar="ZONE", help="into this zone; it is pinned to it")
        where.add_argument("--no-availability-zone", action="store_true", help="wherever there is room")
        parser.add_argument("--host", metavar="HOST", help="onto this host (admins)")
        return parser

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        where: dict[str, Any] = {}
        if parsed_args.availability_zone or parsed_args.no_availability_zone:
            where["availability_zone"] = parsed_args.availability_zone
        if parsed_args.host:
            where["host"] = parsed_args.host
        return {"unshelve": where or None}


class Restore(Action):
    """Bring servers back that were deleted, while the cloud still keeps them."""

    verb = "restore"
    wanted = _RUNNING


class CreateDump(Action):
    """Have servers dump their memory, as their systems are set up to: an NMI."""

    verb = "trigger_crash_dump"
    wanted = waiting.WHATEVER


class SetPassword(Command):
    """Set a password inside a running server whose guest agent answers."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and the password."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument(
            "--password", metavar="TEXT", help="others may see it in a list of processes (default: ask)"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set it."""
        found = names.server(self.connection, parsed_args.server)
        change_password(self.connection, found["id"], parsed_args.password or ask_password(self.app))
        self.app.tell(f"{parsed_args.server}: the password is set")


def change_password(connection: Any, server_id: str, password: str) -> None:
    """Set a password inside a server. :raises ApiError: it can't be."""
    connection.compute.post(f"servers/{server_id}/action", {"changePassword": {"adminPass": password}})


def ask_password(app: Any) -> str:
    """Return a password that is typed twice, or one that comes on stdin. :raises CommandError: it is none, or not the same."""
    if not app.stdin.isatty():
        typed = app.stdin.readline().rstrip("\n")
    else:
        typed = getpass.getpass("New password: ")
        if typed != getpass.getpass("Once more: "):
            raise CommandError("The two are not the same.")
    if not typed:
        raise CommandError("No password was given: --password, or one line on stdin.")
    return str(typed)

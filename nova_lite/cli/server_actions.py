"""What is done to servers that exist: start, stop, suspend, resume, pause, unpause, reboot, delete.

What changes more of them is in ``server_states.py`` and ``server_sizes.py``.

Each takes several servers; one that refuses doesn't keep the others from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import Any

from nova_lite.cli import names, waiting
from nova_lite.cli.command import Command
from nova_lite.cli.faults import ApiError, CommandError
from nova_lite.cli.progress import Progress


class Action(Command):
    """The base. ``wanted``: the statuses that end a wait well (none: that the server is gone).

    ``waits`` False: it is done when it is accepted.
    """

    verb = ""
    wanted: Collection[str] = ()
    waits = True

    def get_parser(self, prog_name: str) -> Any:
        """Take servers."""
        parser = super().get_parser(prog_name)
        parser.add_argument("servers", metavar="SERVER", nargs="+", help="name or id")
        if self.waits:
            waiting.add_options(parser, f"until {self.awaited()}")
        else:
            parser.set_defaults(wait=False)
        return parser

    def awaited(self) -> str:
        """Say what a wait waits for."""
        if self.wanted is waiting.WHATEVER:
            return "it is done"
        return f"each is {' or '.join(self.wanted) or 'gone'}"

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Ask for all, then wait for each; 1 if any failed."""
        failed = 0
        accepted: list[tuple[str, str]] = []
        for name in parsed_args.servers:
            try:
                server = names.server(self.connection, name)
                self.ask(server["id"], parsed_args)
                accepted.append((name, server["id"]))
                if not parsed_args.wait:
                    self.app.tell(f"{name}: {self.verb} is accepted")
            except CommandError as error:
                failed = self._failed(name, error)
        if parsed_args.wait:
            with Progress(self.app.stderr, enabled=bool(self.app.options.verbose_level)) as progress:
                for name, server_id in accepted:
                    try:
                        end = self.until(server_id, progress, parsed_args)
                        progress.end(f"{name}: {end.get('status', 'gone')}")
                    except CommandError as error:
                        failed = self._failed(name, error)
        return failed

    def until(self, server_id: str, progress: Progress, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Wait for one. :raises CommandError: it ended otherwise."""
        return waiting.until(self.connection, server_id, self.wanted, progress, parsed_args.timeout)

    def _failed(self, name: str, error: CommandError) -> int:
        self.app.LOG.error("%s %s: %s", self.verb, name, error)
        return 1

    def ask(self, server_id: str, parsed_args: argparse.Namespace) -> None:
        """Send the request. :raises CommandError: it is refused."""
        self.connection.compute.post(f"servers/{server_id}/action", self.body(parsed_args))

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {self.verb: None}


class Start(Action):
    """Start servers that are stopped."""

    verb = "start"
    wanted = ("ACTIVE",)

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"os-start": None}


class Stop(Action):
    """Stop servers: asked to shut down, and switched off where they don't."""

    verb = "stop"
    wanted = ("SHUTOFF",)

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"os-stop": None}


class Suspend(Action):
    """Suspend servers: their memory goes to disk."""

    verb = "suspend"
    wanted = ("SUSPENDED",)


class Resume(Action):
    """Resume servers that are suspended."""

    verb = "resume"
    wanted = ("ACTIVE",)


class Pause(Action):
    """Pause servers: they stay in memory, and stand still."""

    verb = "pause"
    wanted = ("PAUSED",)


class Unpause(Action):
    """Let paused servers go on."""

    verb = "unpause"
    wanted = ("ACTIVE",)


class Reboot(Action):
    """Reboot servers."""

    verb = "reboot"
    wanted = ("ACTIVE",)

    def get_parser(self, prog_name: str) -> Any:
        """Take the kind of reboot too."""
        parser = super().get_parser(prog_name)
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--soft", dest="kind", action="store_const", const="SOFT", help="ask the guest (default)")
        kind.add_argument("--hard", dest="kind", action="store_const", const="HARD", help="switch it off and on")
        parser.set_defaults(kind="SOFT")
        return parser

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"reboot": {"type": parsed_args.kind}}


class DeleteServers(Action):
    """Delete servers, with their disks."""

    verb = "delete"

    def get_parser(self, prog_name: str) -> Any:
        """Take how sure one is."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--force", action="store_true", help="for good, even where the cloud keeps deleted servers for a while"
        )
        return parser

    def ask(self, server_id: str, parsed_args: argparse.Namespace) -> None:
        """Send DELETE; whoever has deleted it meanwhile has done the same."""
        try:
            if parsed_args.force:
                self.connection.compute.post(f"servers/{server_id}/action", {"forceDelete": None})
            else:
                self.connection.compute.delete(f"servers/{server_id}")
        except ApiError as error:
            if error.status != 404:
                raise

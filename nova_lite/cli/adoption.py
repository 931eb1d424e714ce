"""Make a server of a guest that somebody else runs on a host."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite.cli import names, servers, waiting
from nova_lite.cli.cells import Structure
from nova_lite.cli.command import ShowOne, pair
from nova_lite.cli.faults import ApiError, CommandError
from nova_lite.cli.progress import Progress

COLUMNS = ("Host", "Guest", "Kind", "vCPUs", "RAM", "Running", "Disks", "Interfaces")
_RUNNING = 1


class AdoptServer(ShowOne):
    """Make a guest that libvirt runs already a server, without stopping it; or list the guests that are none (--list)."""

    _epilog = (
        "The server's id is the guest's UUID. The guest keeps its disks, its interfaces and its definition, so it can't be "
        "rebuilt, resized, rescued, shelved or made an image of. A delete ends it and leaves its disks."
    )
    _strangers: Sequence[Sequence[Any]] = ()

    def get_parser(self, prog_name: str) -> Any:
        """Take the guest, its host and its flavor."""
        parser = super().get_parser(prog_name)
        parser.add_argument("guest", metavar="GUEST", nargs="?", help="the guest's name, as virsh list shows it")
        parser.add_argument("--list", action="store_true", help="list the guests that are no servers")
        parser.add_argument(
            "--host", metavar="HOST", help="the host that runs it (with --list: only this host's guests)"
        )
        parser.add_argument("--flavor", metavar="FLAVOR", help="name or id; at least as large as what the guest has")
        parser.add_argument("--name", metavar="NAME", help="the server's name (default: the guest's)")
        parser.add_argument(
            "--project", metavar="PROJECT-ID", help="whose it is to be (default: the project of the token)"
        )
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="metadata; may be repeated"
        )
        waiting.add_options(parser, "until it is ACTIVE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """List, or adopt and show the server."""
        if parsed_args.list:
            if parsed_args.guest or parsed_args.flavor:
                raise CommandError("--list takes no guest and no flavor.")
            return self._listed(parsed_args.host)
        if not (parsed_args.guest and parsed_args.host and parsed_args.flavor):
            raise CommandError("GUEST, --host and --flavor are needed; --list shows which guests there are.")
        server_id = self._adopt(parsed_args)
        if parsed_args.wait:
            return servers.details(self.connection, self._waited(server_id, parsed_args))
        return servers.details(self.connection, self.connection.compute.get(f"servers/{server_id}")["server"])

    def produce_output(self, parsed_args: Any, column_names: Sequence[str], data: Sequence[Any]) -> int:
        """Show the server, or the guests in a list."""
        if parsed_args.list:
            return self.produce_rows(parsed_args, COLUMNS, self._strangers)
        return super().produce_output(parsed_args, column_names, data)

    def _listed(self, host: str | None) -> tuple[Any, Any]:
        found = self.connection.compute.get("os-nova-lite-strangers", host=host)
        self._strangers = [_row(guest) for guest in found["strangers"]]
        for silent in found["unanswered"]:
            self.app.LOG.warning("host %s: %s", silent["host"], silent["reason"])
        return COLUMNS, ()

    def _adopt(self, wanted: argparse.Namespace) -> str:
        body: dict[str, Any] = {
            "host": wanted.host,
            "guest": wanted.guest,
            "flavorRef": names.flavor(self.connection, wanted.flavor)["id"],
        }
        if wanted.name:
            body["name"] = wanted.name
        if wanted.project:
            body["project_id"] = wanted.project
        if wanted.property:
            body["metadata"] = dict(wanted.property)
        made = self.connection.compute.post("os-nova-lite-adoptions", {"adoption": body})["adoption"]
        for nic in made["interfaces"]:
            self.app.tell(
                f"{wanted.guest}: interface {nic['mac']} stays on {nic['bridge'] or 'what it is on'}; it is no port here"
            )
        return str(made["server_id"])

    def _waited(self, server_id: str, wanted: argparse.Namespace) -> dict[str, Any]:
        with Progress(self.app.stderr, enabled=bool(self.app.options.verbose_level)) as progress:
            try:
                server = waiting.until(self.connection, server_id, ("ACTIVE",), progress, wanted.timeout)
            except ApiError as error:
                if error.status != 404:
                    raise
                raise CommandError(f"{wanted.guest} was not adopted{self._why(server_id)}") from None
            progress.end(f"{server['name']}: {server['status']}")
        return server

    def _why(self, server_id: str) -> str:
        """Return what its history says: an adoption that failed leaves no server."""
        try:
            actions = self.connection.compute.get(f"servers/{server_id}/os-instance-actions")["instanceActions"]
            request = next(action["request_id"] for action in actions if action["action"] == "adopt")
            shown = self.connection.compute.get(f"servers/{server_id}/os-instance-actions/{request}")["instanceAction"]
        except (ApiError, StopIteration):
            return "."
        said = [event.get("details") for event in shown.get("events") or () if event.get("details")]
        return f": {said[0] if said else shown.get('message') or 'see its instance actions'}"


def _row(guest: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        guest["host"],
        guest["guest"],
        guest["kind"],
        guest["vcpus"],
        guest["ram"],
        guest["power_state"] == _RUNNING,
        Structure([disk["path"] for disk in guest["disks"]]),
        Structure([f"{nic['mac']} {nic['bridge']}".strip() for nic in guest["interfaces"]]),
    )

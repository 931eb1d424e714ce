"""The services of the cloud, and what may be done to compute services."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from nova_lite.cli.command import Command, Deletion, Lister
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError, Missing

COMPUTE = "nova-compute"
_COLUMNS = {
    "ID": "id",
    "Binary": "binary",
    "Host": "host",
    "Zone": "zone",
    "Status": "status",
    "State": "state",
    "Updated At": "updated_at",
    "Disabled Reason": "disabled_reason",
    "Forced Down": "forced_down",
}


class ListServices(Lister):
    """List the services, and whether they are up (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", metavar="HOST", help="on this host")
        parser.add_argument("--service", "--binary", metavar="BINARY", help="of this kind: nova-compute, …")
        parser.add_argument("--long", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {"host": parsed_args.host, "binary": parsed_args.service}
        found = self.connection.compute.get("os-services", **query)["services"]
        return tuple(_COLUMNS), [tuple(item.get(name) for name in _COLUMNS.values()) for item in found]


def _of_host(connection: Connection, host: str, binary: str) -> dict[str, Any]:
    found = connection.compute.get("os-services", host=host, binary=binary)["services"]
    if not found:
        raise Missing(f"There is no {binary} on host {host}; `nova-lite compute service list` shows what there is.")
    return dict(found[0])


class SetService(Command):
    """Enable, disable or force down a host's compute service (admins): a disabled one gets no new servers."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the service and what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="HOST", help="its host")
        parser.add_argument("service", metavar="BINARY", nargs="?", default=COMPUTE, help=f"default: {COMPUTE}")
        able = parser.add_mutually_exclusive_group()
        able.add_argument(
            "--enable", dest="status", action="store_const", const="enabled", help="let it have new servers"
        )
        able.add_argument("--disable", dest="status", action="store_const", const="disabled", help="let it have none")
        parser.add_argument("--disable-reason", metavar="TEXT", help="why; with --disable")
        down = parser.add_mutually_exclusive_group()
        down.add_argument(
            "--down",
            dest="down",
            action="store_true",
            default=None,
            help="say that it is down, whatever it says itself",
        )
        down.add_argument("--up", dest="down", action="store_false", help="take --down back")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes: dict[str, Any] = {}
        if parsed_args.status is not None:
            changes["status"] = parsed_args.status
        if parsed_args.disable_reason is not None:
            if parsed_args.status != "disabled":
                raise CommandError("--disable-reason goes with --disable.")
            changes["disabled_reason"] = parsed_args.disable_reason
        if parsed_args.down is not None:
            changes["forced_down"] = parsed_args.down
        if not changes:
            raise CommandError("Nothing is to be changed: give --enable, --disable, --down or --up.")
        found = _of_host(self.connection, parsed_args.host, parsed_args.service)
        self.connection.compute.put(f"os-services/{found['id']}", changes)


class DeleteServices(Deletion):
    """Forget compute services of hosts that are gone for good and have no servers (admins)."""

    noun = "compute service"

    def remove(self, name: str) -> None:
        """Delete one, by the id that the list shows or by its host."""
        known = self.connection.compute.get("os-services")["services"]
        by_host = [item for item in known if item["host"] == name and item["binary"] == COMPUTE]
        identifier = by_host[0]["id"] if by_host else name
        self.connection.compute.delete(f"os-services/{quote(str(identifier), safe='')}")

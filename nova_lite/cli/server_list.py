"""List servers, by whatever the API can look for; show one, with what is measured of it if asked to."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import cell, label
from nova_lite.cli.command import Lister, ShowOne, positive
from nova_lite.cli.faults import CommandError
from nova_lite.cli.servers import COLUMNS, LONG, POWER, RENAMED, details, long_row, row

_PLAIN = {
    "name": ("--name", "REGEX", "whose name matches"),
    "status": ("--status", "STATUS", "ACTIVE, BUILD, ERROR, …"),
    "host": ("--host", "HOST", "on this host (admins)"),
    "ip": ("--ip", "REGEX", "whose IPv4 address matches"),
    "ip6": ("--ip6", "REGEX", "whose IPv6 address matches"),
    "reservation_id": ("--reservation-id", "ID", "that were asked for together"),
    "availability_zone": ("--availability-zone", "ZONE", "in this availability zone"),
    "key_name": ("--key-name", "KEYPAIR", "with this keypair"),
    "hostname": ("--hostname", "REGEX", "whose host name matches"),
    "vm_state": ("--vm-state", "STATE", "active, stopped, …"),
    "task_state": ("--task-state", "STATE", "with this under way: spawning, …"),
    "tags": ("--tags", "TAG,…", "with all these tags"),
    "tags-any": ("--tags-any", "TAG,…", "with any of these tags"),
    "not-tags": ("--not-tags", "TAG,…", "without all these tags together"),
    "not-tags-any": ("--not-tags-any", "TAG,…", "without any of these tags"),
    "changes-since": ("--changes-since", "TIME", "changed since, deleted ones too: 2026-01-31T12:00:00Z"),
    "changes-before": ("--changes-before", "TIME", "changed until then"),
}
"""The API's filters that take what is typed, with option, metavar and help."""


class ListServers(Lister):
    """List servers."""

    renamed = RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take filters, sort and paging."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--all-projects", "--all-tenants", action="store_true", help="of every project (admins)")
        for name, (option, metavar, text) in _PLAIN.items():
            parser.add_argument(option, dest=name, metavar=metavar, help=text)
        parser.add_argument("--flavor", metavar="FLAVOR", help="of this flavor: name or id")
        parser.add_argument("--image", metavar="IMAGE", help="of this image: name or id")
        parser.add_argument("--project", metavar="PROJECT", help="of this project: name or id (admins)")
        parser.add_argument("--user", metavar="USER", help="made by this user: name or id")
        parser.add_argument("--power-state", choices=sorted(map(str.lower, POWER.values())), help="as the host sees it")
        parser.add_argument("--deleted", action="store_true", help="only deleted ones (admins)")
        locked = parser.add_mutually_exclusive_group()
        locked.add_argument("--locked", dest="locked", action="store_const", const="true", help="only locked ones")
        locked.add_argument("--unlocked", dest="locked", action="store_const", const="false", help="only others")
        parser.add_argument(
            "--sort",
            action="append",
            default=[],
            metavar="KEY[:asc|:desc]",
            help="display_name, created_at, …; repeatable",
        )
        parser.add_argument("--long", action="store_true", help="show more columns")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--marker", metavar="SERVER", help="those after this server: name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch the servers with their details."""
        query = self._query(parsed_args)
        compute = self.connection.compute
        if parsed_args.limit:
            found = compute.get("servers/detail", limit=parsed_args.limit, **query)["servers"]
        else:
            found = list(compute.pages("servers/detail", "servers", **query))
        if not parsed_args.long:
            return COLUMNS, [row(server) for server in found]
        return COLUMNS + LONG, [row(server) + long_row(server) for server in found]

    def _query(self, wanted: argparse.Namespace) -> dict[str, Any]:
        query = {name: getattr(wanted, name) for name in _PLAIN}
        everywhere = wanted.all_projects or wanted.host or wanted.project or wanted.deleted
        query |= {"all_tenants": "1" if everywhere else None, "locked": wanted.locked}
        query["deleted"] = "true" if wanted.deleted else None
        if wanted.power_state:
            query["power_state"] = next(key for key, word in POWER.items() if word.lower() == wanted.power_state)
        for noun in ("flavor", "image"):
            if getattr(wanted, noun):
                query[noun] = getattr(names, noun)(self.connection, getattr(wanted, noun))["id"]
        if wanted.project:
            query["project_id"] = names.project(self.connection, wanted.project)["id"]
        if wanted.user:
            query["user_id"] = names.user(self.connection, wanted.user)["id"]
        if wanted.marker:
            query["marker"] = names.server(self.connection, wanted.marker)["id"]
        keys = [item.partition(":") for item in wanted.sort]
        query["sort_key"] = [key for key, _, _ in keys] or None
        query["sort_dir"] = [way or "asc" for _, _, way in keys] or None
        return query


class ShowServer(ShowOne):
    """Show a server with everything that is known of it."""

    renamed = RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and what to show."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--diagnostics", action="store_true", help="what it uses just now, as its host measures it (admins)"
        )
        what.add_argument("--topology", action="store_true", help="its NUMA cells")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = names.server(self.connection, parsed_args.server)
        if not (parsed_args.diagnostics or parsed_args.topology):
            # A listing, by which a name is found, leaves out what would cost it a query for each server.
            whole = found if "server_groups" in found else self._whole(found["id"])
            return details(self.connection, whole)
        noun = "diagnostics" if parsed_args.diagnostics else "topology"
        measured = self.connection.compute.get(f"servers/{found['id']}/{noun}")
        return tuple(label(name) for name in measured), tuple(cell(value) for value in measured.values())

    def _whole(self, server_id: str) -> dict[str, Any]:
        try:
            return dict(self.connection.compute.get(f"servers/{server_id}")["server"])
        except CommandError:
            raise CommandError(f"Server {server_id} has just gone.") from None

"""What servers went through from host to host and from size to size."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Lister, positive

_COLUMNS = {
    "ID": "id",
    "UUID": "uuid",
    "Server ID": "instance_uuid",
    "Type": "migration_type",
    "Status": "status",
    "Source": "source_compute",
    "Destination": "dest_compute",
    "Old Flavor": "old_instance_type_id",
    "New Flavor": "new_instance_type_id",
    "Created At": "created_at",
    "Updated At": "updated_at",
}


class ListMigrations(Lister):
    """List resizes and migrations of servers, the newest first (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters and paging."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--server", metavar="SERVER", help="of this server: name or id")
        parser.add_argument("--host", metavar="HOST", help="from or to this host")
        parser.add_argument("--status", metavar="STATUS", help="finished, confirmed, reverted, …")
        parser.add_argument(
            "--type", choices=("evacuation", "live-migration", "cold-migration", "resize"), help="of this type"
        )
        parser.add_argument("--project", metavar="PROJECT", help="of this project: name or id")
        parser.add_argument("--user", metavar="USER", help="asked for by this user: name or id")
        parser.add_argument("--changes-since", metavar="TIME", help="changed since: 2026-01-31T12:00:00Z")
        parser.add_argument("--changes-before", metavar="TIME", help="changed until then")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--marker", metavar="UUID", help="those after this one")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        kind = parsed_args.type
        query: dict[str, Any] = {
            "host": parsed_args.host,
            "status": parsed_args.status,
            "migration_type": "migration" if kind == "cold-migration" else kind,
            "changes-since": parsed_args.changes_since,
            "changes-before": parsed_args.changes_before,
            "marker": parsed_args.marker,
        }
        if parsed_args.server:
            query["instance_uuid"] = names.server_id(self.connection, parsed_args.server)
        if parsed_args.project:
            query["project_id"] = names.project(self.connection, parsed_args.project)["id"]
        if parsed_args.user:
            query["user_id"] = names.user(self.connection, parsed_args.user)["id"]
        compute = self.connection.compute
        if parsed_args.limit:
            found = compute.get("os-migrations", limit=parsed_args.limit, **query)["migrations"]
        else:
            found = list(compute.pages("os-migrations", "migrations", **query))
        return tuple(_COLUMNS), [tuple(item.get(member) for member in _COLUMNS.values()) for item in found]

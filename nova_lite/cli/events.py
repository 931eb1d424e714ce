"""What was asked of a server and what became of it."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from nova_lite.cli import names
from nova_lite.cli.cells import Structure
from nova_lite.cli.command import Lister, ShowOne, positive

_COLUMNS = {
    "Request ID": "request_id",
    "Action": "action",
    "Start Time": "start_time",
    "Updated At": "updated_at",
    "User ID": "user_id",
    "Message": "message",
}


class ListEvents(Lister):
    """List the operations on a server, the newest first."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id (a deleted server: its id)")
        parser.add_argument("--changes-since", metavar="TIME", help="changed since: 2026-01-31T12:00:00Z")
        parser.add_argument("--changes-before", metavar="TIME", help="changed until then")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--marker", metavar="REQUEST", help="those after this request")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        path = f"servers/{names.server_id(self.connection, parsed_args.server)}/os-instance-actions"
        compute = self.connection.compute
        query = {
            "changes-since": parsed_args.changes_since,
            "changes-before": parsed_args.changes_before,
            "marker": parsed_args.marker,
        }
        if parsed_args.limit:
            found = compute.get(path, limit=parsed_args.limit, **query)["instanceActions"]
        else:
            found = list(compute.pages(path, "instanceActions", **query))
        return tuple(_COLUMNS), [tuple(event.get(member) for member in _COLUMNS.values()) for event in found]


class ShowEvent(ShowOne):
    """Show one operation on a server, step by step."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and the request."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id (a deleted server: its id)")
        parser.add_argument("request", metavar="REQUEST", help="the request's id (req-…)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        server_id = names.server_id(self.connection, parsed_args.server)
        path = f"servers/{server_id}/os-instance-actions/{quote(parsed_args.request, safe='')}"
        action = self.connection.compute.get(path)["instanceAction"]
        shown = {name: action.get(member) for name, member in _COLUMNS.items()}
        shown["Events"] = Structure(action.get("events") or [])
        return tuple(shown), tuple(shown.values())

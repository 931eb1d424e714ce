"""What projects may use, what they use, and what they used in a period."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Lister
from nova_lite.cli.faults import CommandError

_USES = {
    "Instances": ("totalInstancesUsed", "maxTotalInstances"),
    "VCPUs": ("totalCoresUsed", "maxTotalCores"),
    "RAM (MiB)": ("totalRAMUsed", "maxTotalRAMSize"),
    "Server Groups": ("totalServerGroupsUsed", "maxServerGroups"),
}
_PERIOD_DAYS = 28


class ShowLimits(Lister):
    """Show the project's limits; -1 is none."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT", help="of this project: name or id (admins)")
        parser.add_argument("--absolute", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        project = names.project(self.connection, parsed_args.project)["id"] if parsed_args.project else None
        absolute = self.connection.compute.get("limits", tenant_id=project)["limits"]["absolute"]
        return ("Name", "Value"), sorted(absolute.items())


class _OfPeriod(Lister):
    """The base: what was used between two days."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the period."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--start", type=_day, metavar="DAY", help=f"default: {_PERIOD_DAYS} days ago")
        parser.add_argument("--end", type=_day, metavar="DAY", help="and this whole day too (default: today)")
        return parser

    def period(self, wanted: argparse.Namespace) -> dict[str, str]:
        """Return the query's period, from the first moment of one day to the last of another."""
        today = datetime.datetime.now(datetime.UTC).date()
        start = wanted.start or today - datetime.timedelta(days=_PERIOD_DAYS)
        end = (wanted.end or today) + datetime.timedelta(days=1)
        if start >= end:
            raise CommandError(f"The period ends before it begins: {start} to {wanted.end}.")
        return {"start": f"{start}T00:00:00", "end": f"{end}T00:00:00"}


class ShowUsage(_OfPeriod):
    """Show what a project uses of what it may; with --start or --end, what it used in that period."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project too."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT", help="of this project: name or id (admins)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        project = names.project(self.connection, parsed_args.project)["id"] if parsed_args.project else None
        if parsed_args.start or parsed_args.end:
            path = f"os-simple-tenant-usage/{project or self.connection.project_id}"
            query = self.period(parsed_args)
            pages = list(_pages(self.connection.compute, path, "tenant_usage", query))
            return ("Resource", "Used"), list(_sums(pages).items())
        absolute = self.connection.compute.get("limits", tenant_id=project)["limits"]["absolute"]
        return ("Resource", "Used", "Limit"), [
            (name, absolute.get(used), absolute.get(limit)) for name, (used, limit) in _USES.items() if used in absolute
        ]


class ListUsage(_OfPeriod):
    """List what each project used in a period (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it, and put together what comes in pages."""
        query = {**self.period(parsed_args), "detailed": "1"}
        compute = self.connection.compute
        found: dict[str, list[Mapping[str, Any]]] = {}
        for page in _pages(compute, "os-simple-tenant-usage", "tenant_usages", query):
            for usage in page:
                found.setdefault(usage["tenant_id"], []).append(usage)
        called = {item["id"]: item["name"] for item in self.connection.identity.get("projects")["projects"]}
        rows = [(project, called.get(project), *_sums(pages).values()) for project, pages in sorted(found.items())]
        return ("Project ID", "Project", *_SUMMED), rows


_SUMMED = {
    "Servers": "server_usages",
    "Hours": "total_hours",
    "VCPU Hours": "total_vcpus_usage",
    "RAM MB-Hours": "total_memory_mb_usage",
    "Disk GB-Hours": "total_local_gb_usage",
}


def _sums(pages: list[Any]) -> dict[str, Any]:
    sums: dict[str, Any] = {"Servers": sum(len(page["server_usages"]) for page in pages)}
    for name, member in _SUMMED.items():
        if name != "Servers":
            sums[name] = round(sum(page[member] for page in pages), 2)
    return sums


def _pages(compute: Any, path: str, member: str, query: dict[str, str]) -> Any:
    """Go through the pages of a usage: each is a part of the servers, with a link to the next."""
    asked: dict[str, Any] = dict(query)
    while True:
        page = compute.get(path, **asked)
        yield page[member]
        servers = page[member]["server_usages"] if member == "tenant_usage" else page[member]
        if not page.get(f"{member}_links") or not servers:
            return
        last = servers[-1] if member == "tenant_usage" else servers[-1]["server_usages"][-1]
        asked["marker"] = last["instance_id"]


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a day: 2026-01-31") from None

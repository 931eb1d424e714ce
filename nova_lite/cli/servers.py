"""Servers: list, show, rename, set. Their fields have the same names in every command."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.cells import Addresses, Pairs, cell, label
from nova_lite.cli.command import Command, Lister, ShowOne, pair, positive
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import ApiError, CommandError

POWER = {0: "NOSTATE", 1: "Running", 3: "Paused", 4: "Shutdown", 6: "Crashed", 7: "Suspended"}

COLUMNS = ("ID", "Name", "Status", "Task State", "Power State", "Networks", "Kind", "Host")
_LONG = ("Image ID", "Flavor", "Availability Zone", "Key Name", "Created")

_MEMBERS = {
    "id": "ID",
    "name": "Name",
    "status": "Status",
    "OS-EXT-STS:task_state": "Task State",
    "OS-EXT-STS:power_state": "Power State",
    "addresses": "Networks",
    "nova_lite:kind": "Kind",
    "OS-EXT-SRV-ATTR:host": "Host",
    "OS-EXT-STS:vm_state": "VM State",
    "image": "Image",
    "flavor": "Flavor",
    "key_name": "Key Name",
    "OS-EXT-AZ:availability_zone": "Availability Zone",
    "description": "Description",
    "metadata": "Properties",
    "tags": "Tags",
    "config_drive": "Config Drive",
    "created": "Created",
    "updated": "Updated",
    "OS-SRV-USG:launched_at": "Launched",
    "OS-SRV-USG:terminated_at": "Terminated",
    "tenant_id": "Project ID",
    "user_id": "User ID",
    "OS-EXT-SRV-ATTR:instance_name": "Instance Name",
    "OS-EXT-SRV-ATTR:hypervisor_hostname": "Hypervisor Hostname",
    "hostId": "Host ID",
    "OS-DCF:diskConfig": "Disk Config",
    "os-extended-volumes:volumes_attached": "Volumes",
    "accessIPv4": "Access IPv4",
    "accessIPv6": "Access IPv6",
    "fault": "Fault",
}
"""Members of the API and the fields they are; any other is named after itself."""

# What a user put into user data is often a secret, and it is what the user has anyway.
_LEFT_OUT = {"links", "OS-EXT-SRV-ATTR:user_data"}

RENAMED = {
    **{member.lower(): name for member, name in _MEMBERS.items()},
    "task_state": "Task State",
    "image_name": "Image",
    "project_id": "Project ID",
}


def addresses(server: Mapping[str, Any]) -> Addresses:
    """Return a server's addresses by network."""
    found = server.get("addresses") or {}
    return Addresses({name: [item["addr"] for item in items] for name, items in found.items()})


def power(server: Mapping[str, Any]) -> str | None:
    """Return the power state in words."""
    state = server.get("OS-EXT-STS:power_state")
    return None if state is None else POWER.get(state, str(state))


def row(server: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a server's cells of :data:`COLUMNS`."""
    return (
        server["id"],
        server["name"],
        server["status"],
        server.get("OS-EXT-STS:task_state"),
        power(server),
        addresses(server),
        server.get("nova_lite:kind"),
        server.get("OS-EXT-SRV-ATTR:host"),
    )


def _long_row(server: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        (server.get("image") or {}).get("id"),
        _flavor(server.get("flavor") or {}),
        server.get("OS-EXT-AZ:availability_zone"),
        server.get("key_name"),
        server.get("created"),
    )


def _flavor(flavor: Mapping[str, Any]) -> Any:
    return flavor.get("original_name") or flavor.get("id")


def details(connection: Connection, server: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (labels, cells) of everything that the API tells of a server."""
    shown: dict[str, Any] = dict.fromkeys(COLUMNS)
    shown |= dict(zip(COLUMNS, row(server), strict=True))
    for member in (*_MEMBERS, *sorted(server)):
        name = _MEMBERS.get(member) or label(member.rpartition(":")[2])
        if member in server and member not in _LEFT_OUT and name not in shown:
            shown[name] = cell(server[member])
    shown["Image"] = _image(connection, server.get("image"))
    shown["Flavor"] = _whole_flavor(server.get("flavor") or {})
    shown["Config Drive"] = server.get("config_drive") in (True, "True")
    fault = server.get("fault")
    shown["Fault"] = str(fault.get("message") or "") if fault else None
    if fault and fault.get("details"):
        shown["Fault Details"] = str(fault["details"])
    return tuple(shown), tuple(shown.values())


def _image(connection: Connection, image: Any) -> str | None:
    if not image:
        return None
    try:
        return f"{connection.image.get('images/' + str(image['id']))['name']} ({image['id']})"
    except CommandError:
        # It may be gone, or another project's; the server has its copy.
        return str(image["id"])


def _whole_flavor(flavor: Mapping[str, Any]) -> Any:
    if "original_name" not in flavor:
        return flavor.get("id")
    specs = flavor.get("extra_specs") or {}
    sizes = {key: flavor[key] for key in ("vcpus", "ram", "disk", "ephemeral", "swap") if flavor.get(key)}
    return Pairs({"name": flavor["original_name"], **sizes, **specs})


class ListServers(Lister):
    """List servers."""

    renamed = RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take filters and paging."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--all-projects", "--all-tenants", action="store_true", help="of every project (admins)")
        parser.add_argument("--name", metavar="REGEX", help="whose name matches")
        parser.add_argument("--status", metavar="STATUS", help="ACTIVE, BUILD, ERROR, …")
        parser.add_argument("--host", metavar="HOST", help="on this host (admins)")
        parser.add_argument("--ip", metavar="REGEX", help="whose IPv4 address matches")
        parser.add_argument("--long", action="store_true", help="show more columns")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--marker", metavar="ID", help="those after this server")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch the servers with their details."""
        query = {
            "all_tenants": "1" if parsed_args.all_projects or parsed_args.host else None,
            "name": parsed_args.name,
            "status": parsed_args.status,
            "host": parsed_args.host,
            "ip": parsed_args.ip,
            "marker": parsed_args.marker,
        }
        compute = self.connection.compute
        if parsed_args.limit:
            found = compute.get("servers/detail", limit=parsed_args.limit, **query)["servers"]
        else:
            found = list(compute.pages("servers/detail", "servers", **query))
        if not parsed_args.long:
            return COLUMNS, [row(server) for server in found]
        return COLUMNS + _LONG, [row(server) + _long_row(server) for server in found]


class ShowServer(ShowOne):
    """Show a server with everything that is known of it."""

    renamed = RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take the server."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return details(self.connection, names.server(self.connection, parsed_args.server))


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
    """Change a server's name, description or properties."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        parser.add_argument("--description", metavar="TEXT", help="the new description")
        parser.add_argument(
            "--property", "--meta", type=pair, action="append", default=[], metavar="KEY=VALUE", help="set a property"
        )
        parser.add_argument("--no-property", action="append", default=[], metavar="KEY", help="remove a property")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes = {key: getattr(parsed_args, key) for key in ("name", "description")}
        changes = {key: value for key, value in changes.items() if value is not None}
        if not (changes or parsed_args.property or parsed_args.no_property):
            raise CommandError("Nothing is to be changed: give --name, --description, --property or --no-property.")
        compute = self.connection.compute
        path = f"servers/{names.server(self.connection, parsed_args.server)['id']}"
        if changes:
            compute.put(path, {"server": changes})
        if parsed_args.property:
            compute.post(f"{path}/metadata", {"metadata": dict(parsed_args.property)})
        for key in parsed_args.no_property:
            try:
                compute.delete(f"{path}/metadata/{key}")
            except ApiError as error:
                if error.status != 404:
                    raise

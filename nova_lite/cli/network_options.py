"""Options that commands about networks share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError


def switch(parser: Any, on: str, off: str, dest: str, help_on: str, help_off: str) -> None:
    """Add two options that exclude one another; neither given is None."""
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument(on, dest=dest, action="store_true", default=None, help=help_on)
    pair.add_argument(off, dest=dest, action="store_false", default=None, help=help_off)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said, without what was not."""
    return {name: value for name, value in values.items() if value is not None}


def project_option(parser: Any) -> None:
    """Add the option of whose a new thing is to be."""
    parser.add_argument("--project", metavar="PROJECT-ID", help="whose it is to be: a project's id (admins)")


def settings(text: str) -> dict[str, str]:
    """Read ``key=value,key=value`` of an option. :raises argparse.ArgumentTypeError: it has another form."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE,KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def filters(parser: Any) -> None:
    """Add the options that narrow a list by name, project and tags; see :func:`filtered`."""
    parser.add_argument("--name", metavar="NAME", help="of this name")
    parser.add_argument("--project", metavar="PROJECT-ID", help="of this project: its id (admins)")
    parser.add_argument("--tags", metavar="TAG,TAG", help="with all of these tags")


def filtered(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the query that the options of :func:`filters` ask for."""
    return {"name": parsed_args.name, "project_id": parsed_args.project, "tags": parsed_args.tags}


def fixed_ips(parser: Any, help_text: str) -> None:
    """Add the option that names subnets and addresses; see :func:`fixed_ip`."""
    parser.add_argument(
        "--fixed-ip",
        action="append",
        default=[],
        type=settings,
        metavar="subnet=SUBNET,ip-address=ADDRESS",
        help=help_text,
    )


def fixed_ip(connection: Connection, item: Mapping[str, str]) -> dict[str, str]:
    """Return what the API takes for one ``--fixed-ip``. :raises CommandError: it has other keys, or there is no such subnet."""
    if set(item) - {"subnet", "ip-address"}:
        raise CommandError("--fixed-ip takes subnet=SUBNET and ip-address=ADDRESS.")
    subnet = names.subnet(connection, item["subnet"])["id"] if "subnet" in item else None
    return given({"subnet_id": subnet, "ip_address": item.get("ip-address")})

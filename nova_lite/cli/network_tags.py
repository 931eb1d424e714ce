"""Tags of things of networks: the options that name them, and giving them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli.connection import Connection


def new_options(parser: Any) -> None:
    """Add the option that names a new thing's tags."""
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag; may be repeated")


def set_options(parser: Any) -> None:
    """Add the options that change a thing's tags."""
    new_options(parser)
    parser.add_argument("--no-tag", action="store_true", help="drop its tags first")


def unset_options(parser: Any) -> None:
    """Add the options that take tags away."""
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag to take off; may be repeated")
    parser.add_argument("--all-tag", action="store_true", help="take all tags off")


def give(connection: Connection, collection: str, made: Mapping[str, Any], tags: list[str]) -> dict[str, Any]:
    """Give a thing that was just made its tags; return it with them."""
    if not tags:
        return dict(made)
    found = connection.network.put(f"{collection}/{made['id']}/tags", {"tags": sorted(set(tags))})
    return {**made, "tags": found["tags"]}


def change(connection: Connection, collection: str, thing: Mapping[str, Any], parsed_args: argparse.Namespace) -> None:
    """Add tags to a thing, or let it have only these."""
    if parsed_args.tag or parsed_args.no_tag:
        kept = [] if parsed_args.no_tag else thing["tags"]
        connection.network.put(f"{collection}/{thing['id']}/tags", {"tags": sorted({*kept, *parsed_args.tag})})


def take(connection: Connection, collection: str, thing: Mapping[str, Any], parsed_args: argparse.Namespace) -> None:
    """Take tags off a thing."""
    if parsed_args.tag or parsed_args.all_tag:
        left = [] if parsed_args.all_tag else sorted(set(thing["tags"]) - set(parsed_args.tag))
        connection.network.put(f"{collection}/{thing['id']}/tags", {"tags": left})

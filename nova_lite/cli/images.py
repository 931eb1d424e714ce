"""Images: list, show, create, set, delete."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import image_data, names
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields, not_negative, pair, positive
from nova_lite.cli.faults import CommandError
from nova_lite.cli.progress import Progress

_COLUMNS = {
    "ID": "id",
    "Name": "name",
    "Status": "status",
    "Disk Format": "disk_format",
    "Container Format": "container_format",
    "Size": "size",
    "Visibility": "visibility",
}
_LONG = {"Min Disk": "min_disk", "Min RAM": "min_ram", "Checksum": "checksum", "Owner": "owner"}
_FIRST = tuple(_COLUMNS.values())
_LEFT_OUT = ("self", "file", "schema", "first", "next")
_PATCH = "application/openstack-images-v2.1-json-patch"
_VISIBILITIES = ("public", "private", "shared", "community")


def shown(image: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (labels, cells) of an image."""
    return fields(image, first=_FIRST, without=_LEFT_OUT)


def _add_members(parser: Any) -> None:
    """Add the options of what may be said of an image."""
    parser.add_argument("--disk-format", metavar="FORMAT", help="raw, qcow2, aki (kernel), ari (ramdisk), …")
    parser.add_argument("--container-format", metavar="FORMAT", help="bare, docker, …")
    parser.add_argument("--min-ram", type=not_negative, metavar="MIB", help="memory that it needs")
    parser.add_argument("--min-disk", type=not_negative, metavar="GIB", help="disk that it needs")
    parser.add_argument(
        "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="a property; may be repeated"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag; may be repeated")
    protected = parser.add_mutually_exclusive_group()
    protected.add_argument("--protected", action="store_true", default=None, help="refuse to delete it")
    protected.add_argument("--unprotected", dest="protected", action="store_false", help="let it be deleted")
    visible = parser.add_mutually_exclusive_group()
    for name in _VISIBILITIES:
        visible.add_argument(
            f"--{name}", dest="visibility", action="store_const", const=name, help=f"its visibility is {name}"
        )


def _members(parsed_args: argparse.Namespace) -> dict[str, Any]:
    names_ = ("name", "disk_format", "container_format", "min_ram", "min_disk", "protected", "visibility")
    found = {name: getattr(parsed_args, name) for name in names_ if getattr(parsed_args, name) is not None}
    return found | dict(parsed_args.property)


class ListImages(Lister):
    """List images."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        visible = parser.add_mutually_exclusive_group()
        for name in _VISIBILITIES:
            visible.add_argument(
                f"--{name}", dest="visibility", action="store_const", const=name, help=f"only {name} ones"
            )
        parser.add_argument("--name", metavar="NAME", help="of this name")
        parser.add_argument("--status", metavar="STATUS", help="queued, active, …")
        parser.add_argument("--tag", metavar="TAG", help="with this tag")
        parser.add_argument("--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="with it")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N (default: all)")
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {key: getattr(parsed_args, key) for key in ("visibility", "name", "status", "tag")}
        query |= dict(parsed_args.property)
        query = {key: value for key, value in query.items() if value is not None}
        if parsed_args.limit:
            found = self.connection.image.get("images", limit=parsed_args.limit, **query)["images"]
        else:
            found = list(self.connection.image.pages("images", "images", limit=1000, **query))
        columns = {**_COLUMNS, **_LONG} if parsed_args.long else _COLUMNS
        return tuple(columns), [tuple(image.get(member) for member in columns.values()) for image in found]


class ShowImage(ShowOne):
    """Show an image."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="IMAGE", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return shown(names.image(self.connection, parsed_args.image))


class CreateImage(ShowOne):
    """Create an image, of a file or of what comes on stdin."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the image's name")
        parser.add_argument("--file", metavar="FILE", help="its data; - is stdin (default: none, it stays queued)")
        parser.add_argument("--id", metavar="ID", help="its id (default: a random one)")
        _add_members(parser)
        parser.set_defaults(disk_format="raw", container_format="bare")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it and send its data; an image whose data is refused is taken back."""
        members = _members(parsed_args)
        if parsed_args.tag:
            members["tags"] = parsed_args.tag
        if parsed_args.id:
            members["id"] = parsed_args.id
        stream = image_data.open_source(parsed_args.file, self.app.stdin) if parsed_args.file else None
        image = self.connection.image
        made = image.post("images", members)
        if stream is not None:
            visible = self.app.options.verbose_level and self.app.stderr.isatty()
            try:
                with stream, Progress(self.app.stderr, enabled=bool(visible)) as progress:
                    image_data.upload(self.connection, made["id"], stream, progress)
            except BaseException:
                with contextlib.suppress(CommandError):
                    image.delete(f"images/{made['id']}")
                raise
            made = image.get(f"images/{made['id']}")
        return shown(made)


class SetImage(Command):
    """Change an image's name, properties, visibility and the like."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="IMAGE", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        _add_members(parser)
        parser.add_argument("--no-property", action="append", default=[], metavar="KEY", help="remove a property")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.image(self.connection, parsed_args.image)
        members = _members(parsed_args)
        if parsed_args.tag:
            members["tags"] = sorted({*found.get("tags", ()), *parsed_args.tag})
        steps: list[dict[str, Any]] = [
            {"op": "replace" if key in found else "add", "path": f"/{_pointer(key)}", "value": value}
            for key, value in members.items()
        ]
        steps += [{"op": "remove", "path": f"/{_pointer(key)}"} for key in parsed_args.no_property]
        if not steps:
            raise CommandError("Nothing is to be changed: give an option that says what.")
        self.connection.image.patch(f"images/{found['id']}", steps, _PATCH)


def _pointer(key: str) -> str:
    """Escape a key for a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class UnsetImage(Command):
    """Remove properties and tags of an image."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="IMAGE", help="name or id")
        parser.add_argument("--property", action="append", default=[], metavar="KEY", help="a property; repeatable")
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag; repeatable")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        if not (parsed_args.property or parsed_args.tag):
            raise CommandError("Nothing is to be changed: give --property or --tag.")
        found = names.image(self.connection, parsed_args.image)
        missing = [key for key in parsed_args.property if key not in found]
        missing += [tag for tag in parsed_args.tag if tag not in found.get("tags", ())]
        if missing:
            raise CommandError(f"Image {parsed_args.image} has no {', '.join(missing)}.")
        steps: list[dict[str, Any]] = [{"op": "remove", "path": f"/{_pointer(key)}"} for key in parsed_args.property]
        if parsed_args.tag:
            left = [tag for tag in found["tags"] if tag not in parsed_args.tag]
            steps.append({"op": "replace", "path": "/tags", "value": left})
        self.connection.image.patch(f"images/{found['id']}", steps, _PATCH)


class DeleteImages(Deletion):
    """Delete images; servers that were booted from them go on."""

    noun = "image"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.image.delete(f"images/{names.image(self.connection, name)['id']}")

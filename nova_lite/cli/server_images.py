"""Images of servers: snapshots, and backups of which only the newest are kept."""

from __future__ import annotations

import argparse
import time
from typing import Any

from nova_lite.cli import images, names, waiting
from nova_lite.cli.command import ShowOne, not_negative, pair
from nova_lite.cli.faults import CommandError
from nova_lite.cli.progress import Progress

_PAUSE_S = 0.5


class _ImageOfServer(ShowOne):
    """The base: ask for an image of a server, wait for it if asked to, show it."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and the image's name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the image's name (default: the server's)")
        parser.add_argument(
            "--property", type=pair, action="append", default=[], metavar="KEY=VALUE", help="a property of the image"
        )
        waiting.add_options(parser, "until the image is active")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        server = names.server(self.connection, parsed_args.server)
        argument = {"name": parsed_args.name or server["name"], "metadata": dict(parsed_args.property)}
        body = self.body(argument, parsed_args)
        answer = self.connection.compute.post(f"servers/{server['id']}/action", body)
        if not answer:
            raise CommandError("No image is kept: --rotate 0 removes all backups of this type.")
        shown = self._awaited(answer["image_id"], parsed_args)
        return images.shown(shown)

    def body(self, argument: dict[str, Any], parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"createImage": argument}

    def _awaited(self, image_id: str, wanted: argparse.Namespace) -> dict[str, Any]:
        deadline = time.monotonic() + wanted.timeout
        with Progress(self.app.stderr, enabled=bool(wanted.wait and self.app.options.verbose_level)) as progress:
            while True:
                image: dict[str, Any] = self.connection.image.get(f"images/{image_id}")
                if not wanted.wait or image["status"] == "active":
                    return image
                if image["status"] not in ("queued", "saving", "importing"):
                    raise CommandError(f"Image {image_id} ended {image['status']}; `server event list` says why.")
                if time.monotonic() > deadline:
                    raise CommandError(f"Image {image_id} is {image['status']} still after {wanted.timeout:g} s.")
                progress.say(f"{image['name']}: {image['status']}")
                time.sleep(_PAUSE_S)


class CreateImage(_ImageOfServer):
    """Make an image of a server's disk."""


class CreateBackup(_ImageOfServer):
    """Make an image of a server's disk, and remove the oldest of its type."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the type and how many are kept."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--type", default="daily", metavar="WORD", help="daily, weekly, … (default: daily)")
        parser.add_argument(
            "--rotate", type=not_negative, default=1, metavar="N", help="how many of this type are kept (default: 1)"
        )
        return parser

    def body(self, argument: dict[str, Any], parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the action's body."""
        return {"createBackup": {**argument, "backup_type": parsed_args.type, "rotation": parsed_args.rotate}}

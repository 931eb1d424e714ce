"""What a guest wrote on its console: hostile text, shown without its escape sequences."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Command, positive
from nova_lite.cli.faults import CommandError
from nova_lite.cli.hostile import clean


class ShowConsole(Command):
    """Show what a server wrote on its console, without escape sequences."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and how much."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument(
            "--lines", "--length", type=positive, metavar="N", help="the last N lines (default: all there is)"
        )
        parser.add_argument("--raw", type=Path, metavar="FILE", help="write it to FILE as it is, escapes and all")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Fetch and show it."""
        found = names.server(self.connection, parsed_args.server)
        wanted = {"length": parsed_args.lines} if parsed_args.lines else {}
        answer = self.connection.compute.post(f"servers/{found['id']}/action", {"os-getConsoleOutput": wanted})
        text = str(answer["output"] or "")
        if parsed_args.raw is not None:
            self._save(parsed_args.raw, text)
            return
        text = clean(text)
        self.app.stdout.write(text if not text or text.endswith("\n") else text + "\n")

    def _save(self, path: Path, text: str) -> None:
        if path.is_char_device():
            raise CommandError(f"{path} is a device; raw output goes to a file only.")
        try:
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise CommandError(f"{path} can't be written: {error.strerror}") from None

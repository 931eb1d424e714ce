"""What a guest wrote on its console, hostile text shown without its escape sequences; and a seat at it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nova_lite.cli import attach, names, remote_consoles
from nova_lite.cli.command import Command, positive
from nova_lite.cli.faults import CommandError
from nova_lite.cli.hostile import clean

QUIET_S = 2.0
"""After the input's end, how long a guest may say nothing before its console is left."""


class ShowConsole(Command):
    """Show what a server wrote on its console, without escape sequences; or sit at its serial line (--attach)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and how much."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        parser.add_argument(
            "--lines", "--length", type=positive, metavar="N", help="the last N lines (default: all there is)"
        )
        parser.add_argument(
            "--attach",
            action="store_true",
            help="type at the serial console, and see what comes; ctrl-] leaves it. With input that is no terminal it is left "
            f"when the input has ended and the guest was quiet for {QUIET_S:g} s",
        )
        parser.add_argument("--raw", type=Path, metavar="FILE", help="write it to FILE as it is, escapes and all")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Fetch and show it."""
        found = names.server(self.connection, parsed_args.server)
        if parsed_args.attach:
            self._attach(found["id"], parsed_args)
            return
        wanted = {"length": parsed_args.lines} if parsed_args.lines else {}
        answer = self.connection.compute.post(f"servers/{found['id']}/action", {"os-getConsoleOutput": wanted})
        text = str(answer["output"] or "")
        if parsed_args.raw is not None:
            self._save(parsed_args.raw, text)
            return
        text = clean(text)
        self.app.stdout.write(text if not text or text.endswith("\n") else text + "\n")

    def _attach(self, server_id: str, parsed_args: argparse.Namespace) -> None:
        if parsed_args.lines or parsed_args.raw is not None:
            raise CommandError("--attach shows what comes from now on; --lines and --raw are for what was.")
        url = remote_consoles.ask(self.connection, server_id, "serial")["url"]
        line = attach.Line(url, self.connection.cloud.verify)
        self.app.tell(f"{parsed_args.server}: connected; ctrl-] leaves the console")
        try:
            why = attach.sit(line, QUIET_S)
        finally:
            line.close()
        self.app.tell(f"{parsed_args.server}: {why}")

    def _save(self, path: Path, text: str) -> None:
        if path.is_char_device():
            raise CommandError(f"{path} is a device; raw output goes to a file only.")
        try:
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise CommandError(f"{path} can't be written: {error.strerror}") from None

"""``nova-lite``: the client, and ``nova-lite up``, which is the whole cloud in one process.

``up`` is looked at first: a service should not carry the client's libraries, nor the client the service's.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

UP = "up"


def main(argv: list[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == [UP]:
        return _up(arguments[1:])
    from nova_lite.cli.app import run

    return run(arguments, {UP: f"{__name__}:Up"})


def _up(arguments: list[str]) -> int:
    from nova_lite.cmd.up import main as up

    return int(up(arguments) or 0)


def __getattr__(name: str) -> Any:
    """Make the class of ``up`` as a command when the client asks for it: for its help and completion."""
    if name != "Up":
        raise AttributeError(name)
    from nova_lite.cli.command import Command

    class Up(Command):
        """Run the whole cloud in this process: API, scheduler and agent."""

        def get_parser(self, prog_name: str) -> Any:
            """Take everything: it is for the service to read."""
            parser = super().get_parser(prog_name)
            parser.add_argument("arguments", nargs=argparse.REMAINDER, help="see nova-lite up --help")
            return parser

        def take_action(self, parsed_args: argparse.Namespace) -> int:
            """Run it."""
            return _up(parsed_args.arguments)

    return Up


if __name__ == "__main__":
    sys.exit(main())

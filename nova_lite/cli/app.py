"""The program: global options, the connection, and how a command's end is told."""

from __future__ import annotations

import argparse
import functools
import io
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from cliff.app import App

from nova_lite import __version__
from nova_lite.cli import clouds
from nova_lite.cli.hostile import clean
from nova_lite.cli.table import CommandTable

NAME = "nova-lite"
_QUIETED = ("stevedore", "urllib3", "keystoneauth", "cliff", "charset_normalizer")
_BROKEN_PIPE = 141


class _Harmless(logging.Formatter):
    """Messages hold what services and guests wrote."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without escape sequences."""
        return clean(super().format(record))


class NovaLite(App):  # type: ignore[misc]
    """``nova-lite``. :param more: commands beside those of the table, name → ``module:Class``."""

    NAME = NAME
    LOG = logging.getLogger(NAME)

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        super().__init__(
            description="Boot and run VMs, unikernels and containers in a nova_lite (or OpenStack) cloud.",
            version=__version__,
            command_manager=CommandTable(more),
            deferred_help=True,
        )

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        """Add what says which cloud is meant. An abbreviation could swallow a command's own option, so there are none."""
        parser: argparse.ArgumentParser = super().build_option_parser(
            description, version, {"prog": NAME, "allow_abbrev": False, **(argparse_kwargs or {})}
        )
        for action in parser._actions:
            if "--version" in action.option_strings:
                action.version = f"{NAME} {version}"  # type: ignore[attr-defined]
            if "--debug" in action.option_strings:
                action.help = "log each request (without secrets) and show tracebacks"
        group = parser.add_argument_group("cloud", "which cloud, and as whom; else OS_… variables or clouds.yaml")
        group.add_argument("--os-cloud", metavar="NAME", help="a cloud of a clouds.yaml (OS_CLOUD)")
        for setting in clouds.SETTINGS:
            group.add_argument(
                setting.option,
                metavar=setting.name.rpartition("_")[2].upper(),
                default=argparse.SUPPRESS,
                help=f"{setting.text} ({setting.variables[0]})",
            )
        group.add_argument("--insecure", action="store_true", help="trust any certificate")
        return parser

    def configure_logging(self) -> None:
        """Log to stderr: messages alone; with --debug our requests too, but no library's wire logs, which hold secrets."""
        if self.options.debug:
            self.options.verbose_level = 2
        super().configure_logging()
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Harmless(self.CONSOLE_MESSAGE_FORMAT))
        for name in _QUIETED:
            logging.getLogger(name).setLevel(logging.ERROR)

    @functools.cached_property
    def connection(self) -> Any:
        """The connection to the cloud that was chosen. :raises CommandError: none was."""
        from nova_lite.cli.connection import Connection

        given = {
            setting.name: getattr(self.options, f"os_{setting.name}")
            for setting in clouds.SETTINGS
            if getattr(self.options, f"os_{setting.name}", None)
        }
        return Connection(clouds.resolve(given, os.environ, name=self.options.os_cloud, insecure=self.options.insecure))

    def tell(self, text: str) -> None:
        """Say something that is no data, on stderr; not with --quiet."""
        if self.options.verbose_level:
            self.stderr.write(clean(text) + "\n")

    def interact(self) -> None:
        """Show the help where no command is given; there is no shell of our own."""
        self.parser.print_help(self.stderr)
        self.stderr.write(f"\n`{NAME} --help` lists the commands.\n")


def run(argv: list[str], more: Mapping[str, str] | None = None) -> int:
    """Run a command line; return the exit code: 0, 1 (it failed), 2 (misspelt), 130 (interrupted), 141 (nobody reads)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal has no letters for must not end a listing in the middle.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(NovaLite(more).run(argv) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes again at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code

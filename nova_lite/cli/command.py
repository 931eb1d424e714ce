"""What all commands share: the connection, the formats, and no scan of entry points at start."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliff.command import Command as CliffCommand
from cliff.lister import Lister as CliffLister
from cliff.show import ShowOne as CliffShowOne

from nova_lite.cli import formats
from nova_lite.cli.cells import cell, label
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError


class _Lean:
    """cliff's hooks and plugin notes cost 100 ms of looking through installed packages; there are none for us."""

    app: Any
    cmd_name: str | None
    _description: str

    def _load_hooks(self) -> None:
        self._hooks: list[Any] = []

    def get_epilog(self) -> str:
        """Return what stands below a command's help: an example."""
        from nova_lite.cli.examples import EXAMPLES

        example = EXAMPLES.get(self.cmd_name or "")
        return f"example: {example}" if example else ""

    @property
    def connection(self) -> Connection:
        """The cloud."""
        found: Connection = self.app.connection
        return found


class Command(_Lean, CliffCommand):  # type: ignore[misc]
    """A command that prints what it likes."""


class _Shown(_Lean):
    app: Any
    formatter: Any
    offered: Mapping[str, Any]
    """The formats, by name."""
    renamed: Mapping[str, str] = {}
    """Other names of columns for ``-c``, in small letters with ``_`` for spaces: the API's own, say."""

    def _load_formatter_plugins(self) -> formats.Formatters:
        return formats.Formatters(dict(self.offered))

    def _meant(self, columns: Iterable[str]) -> list[str]:
        return [self.renamed.get(name.lower().strip().replace(" ", "_"), name) for name in columns]


class Lister(_Shown, CliffLister):  # type: ignore[misc]
    """A command that lists things, a row each."""

    offered = formats.LIST

    def produce_output(self, parsed_args: Any, column_names: Sequence[str], data: Iterable[Sequence[Any]]) -> int:
        """Write the rows: sorted and selected by cliff, then made harmless."""
        parsed_args.columns = self._meant(parsed_args.columns)
        parsed_args.sort_columns = self._meant(parsed_args.sort_columns)
        rows = [list(row) for row in data]
        self.formatter = _Harmless(self.formatter, parsed_args.formatter)
        return int(super().produce_output(parsed_args, column_names, rows))


class ShowOne(_Shown, CliffShowOne):  # type: ignore[misc]
    """A command that shows one thing, a field a row."""

    offered = formats.SINGLE

    def produce_output(self, parsed_args: Any, column_names: Sequence[str], data: Sequence[Any]) -> int:
        """Write the fields."""
        parsed_args.columns = self._meant(parsed_args.columns)
        self.formatter = _Harmless(self.formatter, parsed_args.formatter)
        return int(super().produce_output(parsed_args, column_names, data))

    def produce_rows(self, parsed_args: Any, column_names: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Write several things as a list, where a command that shows one had to make more."""
        names, selector = self._generate_columns_and_selector(parsed_args, column_names)
        chosen = [list(self._compress_iterable(row, selector)) if selector else list(row) for row in rows]
        lister = _Harmless(self.formatter, parsed_args.formatter)
        lister.emit_list(names, chosen, self.app.stdout, parsed_args)
        return 0


class _Harmless:
    """A formatter whose cells are first made harmless to a terminal."""

    def __init__(self, formatter: Any, name: str) -> None:
        self._formatter = formatter
        self._name = name

    def emit_list(self, names: Sequence[str], data: Iterable[Sequence[Any]], stdout: Any, parsed_args: Any) -> None:
        rows = [[formats.shown(value, self._name) for value in row] for row in data]
        self._formatter.emit_list(names, rows, stdout, parsed_args)

    def emit_one(self, names: Sequence[str], data: Sequence[Any], stdout: Any, parsed_args: Any) -> None:
        row = [formats.shown(value, self._name) for value in data]
        self._formatter.emit_one(names, row, stdout, parsed_args)


def fields(thing: Mapping[str, Any], *, first: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[Any, Any]:
    """Return (labels, cells) of a thing of the API: members *first* in that order, then the others by name."""
    left = {*without, "links", *first}
    members = [name for name in first if name in thing] + sorted(name for name in thing if name not in left)
    return tuple(label(name) for name in members), tuple(cell(thing[name]) for name in members)


def pair(text: str) -> tuple[str, str]:
    """Read ``key=value`` of an option. :raises argparse.ArgumentTypeError: it has another form."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE")
    return key, value


def positive(text: str) -> int:
    """Read a number that is at least 1. :raises argparse.ArgumentTypeError: it is none."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of at least 1")
    return int(text)


def not_negative(text: str) -> int:
    """Read a number that is at least 0. :raises argparse.ArgumentTypeError: it is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of at least 0")
    return int(text)


class Deletion(Command):
    """Delete each of several things; one that can't be deleted doesn't save the others."""

    noun = ""

    def get_parser(self, prog_name: str) -> Any:
        """Take names or ids."""
        parser = super().get_parser(prog_name)
        parser.add_argument("things", metavar=self.noun.upper().replace(" ", "-"), nargs="+", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete them; 1 if any could not be."""
        failed = 0
        for name in parsed_args.things:
            try:
                self.remove(name)
                self.app.tell(f"{name}: deleted")
            except CommandError as error:
                failed = 1
                self.app.LOG.error("%s %s is not deleted: %s", self.noun, name, error)
        return failed

    def remove(self, name: str) -> None:
        """Delete one. :raises CommandError: it can't be."""
        raise CommandError(f"nothing deletes a {self.noun}")

"""Output formats by name, without the scan of entry points by which cliff finds them (60 ms of a command's time)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cliff.columns import FormattableColumn
from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.json_format import JSONFormatter
from cliff.formatters.shell import ShellFormatter
from cliff.formatters.table import TableFormatter
from cliff.formatters.value import ValueFormatter
from cliff.formatters.yaml_format import YAMLFormatter

from nova_lite.cli.hostile import clean

ESCAPING = frozenset({"json", "yaml"})
"""Formats that write control characters as escapes by themselves and that keep structure."""


class OneRow(CSVLister):  # type: ignore[misc]
    """CSV of a single thing: its fields are the columns of one row, as in a list."""

    def emit_one(self, column_names: Any, data: Any, stdout: Any, parsed_args: Any) -> None:
        """Write the heading and the row."""
        self.emit_list(column_names, [data], stdout, parsed_args)


LIST = {
    "csv": CSVLister,
    "json": JSONFormatter,
    "table": TableFormatter,
    "value": ValueFormatter,
    "yaml": YAMLFormatter,
}
SINGLE = LIST | {"csv": OneRow, "shell": ShellFormatter}


@dataclass(frozen=True)
class Plugin:
    """What cliff expects of a found formatter."""

    obj: Any


class Formatters:
    """A fixed set of formatters, in the shape of stevedore's manager."""

    def __init__(self, classes: dict[str, Any]) -> None:
        self._plugins = {name: Plugin(made()) for name, made in classes.items()}

    def names(self) -> list[str]:
        """List the formats."""
        return list(self._plugins)

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._plugins.values())

    def __getitem__(self, name: str) -> Plugin:
        return self._plugins[name]


def shown(value: Any, formatter: str) -> Any:
    """Return a cell as *formatter* may write it: no control character reaches a terminal, ``-`` for nothing in tables."""
    if formatter in ESCAPING:
        return value
    if value is None:
        return "-" if formatter == "table" else "None"
    if isinstance(value, FormattableColumn):
        value = value.human_readable()
    return clean(value) if isinstance(value, str) else value

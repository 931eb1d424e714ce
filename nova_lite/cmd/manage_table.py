"""How ``nova-lite-manage`` prints lists: a table for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any


def add_format(parser: argparse.ArgumentParser) -> None:
    """Let a listing be asked for as JSON."""
    parser.add_argument(
        "-f", "--format", choices=("table", "json"), default="table", help="table (default), or json for programs"
    )


def show(arguments: argparse.Namespace, headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print *rows* in the format that was asked for; JSON keys are the headers in lower case."""
    if arguments.format == "json":
        keys = [header.lower().replace(" ", "_") for header in headers]
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2, default=str))
        return
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(headers), *texts]) for column in range(len(headers))]
    for line in [list(headers), ["-" * width for width in widths], *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # What guests and hosts say of themselves must not move the operator's cursor.
    return "".join(char if char.isprintable() else "?" for char in str(value))


def age(seconds: float) -> str:
    """Say how long ago something was, roughly."""
    if seconds < 120:
        return f"{seconds:.0f}s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 172_800 else f"{seconds / 86_400:.0f}d"

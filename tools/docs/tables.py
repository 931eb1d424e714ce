"""Tables in reStructuredText's ``list-table`` form, which needs no widths and so changes line by line."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """Return a table. :param widths: the columns' widths against each other."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(str(width) for width in widths)}", ""]
    for row in (head, *rows):
        for column, cell in enumerate(row):
            lines.append(f"   {'*' if column == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines)


def code(text: str) -> str:
    """Return *text* as a literal; nothing stays nothing."""
    return f"``{text}``" if text else ""

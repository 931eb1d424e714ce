"""Keep what the documentation says of the code in step with the code.

A page has generated parts between two marks. ``python tools/docs/generated.py`` writes them anew; with ``--check`` it only
says which are out of date (exit code 1), as ``tests/unit/test_docs.py`` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import api_coverage
import configuration
import server_states

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Part:
    """One generated part of one page; ``page`` is below the checkout."""

    page: str
    name: str
    make: Callable[[], str]


PARTS = (
    Part("doc/api_coverage.rst", "routes", api_coverage.routes),
    Part("doc/api_coverage.rst", "actions", api_coverage.actions),
    Part("doc/api_coverage.rst", "missing", api_coverage.missing),
    Part("doc/server_states.rst", "transitions", server_states.transitions),
    Part("doc/server_states.rst", "from-each-state", server_states.from_each_state),
    Part("doc/configuration.rst", "options", configuration.options),
)


def placed(text: str, name: str, content: str) -> str:
    """Return the page *text* with *content* as its part *name*.

    :raises ValueError: the page has not exactly one pair of the part's marks.
    """
    begin, end = f".. begin generated {name}\n", f".. end generated {name}\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs one line {begin.strip()!r} and one {end.strip()!r}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content.strip()}\n\n{end}{after}"


def stale() -> dict[Path, str]:
    """Return the pages that are out of date, with the text that they should have."""
    texts: dict[Path, str] = {}
    for part in PARTS:
        page = CHECKOUT / part.page
        old = texts.get(page, page.read_text(encoding="utf-8"))
        texts[page] = placed(old, part.name, part.make())
    return {page: text for page, text in texts.items() if text != page.read_text(encoding="utf-8")}


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of doc/ from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    arguments = parser.parse_args(argv)
    pages = stale()
    for page, text in pages.items():
        print(f"{page.relative_to(CHECKOUT)}: {'is out of date' if arguments.check else 'written'}")
        if not arguments.check:
            page.write_text(text, encoding="utf-8")
    return 1 if arguments.check and pages else 0


if __name__ == "__main__":
    sys.exit(main())

"""Keep what the documentation says of the code in step with the code.

A page has generated parts between two marks, and ``etc/nova_lite/`` has two samples. ``python tools/docs/generated.py`` writes
all of them anew; with ``--check`` it only says which are out of date (exit code 1), as ``tests/unit/test_docs.py`` does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import api_coverage
import configuration
import extra_specs_table
import server_states
from oslo_config import generator
from oslo_policy import generator as policy_generator

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
    Part("doc/server_states.rst", "steps", server_states.steps),
    Part("doc/server_states.rst", "by-kind", server_states.by_kind),
    Part("doc/guests.rst", "extra-specs", extra_specs_table.table),
    Part("doc/configuration.rst", "options", configuration.options),
)

SAMPLES: dict[str, Callable[[list[str]], object]] = {
    "etc/nova_lite/nova-lite.conf.sample": generator.main,
    "etc/nova_lite/policy.yaml.sample": policy_generator.generate_sample,
}


def sample(make: Callable[[list[str]], object]) -> str:
    """Return what one of oslo's generators writes for us."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "sample")
        make(["--namespace", "nova_lite", "--output-file", str(target)])
        return target.read_text(encoding="utf-8")


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
    """Return the files that are out of date, with the text that they should have."""
    texts = {CHECKOUT / name: sample(make) for name, make in SAMPLES.items()}
    for part in PARTS:
        page = CHECKOUT / part.page
        old = texts.get(page, page.read_text(encoding="utf-8"))
        texts[page] = placed(old, part.name, part.make())
    return {path: text for path, text in texts.items() if not path.exists() or text != path.read_text(encoding="utf-8")}


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description="Write what doc/ and etc/ have of the code anew.")
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

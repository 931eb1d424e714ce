"""How the suite is shared out among several workers (``pytest -n``): a file to a worker, the long ones first.

A file's tests share what its fixtures make (a cloud with guests, a broker), so one worker has them all. What they make is a
test's own (namespaces, databases, directories, brokers), so any files may run side by side.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
ORDER = ("e2e", "virt", "chaos", "bus", "functional", "devstack", "security", "property", "db", "unit")
"""The directories, those first whose files take longest: what is begun last should not be what the others wait for."""

SPLIT = {
    "tests/e2e/test_actions.py": "[vm]",
    "tests/e2e/test_actions_killed.py": "test_libvirtd_is_killed_and_hangs",
}
"""Files too long for one worker, and how the tests end that another may have."""


class Sharing(LoadScopeScheduling):
    """Give out whole files."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        ending = SPLIT.get(file)
        return f"{file}{ending}" if ending and nodeid.endswith(ending) else file


def long_ones_first(items: list[pytest.Item]) -> None:
    """Sort the tests by directory, and leave their order within one."""

    def place(item: pytest.Item) -> int:
        directory = item.path.relative_to(TESTS).parts[0]
        return ORDER.index(directory) if directory in ORDER else len(ORDER)

    items.sort(key=place)

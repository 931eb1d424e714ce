"""A second try for a test of what the machine times: real processes, kernels, hypervisors and brokers, three tests at once on two cores.

Of some thousand of these, one fails in a run now and then for a reason that lies in none of the changes before it. Such a failure still is
a fault, of the test or of what it tries: so it is printed whole, the test is named ``UNSTEADY`` at the end, and a run with more than ``MOST`` of
them has failed. What fails twice in a row has failed. Tests without such parts (units, the database, properties) get no second try, and
nobody does without ``NOVA_LITE_SECOND_TRY=1``, as ``devstack/test.sh`` sets it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REAL = frozenset({"e2e", "virt", "bus", "chaos", "functional", "devstack", "security"})
MOST = 2


def is_on() -> bool:
    """Say whether there are second tries in this run."""
    return os.environ.get("NOVA_LITE_SECOND_TRY") == "1"


def give_second_tries(items: list[pytest.Item]) -> None:
    """Mark the tests that get one."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))


def reports(config: pytest.Config) -> list[pytest.TestReport]:
    """Return the first failures of what passed the second time; in the process that sums up, none in a worker."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    failed = {report.nodeid for kind in ("failed", "error") for report in reporter.stats.get(kind, ())}
    return [report for report in reporter.stats.get("rerun", ()) if report.nodeid not in failed]


def tell(reporter: pytest.TerminalReporter) -> None:
    """Print what failed at first, and name it."""
    found = reports(reporter.config)
    if not found:
        return
    reporter.section("what failed at first")
    for report in found:
        reporter.write_sep("_", report.nodeid)
        reporter.write_line(report.longreprtext)
    for report in found:
        reporter.write_line(f"UNSTEADY {report.nodeid}")
    if len(found) > MOST:
        reporter.write_line(f"More than {MOST} tests needed a second try: the run has failed.")


def is_too_much(config: pytest.Config) -> bool:
    """Say whether so many tests needed a second try that it is no accident."""
    return len(reports(config)) > MOST

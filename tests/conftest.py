"""What all tests share: skips that count as failures where they should not happen, and the databases there are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import unsteady
from hypothesis import HealthCheck, settings
from parallel import Sharing, long_ones_first

ALLOWED_SKIPS = ("cannot run on this machine",)
"""How the reason of a skip begins that is fine even under NOVA_LITE_CI_STRICT."""


# How long an example takes says more of the machine than of what is tested. And, as tests/chaos does it: the same examples in each run,
# so that a failure says something of the change before it.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("fixed", settings.get_profile("suite"), derandomize=True, database=None)
settings.load_profile("suite" if os.environ.get("NOVA_LITE_PROPERTY_SEED") == "random" else "fixed")


def pytest_configure() -> None:
    """Hear SIGINT again: a run in the background starts with it ignored, and what it starts would ignore it too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    long_ones_first(items)
    if unsteady.is_on():
        unsteady.give_second_tries(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that passed only the second time."""
    unsteady.tell(terminalreporter)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which too many did."""
    if unsteady.is_too_much(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing:
    """Give whole files to the workers."""
    return Sharing(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skip into a failure under ``NOVA_LITE_CI_STRICT=1``: CI must run what can run there."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("NOVA_LITE_CI_STRICT") == "1" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped under NOVA_LITE_CI_STRICT: {reason}"

"""Second tries: what gets one, what is said of it, and when there are too many."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SUITE = """
import pathlib, pytest

@pytest.mark.parametrize("n", range({count}))
def test_first_time_only(n):
    seen = pathlib.Path(__file__).with_name(f"seen{{n}}")
    if not seen.exists():
        seen.touch()
        assert not "a fault"

def test_good():
    pass
"""
ALWAYS = "\ndef test_bad():\n    assert not 'always'\n"


def run(directory: Path, kind: str, suite: str, *, on: bool = True, workers: int = 0) -> tuple[int, str]:
    """Run a suite of a kind as devstack/test.sh does; return pytest's status and what it says."""
    tests = directory / "tests"
    (tests / kind).mkdir(parents=True)
    for name in ("conftest.py", "parallel.py", "unsteady.py"):
        shutil.copy(TESTS / name, tests)
    (tests / kind / "test_it.py").write_text(suite)
    (directory / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "tests"]
    variables = {**os.environ, "NOVA_LITE_SECOND_TRY": "1" if on else "0"}
    done = subprocess.run(argv, cwd=directory, env=variables, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_what_passes_the_second_time_is_named_with_its_failure(tmp_path: Path, workers: int) -> None:
    status, said = run(tmp_path, "virt", SUITE.format(count=2), workers=workers)
    assert status == 0
    for number in range(2):
        assert f"UNSTEADY tests/virt/test_it.py::test_first_time_only[{number}]\n" in said
    assert said.count('assert not "a fault"') == 2
    assert "3 passed, 2 rerun" in said.splitlines()[-1]


def test_too_many_fail_the_run(tmp_path: Path) -> None:
    status, said = run(tmp_path, "virt", SUITE.format(count=3))
    assert status == 1 and "More than 2 tests needed a second try" in said


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    status, said = run(tmp_path, "e2e", SUITE.format(count=0) + ALWAYS)
    assert status == 1 and "UNSTEADY" not in said
    assert "1 failed, 1 passed" in said.splitlines()[-1]


@pytest.mark.parametrize(("kind", "on"), [("unit", True), ("virt", False)])
def test_who_gets_no_second_try(tmp_path: Path, kind: str, on: bool) -> None:
    status, said = run(tmp_path, kind, SUITE.format(count=1), on=on)
    assert status == 1 and "rerun" not in said

"""Fixtures of the bash layer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell whose directories are the test's own."""
    return Shell(tmp_path)

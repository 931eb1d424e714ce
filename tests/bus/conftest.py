"""A broker of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rabbit_node import SERVER, RabbitNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RabbitNode]:
    if not os.environ.get("TEST_RABBIT_URL") or not SERVER.exists():
        pytest.skip("TEST_RABBIT_URL names no broker")
    made = RabbitNode(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def quiet_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node for tests that leave it alone; of this run alone, as schedulers share a queue with any other's."""
    if not os.environ.get("TEST_RABBIT_URL") or not SERVER.exists():
        pytest.skip("TEST_RABBIT_URL names no broker")
    made = RabbitNode(tmp_path_factory.mktemp("rabbit"))
    try:
        made.start()
        yield made
    finally:
        made.close()

"""A database of its own for each test: SQLite always, PostgreSQL and MariaDB where a server is named.

``TEST_POSTGRESQL_URL`` and ``TEST_MARIADB_URL`` name accounts that may make schemas, respectively databases called
``nova_lite_test…``. Each test's own is dropped when it ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_database import own_database

from nova_lite.db import migrate
from nova_lite.db.store import Store, connect

BACKENDS = ("sqlite", "postgresql", "mariadb")
VARIABLES = {"postgresql": "TEST_POSTGRESQL_URL", "mariadb": "TEST_MARIADB_URL"}


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty database."""
    backend: str = request.param
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    server = os.environ.get(VARIABLES[backend])
    if not server:
        pytest.skip(f"{VARIABLES[backend]} names no server")
    with own_database(server) as url:
        yield url


@pytest.fixture
def empty(database_url: str) -> Iterator[Store]:
    """Give a store on a database without tables."""
    store = Store(connect(database_url, pool_size=24))
    yield store
    store.close()


@pytest.fixture
def store(empty: Store) -> Store:
    """Give a store on a database that the migrations were applied to."""
    migrate.upgrade(empty.engine)
    return empty

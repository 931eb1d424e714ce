"""A database of one's own on a server whose account may make schemas (PostgreSQL) or databases (MariaDB) called ``nova_lite_test…``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, make_url, text


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """Make one on *server*, give its URL, and drop it with all that is in it."""
    name = f"nova_lite_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    url = make_url(server)
    is_postgresql = url.get_backend_name() == "postgresql"
    try:
        if is_postgresql:
            _execute(admin, f"CREATE SCHEMA {name}")
            url = url.update_query_dict({"options": f"-csearch_path={name}"})
        else:
            _execute(admin, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            url = url.set(database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        _execute(admin, f"DROP SCHEMA {name} CASCADE" if is_postgresql else f"DROP DATABASE {name}")
        admin.dispose()


def _execute(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))

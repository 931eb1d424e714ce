"""Insert rows of which somebody else may insert the same at the same moment, alike on each database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session


def insert_absent(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Insert those of *rows* whose unique keys nobody holds yet; True: all went in. Else the caller reads which did.

    Only of one row alone does every database say whether it went in, and MariaDB says it of none.
    """
    backend = session.get_bind().dialect.name
    statement = _ABSENT.get((backend, table.name))
    if statement is None:
        statement = _ABSENT[backend, table.name] = _absent(backend, table)
    if len(rows) != 1:
        session.execute(statement, list(rows))
        return False
    result = session.execute(statement, rows[0])
    assert isinstance(result, CursorResult)
    return backend in ("sqlite", "postgresql") and result.rowcount == 1


def _absent(backend: str, table: Table) -> Any:
    if backend == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    if backend == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    # Not INSERT IGNORE: that would also wave a broken foreign key through.
    key = next(iter(table.primary_key.columns))
    return mysql.insert(table).on_duplicate_key_update({key.name: key})


_ABSENT: dict[tuple[str, str], Any] = {}
"""By database and table."""

"""Alembic's environment: run the migrations on the connection that nova_lite.db.migrate hands over.

From alembic's own command line (to write a migration) ``-x url=…`` names the database.
"""

from __future__ import annotations

from typing import Any

from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from sqlalchemy import Connection

from alembic import context
from nova_lite.db import types
from nova_lite.db.models import Base
from nova_lite.db.store import connect

_NAMED_TYPES = {id(getattr(types, name)): name for name in ("Json", "Moment", "LongText")}

# Names compare byte by byte everywhere, as on SQLite and PostgreSQL; MariaDB would fold case and trailing spaces.
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}
TABLE_OPTIONS = {f"{dialect}_{key}": value for dialect in ("mysql", "mariadb") for key, value in _MARIADB.items()}

writer = Rewriter()


@writer.rewrites(ops.CreateTableOp)
def _repeatable_table(_context: Any, _revision: Any, operation: ops.CreateTableOp) -> ops.CreateTableOp:
    # MariaDB can't roll DDL back: a migration that was cut off must be able to run again from its start.
    operation.if_not_exists = True
    operation.kw.update(TABLE_OPTIONS)
    return operation


@writer.rewrites(ops.CreateIndexOp)
def _repeatable_index(_context: Any, _revision: Any, operation: ops.CreateIndexOp) -> ops.CreateIndexOp:
    operation.if_not_exists = True
    return operation


def render(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write our own column types by their names, so that a migration means the same on each database."""
    if kind == "type" and id(item) in _NAMED_TYPES:
        autogen_context.imports.add("from nova_lite.db import types")
        return f"types.{_NAMED_TYPES[id(item)]}"
    return False


def run(connection: Connection) -> None:
    """Run what was asked for; one transaction where the database can roll back DDL (not MariaDB)."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render,
        # SQLite alters a table by copying it: `-x batch=yes` writes such a migration.
        render_as_batch="batch" in context.get_x_argument(as_dictionary=True),
        process_revision_directives=writer,
        transactional_ddl=connection.dialect.name in ("sqlite", "postgresql"),
    )
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    with connect(context.get_x_argument(as_dictionary=True)["url"]).connect() as own:
        run(own)
        own.commit()

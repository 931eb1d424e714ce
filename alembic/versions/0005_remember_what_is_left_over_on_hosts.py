"""Remember what may be left of servers on hosts that are theirs no more.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Names compare byte by byte, as on SQLite and PostgreSQL. The statement can be repeated, as MariaDB can't roll it back.
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}
_TABLE = {f"{dialect}_{key}": value for dialect in ("mysql", "mariadb") for key, value in _MARIADB.items()}


def upgrade() -> None:
    op.create_table(
        "left_overs",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.PrimaryKeyConstraint("host", "server_id", name=op.f("pk_left_overs")),
        if_not_exists=True,
        **_TABLE,
    )


def downgrade() -> None:
    op.drop_table("left_overs")

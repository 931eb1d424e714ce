"""Remember which images' files are to go.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Names compare byte by byte, as on SQLite and PostgreSQL. The statement can be repeated, as MariaDB can't roll it back.
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}
_TABLE = {f"{dialect}_{key}": value for dialect in ("mysql", "mariadb") for key, value in _MARIADB.items()}


def upgrade() -> None:
    op.create_table(
        "removed_images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removed_images")),
        if_not_exists=True,
        **_TABLE,
    )


def downgrade() -> None:
    op.drop_table("removed_images")

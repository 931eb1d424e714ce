"""Make the table of console tokens.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Names compare byte by byte, as on SQLite and PostgreSQL. Each statement can be repeated, as MariaDB can't roll it back.
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}
_TABLE = {f"{dialect}_{key}": value for dialect in ("mysql", "mariadb") for key, value in _MARIADB.items()}


def upgrade() -> None:
    op.create_table(
        "console_auth_tokens",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("console_type", sa.String(length=16), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_auth_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_console_auth_tokens_token_hash")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index(
        "ix_console_auth_tokens_expires", "console_auth_tokens", ["expires_at"], unique=False, if_not_exists=True
    )
    op.create_index(
        "ix_console_auth_tokens_server", "console_auth_tokens", ["server_id"], unique=False, if_not_exists=True
    )


def downgrade() -> None:
    op.drop_table("console_auth_tokens")

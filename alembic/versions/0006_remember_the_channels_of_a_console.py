"""Remember which channels of a console were opened with a token.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    if "channels" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("console_auth_tokens")}:
        op.add_column(
            "console_auth_tokens", sa.Column("channels", sa.String(length=255), server_default="", nullable=False)
        )


def downgrade() -> None:
    op.drop_column("console_auth_tokens", "channels")

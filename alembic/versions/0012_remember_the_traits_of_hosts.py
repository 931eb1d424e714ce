"""Remember what hosts have beyond kinds of guests.

Revision: 0012
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    if "traits" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("hosts")}:
        op.add_column("hosts", sa.Column("traits", types.Json, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("hosts", "traits")

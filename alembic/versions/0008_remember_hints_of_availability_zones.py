"""Remember in which availability zones a network or a router was asked for.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("networks", "routers")


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    for table in TABLES:
        if "zone_hints" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, sa.Column("zone_hints", types.Json, nullable=False, server_default="[]"))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "zone_hints")

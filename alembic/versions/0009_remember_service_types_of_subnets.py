"""Remember for ports of which device owners a subnet is.

Revision: 0009
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    if "service_types" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("subnets")}:
        op.add_column("subnets", sa.Column("service_types", types.Json, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("subnets", "service_types")

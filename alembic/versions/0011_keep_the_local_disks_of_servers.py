"""Keep the ephemeral disks and the swap of servers.

Servers that are there have none, whatever their flavors say: they were made without, and hold no room for them.

Revision: 0011
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("servers")}
    for name in ("ephemeral_gb", "swap_mb"):
        if name not in there:
            op.add_column("servers", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    if "local_disks" not in there:
        op.add_column("servers", sa.Column("local_disks", types.Json, nullable=True))


def downgrade() -> None:
    for name in ("local_disks", "swap_mb", "ephemeral_gb"):
        op.drop_column("servers", name)

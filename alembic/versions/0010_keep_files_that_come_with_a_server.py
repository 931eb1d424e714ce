"""Keep the files that come with a server for its guest.

Revision: 0010
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It can be repeated, as MariaDB can't roll it back; SQLite has no IF NOT EXISTS for columns.
    if "injected_files" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("servers")}:
        op.add_column("servers", sa.Column("injected_files", types.Json, nullable=True))


def downgrade() -> None:
    op.drop_column("servers", "injected_files")

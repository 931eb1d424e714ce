"""Find old operations and deleted servers by their age.

Revision: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_operations_finished", "operations", ["finished_at"], unique=False, if_not_exists=True)
    op.create_index("ix_servers_deleted", "servers", ["deleted_at"], unique=False, if_not_exists=True)


def downgrade() -> None:
    op.drop_index("ix_servers_deleted", table_name="servers")
    op.drop_index("ix_operations_finished", table_name="operations")

"""What projects may have, and what they have."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps


class QuotaLimit(Base, Timestamps):
    """One limit that was set: of a project, of one user in a project, or of a class (``project_id`` is then ``class:NAME``).

    ``user_id`` is empty where the limit is the whole project's. ``hard_limit`` -1: unlimited.
    """

    __tablename__ = "quota_limits"
    project_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(64), primary_key=True, default="")
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    hard_limit: Mapped[int]


class QuotaUsage(Base, Timestamps):
    """What is in use of what is counted: one row a project, and one a user (``scope`` ``user:ID``) for keypairs.

    Sums that change only together with what they count, each by one conditional statement, so that no race passes a limit.
    """

    __tablename__ = "quota_usages"
    __table_args__ = (
        CheckConstraint(
            "instances >= 0 AND cores >= 0 AND ram >= 0 AND key_pairs >= 0 AND server_groups >= 0", name="not_negative"
        ),
    )
    scope: Mapped[str] = mapped_column(String(80), primary_key=True)
    instances: Mapped[int] = mapped_column(default=0)
    cores: Mapped[int] = mapped_column(default=0)
    ram: Mapped[int] = mapped_column(default=0)
    key_pairs: Mapped[int] = mapped_column(default=0)
    server_groups: Mapped[int] = mapped_column(default=0)

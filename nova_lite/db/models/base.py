"""The declarative base, and what many tables share."""

from __future__ import annotations

import datetime

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nova_lite.db.types import Moment, now

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that a migration can name them on every database."""

    metadata = MetaData(naming_convention=NAMING)


class Timestamps:
    """``created_at`` and ``updated_at``, naive UTC."""

    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(Moment, onupdate=now)

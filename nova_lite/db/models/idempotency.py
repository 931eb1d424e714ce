"""Answers that are kept, so that a request whose answer was lost may be asked again."""

from __future__ import annotations

from sqlalchemy import Double, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base
from nova_lite.db.types import LongText


class IdempotencyKey(Base):
    """One request that came with an ``Idempotency-Key``.

    ``id`` is the SHA-256 (hex) of who asked what under which key, so nothing of the key itself is here; ``body_hash`` that
    of what was asked. ``state``: ``working`` (``owner`` holds it until ``lease_until``) → ``done``, which is set in the
    transaction that does the work. ``answer`` is sealed by the Fernet keys, as it may hold a password; None: it was too
    long to keep. Moments are epoch seconds.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_expires", "expires_at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="working")
    owner: Mapped[str] = mapped_column(String(64))
    lease_until: Mapped[float] = mapped_column(Double)
    status: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[str | None] = mapped_column(LongText)
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double)

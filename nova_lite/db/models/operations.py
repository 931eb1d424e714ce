"""The durable queue: every change that was asked for, until it is finished and after."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, Double, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base
from nova_lite.db.types import Json, JsonDict, Moment, Uuid, now

Sequence = BigInteger().with_variant(Integer(), "sqlite")
"""An ever growing number; SQLite gives one only to a column that is called INTEGER."""


class Operation(Base):
    """One durable piece of work on one target.

    ``state``: ``pending`` → ``running`` → ``done`` | ``failed`` | ``cancelled``. ``queue`` says which kind of worker takes it
    (``scheduler`` or ``agent``; an agent takes only what names its ``host``). While it runs, ``owner`` holds it until
    ``lease_until`` (epoch seconds); after that anybody of the queue may take it again (``attempt`` counts).
    ``deadline`` (epoch seconds) bounds the whole. ``not_before`` delays a retry. Work on one target is done in the
    order of ``id``, one at a time. ``events`` are its steps, each ``{"event", "start", "finish", "result"}`` with moments in
    ISO 8601 and the result ``Success`` or ``Error``; they are written when it ends or is put back.
    """

    __tablename__ = "operations"
    __table_args__ = (
        Index("ix_operations_queue", "state", "queue", "host"),
        Index("ix_operations_target", "target_type", "target_id", "id"),
        Index("ix_operations_finished", "finished_at"),
    )
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    request_id: Mapped[str] = mapped_column(String(64))
    project_id: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(Uuid)
    arguments: Mapped[JsonDict] = mapped_column(Json, default=dict)
    queue: Mapped[str] = mapped_column(String(16))
    host: Mapped[str | None] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16), default="pending")
    step: Mapped[str | None] = mapped_column(String(64))
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attempt: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[float] = mapped_column(Double, default=0.0)
    not_before: Mapped[float] = mapped_column(Double, default=0.0)
    deadline: Mapped[float] = mapped_column(Double)
    error: Mapped[str | None] = mapped_column(Text)
    events: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    started_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(Moment, onupdate=now)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(Moment)

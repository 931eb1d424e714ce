"""Who may open which console."""

from __future__ import annotations

import datetime

from sqlalchemy import Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base
from nova_lite.db.models.operations import Sequence
from nova_lite.db.types import Moment, Name, Uuid, now


class ConsoleAuthToken(Base):
    """A token that opens one console of one server, once.

    ``token_hash`` is the token's SHA-256 (hex): the token itself is nowhere. It is good until ``expires_at`` (epoch seconds) and as
    long as the server is on ``host``. Who uses it deletes the row; where a console has several channels, who ends its session does, and
    ``channels`` names those that were opened, separated by spaces.
    """

    __tablename__ = "console_auth_tokens"
    __table_args__ = (
        Index("ix_console_auth_tokens_server", "server_id"),
        Index("ix_console_auth_tokens_expires", "expires_at"),
    )
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    server_id: Mapped[str] = mapped_column(Uuid)
    host: Mapped[str] = mapped_column(Name)
    console_type: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[float] = mapped_column(Double)
    channels: Mapped[str] = mapped_column(String(255), default="", server_default="")
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

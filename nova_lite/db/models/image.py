"""Images: what Glance's v2 API shows of them; the bytes are in the image store, which may have them for a moment longer."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Moment, Name, Uuid, now


class Image(Base, Timestamps):
    """``status``: queued → saving → active | killed; deactivated; deleted rows are removed.

    ``size`` and ``virtual_size`` are bytes; ``checksum`` is MD5 (as clients expect it), ``os_hash_value`` SHA-512, both hex.
    ``upload_owner`` names the upload that is writing while ``status`` is saving, so that a dead one can be told.
    """

    __tablename__ = "images"
    __table_args__ = (Index("ix_images_listing", "created_at", "id"), Index("ix_images_owner", "owner"))
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str | None] = mapped_column(Name)
    owner: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default="queued")
    visibility: Mapped[str] = mapped_column(String(16), default="shared")
    container_format: Mapped[str | None] = mapped_column(String(32))
    disk_format: Mapped[str | None] = mapped_column(String(32))
    size: Mapped[int | None] = mapped_column(BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(BigInteger)
    checksum: Mapped[str | None] = mapped_column(String(32))
    os_hash_algo: Mapped[str | None] = mapped_column(String(16))
    os_hash_value: Mapped[str | None] = mapped_column(String(128))
    min_disk: Mapped[int] = mapped_column(default=0)
    min_ram: Mapped[int] = mapped_column(default=0)
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[list[str]] = mapped_column(Json, default=list)
    properties: Mapped[JsonDict] = mapped_column(Json, default=dict)
    upload_owner: Mapped[str | None] = mapped_column(String(128))


class RemovedImage(Base):
    """An image that is gone, whose file is still to be removed from the store; its id is not given again before that."""

    __tablename__ = "removed_images"
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

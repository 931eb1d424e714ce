"""Who there is: domains, projects, users, roles, assignments, and what was revoked."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Moment, Name, now

HexId = String(64)
"""Identity's ids: 32 hex digits as Keystone makes them, or a name such as ``default``."""


class Domain(Base, Timestamps):
    __tablename__ = "domains"
    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    enabled: Mapped[bool] = mapped_column(default=True)


class Project(Base, Timestamps):
    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)
    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    domain_id: Mapped[str] = mapped_column(HexId, ForeignKey("domains.id"))
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str] = mapped_column(Text, default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    extra: Mapped[JsonDict] = mapped_column(Json, default=dict)


class User(Base, Timestamps):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)
    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    domain_id: Mapped[str] = mapped_column(HexId, ForeignKey("domains.id"))
    name: Mapped[str] = mapped_column(Name)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    password_expires_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    default_project_id: Mapped[str | None] = mapped_column(HexId)
    email: Mapped[str | None] = mapped_column(Name)
    description: Mapped[str] = mapped_column(Text, default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    extra: Mapped[JsonDict] = mapped_column(Json, default=dict)


class Role(Base, Timestamps):
    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    description: Mapped[str] = mapped_column(Text, default="")


class Assignment(Base):
    """A role of a user on one target: ``target_kind`` is ``project``, ``domain`` or ``system``."""

    __tablename__ = "assignments"
    user_id: Mapped[str] = mapped_column(HexId, ForeignKey("users.id"), primary_key=True)
    role_id: Mapped[str] = mapped_column(HexId, ForeignKey("roles.id"), primary_key=True)
    target_kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    target_id: Mapped[str] = mapped_column(HexId, primary_key=True)


class Revocation(Base):
    """What no longer counts: one token (``audit_id``), or all that a user or a project's were issued before
    ``revoked_at``. Each process reads the table anew every few seconds, so checking a token costs no query."""

    __tablename__ = "revocations"
    __table_args__ = (Index("ix_revocations_expires_at", "expires_at"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    audit_id: Mapped[str | None] = mapped_column(HexId)
    user_id: Mapped[str | None] = mapped_column(HexId)
    project_id: Mapped[str | None] = mapped_column(HexId)
    revoked_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires_at: Mapped[datetime.datetime] = mapped_column(Moment)


class LoginFailure(Base):
    """Failed attempts of one name, so that guessing is limited whatever process answers."""

    __tablename__ = "login_failures"
    subject: Mapped[str] = mapped_column(HexId, primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

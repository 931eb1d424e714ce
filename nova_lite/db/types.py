"""Column types that mean the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import datetime
import time
import uuid
from typing import Any

from sqlalchemy import JSON, DateTime, String, Text
from sqlalchemy.dialects import mysql, postgresql

Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""A JSON document; ``jsonb`` on PostgreSQL so that it can be compared."""

Moment = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
"""A naive UTC date and time with microseconds (MariaDB drops them unless it is told)."""

LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""Text beyond MariaDB's 64 KiB."""

Uuid = String(36)
"""A UUID in its canonical text form; Nova's ids are seen by clients as such text."""

Name = String(255)

JsonDict = dict[str, Any]


def now() -> datetime.datetime:
    """Return the present moment as a naive UTC datetime, as the columns of type ``Moment`` hold it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def epoch() -> float:
    """Return seconds since the epoch; leases and deadlines are compared in these.

    Hosts that share a database must have their clocks within a few seconds of one another (NTP), as
    leases are measured in tens of seconds.
    """
    return time.time()


def new_id() -> str:
    """Return a fresh random UUID as text."""
    return str(uuid.uuid4())

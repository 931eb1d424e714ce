"""Failed logins, counted in the database so that guessing is limited whatever process answers.

A name is refused for ``lockout_seconds`` after ``lockout_attempts`` failures. Failures while it is refused do not prolong
that, so nobody can be kept out for good by somebody who keeps guessing.
"""

from __future__ import annotations

import datetime
import hashlib

from oslo_config import cfg
from sqlalchemy import case, delete, insert, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import LoginFailure
from nova_lite.db.types import now


def subject(*parts: str | None) -> str:
    """Return what failures are counted by: a digest, as a user may have typed a password into the name's field."""
    return hashlib.sha256("\0".join(part or "" for part in parts).encode("utf-8", "surrogatepass")).hexdigest()


def is_locked(session: Session, conf: cfg.ConfigOpts, name: str) -> bool:
    """Tell whether *name* (from :func:`subject`) is refused now."""
    limit = conf.identity.lockout_attempts
    row = session.get(LoginFailure, name)
    return bool(limit) and row is not None and row.count >= limit and row.last_at > _horizon(conf)


def note_failure(session: Session, conf: cfg.ConfigOpts, name: str) -> None:
    """Count a failure of *name*, and forget those of any name that are too old to matter."""
    horizon, limit, moment = _horizon(conf), conf.identity.lockout_attempts, now()
    session.execute(delete(LoginFailure).where(LoginFailure.last_at <= horizon))
    result = session.execute(
        update(LoginFailure)
        .where(LoginFailure.subject == name)
        # In this order, as MariaDB assigns from left to right: last_at must see the count from before.
        .ordered_values(
            (
                LoginFailure.last_at,
                case((LoginFailure.count >= (limit or 1 << 30), LoginFailure.last_at), else_=moment),
            ),
            (LoginFailure.count, LoginFailure.count + 1),
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    if not result.rowcount:
        session.execute(insert(LoginFailure).values(subject=name, count=1, last_at=moment))


def forget(session: Session, name: str) -> None:
    """Forget the failures of *name*: it has just logged in."""
    session.execute(delete(LoginFailure).where(LoginFailure.subject == name))


def _horizon(conf: cfg.ConfigOpts) -> datetime.datetime:
    return now() - datetime.timedelta(seconds=conf.identity.lockout_seconds)

"""What no longer counts: written once, known to every process within ``[identity] revocation_refresh`` seconds.

Whoever writes a revocation first locks the row of the user (or project) that it is about, and whoever issues a
token locks that row too. So a token is either issued before the revocation's moment, and refused, or it is issued
after the change that the revocation is about, and that change was seen.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from nova_lite.db.models import Revocation
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Unavailable
from nova_lite.identity.principal import Principal

LOG = logging.getLogger(__name__)

BOUND_S = 5.0
"""A process that could not read the table for this long trusts no token."""

Moment = datetime.datetime


@dataclass(frozen=True)
class Snapshot:
    """The table at one moment, arranged for looking up."""

    audit_ids: frozenset[str] = frozenset()
    users: dict[str, Moment] = field(default_factory=dict)
    projects: dict[str, Moment] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Moment] = field(default_factory=dict)

    def ends(self, principal: Principal) -> bool:
        """Return whether *principal*'s token was revoked."""
        if principal.audit_ids[0] in self.audit_ids:
            return True
        issued = principal.issued_at
        cutoff = self.users.get(principal.user_id)
        if cutoff is not None and issued <= cutoff:
            return True
        project = principal.project_id
        if project is None:
            return False
        cutoff = self.projects.get(project)
        if cutoff is not None and issued <= cutoff:
            return True
        cutoff = self.pairs.get((principal.user_id, project))
        return cutoff is not None and issued <= cutoff


def arrange(rows: Iterable[Revocation]) -> Snapshot:
    """Make a snapshot of *rows*."""
    audit_ids: set[str] = set()
    users: dict[str, Moment] = {}
    projects: dict[str, Moment] = {}
    pairs: dict[tuple[str, str], Moment] = {}
    for row in rows:
        at = row.revoked_at
        if row.audit_id:
            audit_ids.add(row.audit_id)
        elif row.user_id and row.project_id:
            pair = (row.user_id, row.project_id)
            pairs[pair] = max(at, pairs.get(pair, at))
        elif row.user_id:
            users[row.user_id] = max(at, users.get(row.user_id, at))
        elif row.project_id:
            projects[row.project_id] = max(at, projects.get(row.project_id, at))
    return Snapshot(frozenset(audit_ids), users, projects, pairs)


class Revocations:
    """One process's view of the table.

    :param refresh_s: how old the view may grow before it is read anew.
    """

    def __init__(self, store: Store, refresh_s: float) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._lock = threading.Lock()
        self._snapshot = Snapshot()
        self._mark: tuple[int, ...] | None = None
        self._read_at = float("-inf")

    def ends(self, principal: Principal) -> bool:
        """Return whether *principal*'s token was revoked, as this process knows it.

        :raises Unavailable: the database did not answer for so long that nothing can be trusted.
        """
        self._keep_fresh()
        return self._snapshot.ends(principal)

    def forget(self) -> None:
        """Read the table at the next look, as this process has just written to it."""
        self._read_at = float("-inf")

    def _keep_fresh(self) -> None:
        age = time.monotonic() - self._read_at
        if age <= self._refresh_s:
            return
        # One reads, the others go on with what is known while that is young enough.
        if self._lock.acquire(blocking=age > BOUND_S):
            try:
                self._refresh()
            finally:
                self._lock.release()

    def _refresh(self) -> None:
        started = time.monotonic()
        if started - self._read_at <= self._refresh_s:
            return
        try:
            with self._store.read() as session:
                mark = tuple(int(each or 0) for each in session.execute(_MARK).one())
                if mark != self._mark:
                    self._snapshot = arrange(session.scalars(select(Revocation).where(Revocation.expires_at > now())))
                    self._mark = mark
            self._read_at = started
        except SQLAlchemyError as error:
            LOG.warning("revocations not read reason=%s", type(error).__name__)
            if time.monotonic() - self._read_at > BOUND_S:
                raise Unavailable("The database does not answer, so no token can be checked.") from error


_MARK = select(func.count(Revocation.id), func.max(Revocation.id), func.sum(Revocation.id))
"""Changes with the table. Number and greatest id alone do not: a transaction may commit a lower id than another, and remove an old row."""


def revoke_token(session: Session, principal: Principal) -> None:
    """End one token."""
    _prune(session)
    session.add(Revocation(audit_id=principal.audit_id, expires_at=principal.expires_at))


def revoke_all(session: Session, lifetime_s: int, *, user_id: str | None = None, project_id: str | None = None) -> None:
    """End every token of a user, of a project, or (both given) of that user on that project, issued until now.

    The caller holds the lock on the user's (else the project's) row in this transaction.
    """
    assert user_id or project_id
    moment = now()
    _prune(session)
    session.add(
        Revocation(
            user_id=user_id,
            project_id=project_id,
            revoked_at=moment,
            expires_at=moment + datetime.timedelta(seconds=lifetime_s),
        )
    )


def is_revoked(session: Session, principal: Principal) -> bool:
    """Ask the database itself, for what must not be a few seconds late: making a new token from this one."""
    about = [Revocation.audit_id == principal.audit_id, Revocation.user_id == principal.user_id]
    if principal.project_id is not None:
        about.append(Revocation.project_id == principal.project_id)
    return arrange(session.scalars(select(Revocation).where(or_(*about)))).ends(principal)


def _prune(session: Session) -> None:
    session.execute(delete(Revocation).where(Revocation.expires_at < now()))

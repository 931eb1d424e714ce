"""From credentials to a token.

An unknown user, a wrong password, a disabled or locked account and a scope that may not be had all end alike: the same
error after the same work (a hash, and a transaction that writes).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from oslo_config import cfg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import Domain, User
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Invalid, Unauthenticated
from nova_lite.identity import attempts, passwords, revocations, scopes, users
from nova_lite.identity.principal import Principal
from nova_lite.identity.scopes import Scope
from nova_lite.identity.tokens import Authenticator, new_audit_id

LOG = logging.getLogger(__name__)

Offload = Callable[..., Any]
T = TypeVar("T")


@dataclass(frozen=True)
class PasswordCredentials:
    """A user by id, or by name and domain (by id or name), and what they say their password is."""

    password: str = field(repr=False)
    user_id: str | None = None
    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None


@dataclass(frozen=True)
class Issued:
    """A new token and what it says."""

    token: str = field(repr=False)
    principal: Principal


@dataclass(frozen=True)
class _Claimed:
    """The account that credentials name, as it was before the (slow) look at the password."""

    user_id: str | None
    password_hash: str | None = field(repr=False)
    subject: str


class Login:
    """Check credentials and issue tokens.

    :param offload: runs a slow function off the server's hub, ``offload(function, *arguments)``.
    """

    def __init__(self, conf: cfg.ConfigOpts, store: Store, authenticator: Authenticator, offload: Offload) -> None:
        self._conf = conf
        self._store = store
        self._authenticator = authenticator
        self._offload = offload

    def by_password(self, credentials: PasswordCredentials, scope: Scope) -> Issued:
        """Issue a token for a user and their password.

        :raises Unauthenticated: whatever was wrong.
        """
        claimed = self._claimed(credentials)
        right = self._right(credentials.password, claimed.password_hash)
        principal = self._counted(lambda session: self._admit(session, claimed, right, scope))
        if principal is None:
            raise self._refusal(claimed.user_id)
        return self._issue(principal)

    def by_token(self, token: str, scope: Scope) -> Issued:
        """Issue a token for the bearer of another: another scope, never a longer life.

        :raises Unauthenticated: whatever was wrong.
        """
        parent = self._authenticator.validate(token)
        principal = self._store.transact(lambda session: self._rescope(session, parent, scope))
        if principal is None:
            raise self._refusal(parent.user_id)
        return self._issue(principal)

    def change_password(self, user_id: str, original: str, new: str) -> None:
        """Change a user's own password, which ends all their tokens.

        :raises Invalid: the new one is too long, or empty.
        :raises Unauthenticated: *original* is wrong, or the account is locked, disabled or not there.
        """
        if not new or len(new) > passwords.MAX_LENGTH:
            raise Invalid(f"A password has 1 to {passwords.MAX_LENGTH} characters.", "user.password_length")
        claimed = self._claimed(PasswordCredentials(original, user_id=user_id))
        right = self._right(original, claimed.password_hash)
        new_hash = self._offload(passwords.hash_password, new, self._conf.identity.bcrypt_rounds)

        def change(session: Session) -> bool:
            user = self._admitted(session, claimed, right)
            if user is None:
                return False
            users.set_password_hash(session, self._conf.identity.token_lifetime, user.id, new_hash)
            return True

        if not self._counted(change):
            raise self._refusal(claimed.user_id)
        self._authenticator.revocations.forget()
        LOG.info("password changed user=%s", user_id)

    def _claimed(self, credentials: PasswordCredentials) -> _Claimed:
        with self._store.read() as session:
            user = users.find(
                session,
                user_id=credentials.user_id,
                name=credentials.name,
                domain_id=credentials.domain_id,
                domain_name=credentials.domain_name,
            )
        if user is not None:
            return _Claimed(user.id, user.password_hash, attempts.subject(user.id))
        named = (credentials.user_id, credentials.name, credentials.domain_id, credentials.domain_name)
        return _Claimed(None, None, attempts.subject("unknown", *named))

    def _right(self, password: str, stored: str | None) -> bool:
        return bool(self._offload(passwords.matches, password, stored, self._conf.identity.bcrypt_rounds))

    def _counted(self, work: Callable[[Session], T]) -> T:
        try:
            return self._store.transact(work)
        except IntegrityError:
            # Another process counted the first failure of this name at the same moment.
            return self._store.transact(work)

    def _admit(self, session: Session, claimed: _Claimed, right: bool, scope: Scope) -> Principal | None:
        user = self._admitted(session, claimed, right)
        if user is None:
            return None
        lifetime = datetime.timedelta(seconds=self._conf.identity.token_lifetime)
        issued_at = now()
        expires_at = (issued_at + lifetime).replace(microsecond=0)
        return _principal(session, user, scope, ("password",), (new_audit_id(),), issued_at, expires_at)

    def _admitted(self, session: Session, claimed: _Claimed, right: bool) -> User | None:
        """Return the user when all is right, with their row locked; else count a failure and return None."""
        user = None if claimed.user_id is None else _lock(session, claimed.user_id)
        # The password may have been changed while it was looked at.
        right = right and user is not None and user.password_hash == claimed.password_hash
        locked = attempts.is_locked(session, self._conf, claimed.subject)
        if user is None or not right or locked or not _usable(session, user) or _expired(user):
            attempts.note_failure(session, self._conf, claimed.subject)
            return None
        attempts.forget(session, claimed.subject)
        return user

    def _rescope(self, session: Session, parent: Principal, scope: Scope) -> Principal | None:
        user = _lock(session, parent.user_id)
        if user is None or not _usable(session, user) or revocations.is_revoked(session, parent):
            return None
        methods = tuple(dict.fromkeys((*parent.methods, "token")))
        audit_ids = (new_audit_id(), parent.audit_ids[-1])
        return _principal(session, user, scope, methods, audit_ids, now(), parent.expires_at)

    def _issue(self, principal: Principal) -> Issued:
        LOG.info(
            "token issued user=%s project=%s audit=%s methods=%s",
            principal.user_id,
            principal.project_id,
            principal.audit_id,
            ",".join(principal.methods),
        )
        return Issued(self._authenticator.seal(principal), principal)

    def _refusal(self, user_id: str | None) -> Unauthenticated:
        # A name that is not known is not logged: people type passwords there.
        LOG.warning("login refused user=%s", user_id or "unknown")
        return Unauthenticated("The request you have made requires authentication.", "identity.login_refused")


def _lock(session: Session, user_id: str) -> User | None:
    return session.get(User, user_id, with_for_update={"read": True}, populate_existing=True)


def _usable(session: Session, user: User) -> bool:
    domain = session.get(Domain, user.domain_id)
    return user.enabled and domain is not None and domain.enabled


def _expired(user: User) -> bool:
    return user.password_expires_at is not None and user.password_expires_at <= now()


def _principal(
    session: Session,
    user: User,
    scope: Scope,
    methods: tuple[str, ...],
    audit_ids: tuple[str, ...],
    issued_at: datetime.datetime,
    expires_at: datetime.datetime,
) -> Principal | None:
    granted = scopes.grant(session, user, scope)
    domain = session.get(Domain, user.domain_id)
    if granted is None or domain is None:
        return None
    return Principal(
        user_id=user.id,
        user_name=user.name,
        user_domain_id=domain.id,
        user_domain_name=domain.name,
        methods=methods,
        audit_ids=audit_ids,
        issued_at=issued_at,
        expires_at=expires_at,
        **granted,
    )

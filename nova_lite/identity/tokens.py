"""Tokens that carry themselves: sealed by Fernet, checked without a query.

A token holds who, on what, with which roles, until when. What was revoked is known to each process from a table
that it reads anew every few seconds (``nova_lite.identity.revocations``).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Any

import orjson
from oslo_config import cfg

from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Unauthenticated
from nova_lite.identity.keys import Keyring, key_repository
from nova_lite.identity.principal import Principal
from nova_lite.identity.revocations import Revocations

FORMAT = 1
"""The first item of each payload; another layout gets another number."""

CACHE_SIZE = 4096
MAX_TOKEN_LENGTH = 8192
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def new_audit_id() -> str:
    """Return a fresh audit id: 16 random bytes in URL-safe base64 without padding, as Keystone's."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


def pack(principal: Principal) -> bytes:
    """Return *principal* as the bytes that a token seals."""
    scope: list[Any]
    if principal.project_id is not None:
        scope = [
            "p",
            principal.project_id,
            principal.project_name,
            principal.project_domain_id,
            principal.project_domain_name,
        ]
    elif principal.domain_id is not None:
        scope = ["d", principal.domain_id, principal.domain_name]
    elif principal.system_scope is not None:
        scope = ["s", principal.system_scope]
    else:
        scope = []
    return orjson.dumps(
        [
            FORMAT,
            principal.user_id,
            principal.user_name,
            principal.user_domain_id,
            principal.user_domain_name,
            principal.methods,
            principal.audit_ids,
            (principal.issued_at - _EPOCH) // _MICROSECOND,
            (principal.expires_at - _EPOCH) // _MICROSECOND,
            principal.roles,
            scope,
        ]
    )


def unpack(payload: bytes) -> Principal:
    """Return the principal that *payload* holds.

    :raises ValueError: it is not a payload of this format (the seal was good, so another version wrote it).
    """
    items = orjson.loads(payload)
    if not isinstance(items, list) or len(items) != 11 or items[0] != FORMAT:
        raise ValueError("not a token payload of this format")
    _, user_id, user_name, domain_id, domain_name, methods, audit_ids, issued, expires, roles, scope = items
    fields: dict[str, Any] = {}
    match scope:
        case ["p", project_id, project_name, project_domain_id, project_domain_name]:
            fields = {
                "project_id": project_id,
                "project_name": project_name,
                "project_domain_id": project_domain_id,
                "project_domain_name": project_domain_name,
            }
        case ["d", scope_id, scope_name]:
            fields = {"domain_id": scope_id, "domain_name": scope_name}
        case ["s", system]:
            fields = {"system_scope": system}
        case []:
            pass
        case _:
            raise ValueError("unknown scope in a token payload")
    return Principal(
        user_id=user_id,
        user_name=user_name,
        user_domain_id=domain_id,
        user_domain_name=domain_name,
        methods=tuple(methods),
        audit_ids=tuple(audit_ids),
        issued_at=_EPOCH + issued * _MICROSECOND,
        expires_at=_EPOCH + expires * _MICROSECOND,
        roles=tuple(roles),
        **fields,
    )


class Authenticator:
    """Seal and check tokens; one for each process.

    Memory is bounded: at most ``CACHE_SIZE`` checked tokens are remembered, by their digest.
    """

    def __init__(self, conf: cfg.ConfigOpts, store: Store) -> None:
        self.revocations = Revocations(store, conf.identity.revocation_refresh)
        self._keyring = Keyring(key_repository(conf))
        self._lock = threading.Lock()
        self._checked: OrderedDict[bytes, Principal] = OrderedDict()
        self._checked_with = 0

    def seal(self, principal: Principal) -> str:
        """Return the token that carries *principal*.

        :raises Unavailable: there are no keys.
        """
        return self._keyring.encrypt(pack(principal)).rstrip(b"=").decode()

    def validate(self, token: str) -> Principal:
        """Return who *token* speaks for.

        :raises Unauthenticated: it is malformed, forged, expired or revoked; the message never says which.
        :raises Unavailable: there are no keys, or the database was silent for too long.
        """
        principal = self._open(token)
        if principal is None or principal.expires_at <= now() or self.revocations.ends(principal):
            raise Unauthenticated("The request you have made requires authentication.", "identity.token_invalid")
        return principal

    def _open(self, token: str) -> Principal | None:
        if not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            return None
        raw = token.encode()
        digest = hashlib.sha256(raw).digest()
        generation = self._keyring.generation()
        if generation != self._checked_with:
            with self._lock:
                self._checked.clear()
                self._checked_with = generation
        principal = self._checked.get(digest)
        if principal is not None:
            return principal
        payload = self._keyring.decrypt(raw + b"=" * (-len(raw) % 4))
        if payload is None:
            return None
        try:
            principal = unpack(payload)
        except ValueError:
            return None
        with self._lock:
            self._checked[digest] = principal
            while len(self._checked) > CACHE_SIZE:
                self._checked.popitem(last=False)
        return principal

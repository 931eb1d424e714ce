"""Who is asking, as a checked token says it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a valid token.

    At most one scope is set: a project (``project_*``), a domain (``domain_*``) or the system (``system_scope`` is
    then ``all``); with none the token is unscoped and ``roles`` is empty. ``roles`` are names, implied ones included,
    sorted. ``audit_ids`` is the token's own id and, for a rescoped one, that of the first of its chain. Moments are
    naive UTC.
    """

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    roles: tuple[str, ...] = ()
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the token carries the admin role (on whatever it is scoped to)."""
        return ADMIN in self.roles

    @property
    def audit_id(self) -> str:
        """The token's own id; safe to log, unlike the token."""
        return self.audit_ids[0]

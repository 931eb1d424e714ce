"""Tokens that simply name people: ``user:project:role``."""

from __future__ import annotations

import datetime

from nova_lite.errors import Unauthenticated
from nova_lite.identity.principal import Principal

_ROLES = {
    "admin": ("admin", "manager", "member", "reader"),
    "manager": ("manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
}


def principal(user: str, project: str, role: str = "member") -> Principal:
    """Make somebody with *role* (and what it implies) on *project*."""
    moment = datetime.datetime(2030, 1, 1)
    return Principal(
        user_id=user,
        user_name=user,
        user_domain_id="default",
        user_domain_name="Default",
        methods=("password",),
        audit_ids=("audit",),
        issued_at=moment,
        expires_at=moment,
        roles=_ROLES[role],
        project_id=project,
        project_name=project,
        project_domain_id="default",
        project_domain_name="Default",
    )


class Tokens:
    """An authenticator whose tokens are ``user:project:role``."""

    def validate(self, token: str) -> Principal:
        parts = token.split(":")
        if len(parts) != 3 or parts[2] not in _ROLES:
            raise Unauthenticated("The request you have made requires authentication.")
        return principal(*parts)

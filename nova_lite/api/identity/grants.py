"""Roles of a user on a project, a domain or the system: give, take, look, list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.api.context import Call
from nova_lite.api.identity import roles as role_views
from nova_lite.api.identity.collection import collection
from nova_lite.api.identity.tokens import authenticator
from nova_lite.db.models import Assignment
from nova_lite.errors import NotFound
from nova_lite.identity import domains, projects, roles, users
from nova_lite.identity.roles import ALL_SYSTEM, DOMAIN, PROJECT, SYSTEM


@dataclass(frozen=True)
class Target:
    """A kind of target, and how the one that a path names is found to be there."""

    kind: str
    find: Callable[[Session, str], Any]

    def _ids(self, call: Call, session: Session) -> tuple[str, str]:
        target_id = call.params.get("target_id", ALL_SYSTEM)
        self.find(session, target_id)
        return users.get(session, call.params["user_id"]).id, target_id

    def index(self, call: Call) -> dict[str, Any]:
        """List the roles that the user was given on the target."""
        with call.store.read() as session:
            user_id, target_id = self._ids(call, session)
            rows = roles.direct(session, user_id, self.kind, target_id)
            return collection(call, "roles", [role_views.view(call, row) for row in rows])

    def show(self, call: Call) -> None:
        """Say whether the user was given the role on the target: 204 or 404."""
        with call.store.read() as session:
            user_id, target_id = self._ids(call, session)
            role_id = roles.get(session, call.params["role_id"]).id
            if session.get(Assignment, (user_id, role_id, self.kind, target_id)) is None:
                raise _missing(role_id, user_id, target_id)

    def give(self, call: Call) -> None:
        """Give the user the role on the target; having it already is success."""

        def work(session: Session) -> None:
            user_id, target_id = self._ids(call, session)
            role_id = roles.get(session, call.params["role_id"]).id
            roles.grant(session, user_id, role_id, self.kind, target_id)

        call.store.transact(work)

    def take(self, call: Call) -> None:
        """Take the role from the user, and end the tokens that carry it."""
        lifetime: int = call.services.conf.identity.token_lifetime

        def work(session: Session) -> None:
            user_id, target_id = self._ids(call, session)
            role_id = roles.get(session, call.params["role_id"]).id
            if not roles.withdraw(session, lifetime, user_id, role_id, self.kind, target_id):
                raise _missing(role_id, user_id, target_id)

        call.store.transact(work)
        authenticator(call).revocations.forget()


def _missing(role_id: str, user_id: str, target_id: str) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {role_id}, user or group: {user_id}, "
        f"project, domain, or system: {target_id}.",
        "role_assignment.not_found",
    )


ON_PROJECT = Target(PROJECT, projects.get)
ON_DOMAIN = Target(DOMAIN, domains.get)
ON_SYSTEM = Target(SYSTEM, lambda _session, _identifier: None)

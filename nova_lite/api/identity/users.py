"""``/v3/users``, for reading, and changing one's own password."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, flag, links
from nova_lite.api.identity.tokens import authenticator
from nova_lite.db.models import User
from nova_lite.errors import NotFound
from nova_lite.identity import passwords, users
from nova_lite.identity.login import Login

_SECRET = {"type": "string", "minLength": 1, "maxLength": passwords.MAX_LENGTH}

CHANGE_PASSWORD = {
    "type": "object",
    "properties": {
        "user": {
            "type": "object",
            "properties": {"original_password": _SECRET, "password": _SECRET},
            "required": ["original_password", "password"],
            "additionalProperties": False,
        }
    },
    "required": ["user"],
    "additionalProperties": False,
}


def view(call: Call, user: User) -> dict[str, Any]:
    """Shape a user; what was never set is left out, as upstream does."""
    expires = user.password_expires_at
    shown = {
        **user.extra,
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "password_expires_at": None if expires is None else expires.isoformat(timespec="microseconds"),
        "options": {},
        "links": links(call, "users", user.id),
    }
    for name in ("email", "default_project_id", "description"):
        if getattr(user, name):
            shown[name] = getattr(user, name)
    return shown


def index(call: Call) -> dict[str, Any]:
    """List users, by name, domain or whether they are enabled if asked for."""
    with call.store.read() as session:
        rows = users.list_all(
            session,
            name=call.query.get("name"),
            domain_id=call.query.get("domain_id"),
            enabled=flag(call, "enabled"),
        )
        return collection(call, "users", [view(call, row) for row in rows])


def show(call: Call) -> dict[str, Any]:
    """Show a user."""
    with call.store.read() as session:
        row = users.find(session, user_id=call.params["id"])
        call.authorize({"user_id": row.id if row else ""})
        if row is None:
            raise NotFound(f"Could not find user: {call.params['id']}.", "user.not_found")
        return {"user": view(call, row)}


def change_password(call: Call) -> None:
    """Change one's own password; the present one is what authorizes it, so no token is needed."""
    login = Login(call.services.conf, call.store, authenticator(call), call.services.offload)
    user = call.body["user"]
    login.change_password(call.params["id"], user["original_password"], user["password"])

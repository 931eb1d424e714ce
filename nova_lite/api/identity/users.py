"""``/v3/users``, and changing one's own password."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity import schemas
from nova_lite.api.identity.collection import collection, domain_for, flag, links, same_domain
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


_COLUMNS = ("name", "email", "default_project_id", "enabled")


def create(call: Call) -> dict[str, Any]:
    """Make a user; without a password nobody can log in as them yet."""
    wanted = call.body["user"]
    values = {name: wanted[name] for name in _COLUMNS if name in wanted}
    values["description"] = wanted.get("description") or ""
    values["password_hash"] = _hash(call, wanted.get("password"))
    values["extra"] = {name: value for name, value in schemas.own_of_user(wanted).items() if value is not None}
    return {"user": view(call, users.create(call.store, domain_for(call, wanted), values))}


def update(call: Call) -> dict[str, Any]:
    """Change a user."""
    wanted = call.body["user"]
    lifetime = call.services.conf.identity.token_lifetime
    with call.store.read() as session:
        row = users.get(session, call.params["id"])
    same_domain(wanted.get("domain_id"), row.domain_id)
    values = {name: wanted[name] for name in _COLUMNS if name in wanted}
    if "description" in wanted:
        values["description"] = wanted["description"] or ""
    if "password" in wanted:
        values["password_hash"] = _hash(call, wanted["password"])
    values["extra"] = schemas.own_of_user(wanted)
    changed = users.update(call.store, lifetime, row.id, values)
    authenticator(call).revocations.forget()
    return {"user": view(call, changed)}


def delete(call: Call) -> None:
    """Delete a user."""
    users.delete(call.store, call.services.conf.identity.token_lifetime, call.params["id"])
    authenticator(call).revocations.forget()


def _hash(call: Call, password: str | None) -> str | None:
    if password is None:
        return None
    rounds: int = call.services.conf.identity.bcrypt_rounds
    hashed: str = call.services.offload(passwords.hash_password, password, rounds)
    return hashed

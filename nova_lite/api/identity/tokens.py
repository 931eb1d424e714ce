"""``/v3/auth/tokens``: get, look at, and end a token.

Source: https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
"""

from __future__ import annotations

import datetime
import logging
from typing import Any, cast

from sqlalchemy.orm import Session

from nova_lite.api.context import Call
from nova_lite.api.identity import catalog
from nova_lite.api.routes import Reply
from nova_lite.db.models import User
from nova_lite.errors import Invalid, NotFound, Unauthenticated
from nova_lite.identity import passwords, revocations, roles, scopes
from nova_lite.identity.login import Issued, Login, PasswordCredentials
from nova_lite.identity.principal import Principal
from nova_lite.identity.scopes import Kind, Scope
from nova_lite.identity.tokens import MAX_TOKEN_LENGTH, Authenticator

LOG = logging.getLogger(__name__)

_VARY = {"Vary": "X-Auth-Token"}

_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255}


def _object(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_DOMAIN = _object(id=_ID, name=_NAME)
_PASSWORD = {"type": "string", "maxLength": passwords.MAX_LENGTH}
# Methods of Keystone's that are not offered here are known by name, so that asking for one is a 401 and no 400.
_ELSEWHERE: dict[str, Any] = {
    name: {"type": "object"} for name in ("application_credential", "totp", "external", "mapped", "oauth1")
}

CREATE = _object(
    ("auth",),
    auth=_object(
        ("identity",),
        identity=_object(
            ("methods",),
            methods={"type": "array", "items": {"type": "string", "maxLength": 64}, "minItems": 1, "maxItems": 8},
            password=_object(("user",), user=_object(id=_ID, name=_NAME, domain=_DOMAIN, password=_PASSWORD)),
            token=_object(("id",), id={"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_LENGTH}),
            **_ELSEWHERE,
        ),
        scope={
            "anyOf": [
                {"type": "string", "enum": ["unscoped"]},
                _object(
                    project=_object(id=_ID, name=_NAME, domain=_DOMAIN),
                    domain=_DOMAIN,
                    system=_object(all={"type": "boolean"}),
                    unscoped={"type": ["object", "string"]},
                    **{"OS-TRUST:trust": {"type": "object"}},
                ),
            ]
        },
    ),
)


def create(call: Call) -> Reply:
    """Check credentials and answer with a token in ``X-Subject-Token``."""
    identity = call.body["auth"]["identity"]
    scope = _scope(call.body["auth"].get("scope"))
    login = Login(call.services.conf, call.store, authenticator(call), call.services.offload)
    match identity["methods"]:
        case ["password"]:
            issued = login.by_password(_credentials(identity.get("password")), scope)
        case ["token"]:
            if "token" not in identity:
                raise Invalid("Expecting to find token in identity.", "token.missing_credentials")
            issued = login.by_token(identity["token"]["id"], scope)
        case _:
            raise Unauthenticated(
                "Attempted to authenticate with an unsupported method; there are password and token.",
                "identity.method",
            )
    return _reply(call, issued)


def show(call: Call) -> Reply:
    """Show what another token says."""
    subject, token = _subject(call)
    call.authorize({"user_id": subject.user_id})
    return Reply({"token": _view(call, subject)}, headers={**_VARY, "X-Subject-Token": token})


def revoke(call: Call) -> None:
    """End a token; from then on nobody gets anything for it."""
    subject, _ = _subject(call)
    call.authorize({"user_id": subject.user_id})
    call.store.transact(lambda session: revocations.revoke_token(session, subject))
    authenticator(call).revocations.forget()
    LOG.info("token revoked audit=%s by=%s request=%s", subject.audit_id, call.principal.user_id, call.request_id)


def authenticator(call: Call) -> Authenticator:
    """Return the process's authenticator; whoever serves this API has the real one."""
    return cast(Authenticator, call.services.authenticator)


def _subject(call: Call) -> tuple[Principal, str]:
    token = call.request.headers.get("X-Subject-Token") or ""
    try:
        return authenticator(call).validate(token), token
    except Unauthenticated:
        # The caller's own token is good, so it is not 401 that tells of the other one.
        call.authorize()
        raise NotFound("Could not find token.", "token.not_found") from None


def _reply(call: Call, issued: Issued) -> Reply:
    body = {"token": _view(call, issued.principal)}
    return Reply(body, status=201, headers={**_VARY, "X-Subject-Token": issued.token})


def _credentials(password: dict[str, Any] | None) -> PasswordCredentials:
    user = (password or {}).get("user")
    if user is None:
        raise Invalid("Expecting to find password in identity.", "token.missing_credentials")
    if "password" not in user:
        raise Invalid("Expecting to find password in user.", "token.missing_credentials")
    if "id" in user:
        return PasswordCredentials(user["password"], user_id=user["id"])
    name, domain_id, domain_name = _named("user", user)
    return PasswordCredentials(user["password"], name=name, domain_id=domain_id, domain_name=domain_name)


def _named(what: str, value: dict[str, Any]) -> tuple[str, str | None, str | None]:
    if "name" not in value:
        raise Invalid(f"Expecting to find id or name in {what}.", "token.incomplete")
    domain = value.get("domain") or {}
    if "id" not in domain and "name" not in domain:
        raise Invalid(f"Expecting to find domain in {what}.", "token.incomplete")
    return value["name"], domain.get("id"), domain.get("name")


def _scope(wanted: Any) -> Scope:
    if wanted is None or wanted == {}:
        return scopes.DEFAULT
    if wanted == "unscoped":
        return Scope(Kind.UNSCOPED)
    if len(wanted) > 1:
        raise Invalid("A token is scoped to one thing: project, domain, system or unscoped.", "token.scope")
    ((kind, value),) = wanted.items()
    if kind == "unscoped":
        return Scope(Kind.UNSCOPED)
    if kind == "system":
        if value.get("all") is not True:
            raise Invalid("The system scope is given as {'all': true}.", "token.scope")
        return Scope(Kind.SYSTEM)
    if kind == "domain":
        if not value:
            raise Invalid("Expecting to find id or name in domain.", "token.scope")
        return Scope(Kind.DOMAIN, value.get("id"), value.get("name"))
    if kind != "project":
        raise Unauthenticated("Trusts are not offered here.", "identity.method")
    if "id" in value:
        return Scope(Kind.PROJECT, value["id"])
    name, domain_id, domain_name = _named("project", value)
    return Scope(Kind.PROJECT, None, name, domain_id, domain_name)


def _view(call: Call, who: Principal) -> dict[str, Any]:
    with call.store.read() as session:
        return _shape(call, session, who)


def _shape(call: Call, session: Session, who: Principal) -> dict[str, Any]:
    user = session.get(User, who.user_id)
    expires = None if user is None else user.password_expires_at
    shown: dict[str, Any] = {
        "methods": list(who.methods),
        "user": {
            "id": who.user_id,
            "name": who.user_name,
            "domain": {"id": who.user_domain_id, "name": who.user_domain_name},
            "password_expires_at": None if expires is None else _moment(expires),
        },
        "audit_ids": list(who.audit_ids),
        "expires_at": _moment(who.expires_at),
        "issued_at": _moment(who.issued_at),
    }
    if who.project_id is not None:
        domain = {"id": who.project_domain_id, "name": who.project_domain_name}
        shown["project"] = {"id": who.project_id, "name": who.project_name, "domain": domain}
        shown["is_domain"] = False
    elif who.domain_id is not None:
        shown["domain"] = {"id": who.domain_id, "name": who.domain_name}
    elif who.system_scope is not None:
        shown["system"] = {"all": True}
    else:
        return shown
    shown["roles"] = [{"id": row.id, "name": row.name} for row in roles.named(session, who.roles)]
    if "nocatalog" not in call.request.GET:
        shown["catalog"] = catalog.view(call)
    return shown


def _moment(value: datetime.datetime) -> str:
    return value.isoformat(timespec="microseconds") + "Z"

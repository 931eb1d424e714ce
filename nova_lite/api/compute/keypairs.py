"""Keypairs of the caller; of other users too for admins, since 2.10."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import paging, parameters
from nova_lite.api.compute.parameters import TEXTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import keypairs, quotas
from nova_lite.db.models import Keypair


def _create(minor: int) -> Schema:
    letters = r"^[_\-\@\. a-zA-Z0-9]+$" if minor >= 92 else r"^[_\- a-zA-Z0-9]+$"
    properties: dict[str, Any] = {
        "name": {**parameters.NAME, "pattern": letters},
        "public_key": {"type": "string", "maxLength": keypairs.LONGEST_KEY},
    }
    if minor >= 2:
        properties["type"] = {"type": "string", "enum": ["ssh", "x509"]}
    if minor >= 10:
        properties["user_id"] = {"type": "string", "minLength": 1, "maxLength": 64}
    return parameters.body("keypair", properties, ["name", *(["public_key"] if minor >= 92 else [])])


def _query(minor: int, *, pages: bool) -> Schema:
    properties: dict[str, Any] = {}
    if minor >= 10:
        properties["user_id"] = TEXTS
    if pages and minor >= 35:
        properties |= paging.PAGE
    return parameters.query(properties, is_open=minor < 75)


CREATE = by_minor(_create, 1, 2, 10, 92)
LIST_QUERY = by_minor(lambda minor: _query(minor, pages=True), 1, 10, 35, 75)
QUERY = by_minor(lambda minor: _query(minor, pages=False), 1, 10, 75)


def _user(call: Call, named: str | None) -> str:
    """Return whose keypairs are meant, once the policy allows the caller to do it to them."""
    user_id = named if named is not None and call.version.minor >= 10 else call.principal.user_id
    call.authorize({"user_id": user_id, "project_id": call.principal.project_id})
    return user_id


def index(call: Call) -> dict[str, Any]:
    """List a user's keypairs."""
    user_id = _user(call, call.query.get("user_id"))
    pages = call.version.minor >= 35
    rows = keypairs.find(
        call.store,
        user_id,
        limit=paging.limit_of(call) if pages else None,
        marker=call.query.get("marker") if pages else None,
    )
    shown = [{"keypair": _view(call, row)} for row in rows]
    if not pages:
        return {"keypairs": shown}
    return paging.page(call, "keypairs", "os-keypairs", shown, rows[-1].name if rows else "")


def show(call: Call) -> dict[str, Any]:
    """Show one keypair."""
    user_id = _user(call, call.query.get("user_id"))
    row = keypairs.get(call.store, user_id, call.params["name"])
    view = _view(call, row) | {
        "user_id": row.user_id,
        "id": row.id,
        "created_at": parameters.exact_moment(row.created_at),
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    return {"keypair": view}


def create(call: Call) -> Reply:
    """Import a public key, or make a pair whose private half is in this answer and nowhere else."""
    wanted = call.body["keypair"]
    user_id = _user(call, wanted.get("user_id"))
    kind = wanted.get("type", "ssh")
    if "public_key" in wanted:
        material = keypairs.read_public(kind, wanted["public_key"])
    else:
        material = call.services.offload(keypairs.generate, kind, user_id)
    with call.store.read() as session:
        most = quotas.limits(call.services.conf, session, call.principal.project_id or "")["key_pairs"]
    row = keypairs.add(call.store, user_id, wanted["name"], kind, material, most)
    view = _view(call, row) | {"user_id": row.user_id}
    if material.private_key is not None:
        view["private_key"] = material.private_key
    return Reply({"keypair": view}, 201 if call.version.minor >= 2 else 200)


def delete(call: Call) -> Reply:
    """Delete a keypair."""
    user_id = _user(call, call.query.get("user_id"))
    keypairs.delete(call.store, user_id, call.params["name"])
    return Reply(status=204 if call.version.minor >= 2 else 202)


def _view(call: Call, row: Keypair) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    if call.version.minor >= 2:
        shown["type"] = row.type
    return shown

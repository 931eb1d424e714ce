"""Subnet pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import BOOLEAN, NUMBER, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.api.routes import Schema
from nova_lite.network import subnetpools
from nova_lite.network.subnetpools import NewPool, Shown

COLUMNS = {
    **collections.NAMED,
    "shared": Column("shared", TRUTH),
    "is_default": Column("is_default", TRUTH),
    "ip_version": Column("ip_version", NUMBER),
    "default_prefixlen": Column("default_prefixlen", NUMBER),
    "min_prefixlen": Column("min_prefixlen", NUMBER),
    "max_prefixlen": Column("max_prefixlen", NUMBER),
    "default_quota": Column("default_quota", NUMBER),
}
_LENGTH: Schema = {"type": ["integer", "string"], "minimum": 0, "maximum": 128, "pattern": "^[0-9]{1,3}$"}
_COMMON: dict[str, Any] = {
    "name": TEXT,
    "description": TEXT,
    "prefixes": {
        "type": "array",
        "items": {"type": "string", "format": "cidr"},
        "minItems": 1,
        "maxItems": 256,
        "uniqueItems": True,
    },
    "min_prefixlen": _LENGTH,
    "max_prefixlen": _LENGTH,
    "default_prefixlen": _LENGTH,
    "default_quota": {
        "type": ["integer", "string", "null"],
        "minimum": 0,
        "maximum": 2_147_483_647,
        "pattern": "^[0-9]{1,9}$",
    },
    "is_default": BOOLEAN,
    "address_scope_id": {"type": "null"},
}
CREATE: Schema = collections.body(
    "subnetpool",
    {**_COMMON, "shared": BOOLEAN, "project_id": PROJECT, "tenant_id": PROJECT},
    ["name", "prefixes"],
)
UPDATE: Schema = collections.body("subnetpool", _COMMON)
_NUMBERS = ("min_prefixlen", "max_prefixlen", "default_prefixlen", "default_quota")


def index(call: Call) -> dict[str, Any]:
    """List the pools that the caller may use."""
    found = subnetpools.find(call.store, collections.listing(call, COLUMNS))
    return collections.page(call, "subnetpools", [_view(each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one pool."""
    found = subnetpools.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "subnetpool", _view(found))


def create(call: Call) -> dict[str, Any]:
    """Make a pool."""
    wanted = call.body["subnetpool"]
    project_id = collections.owner(call, wanted, "create_subnetpool:owner")
    for member in ("shared", "is_default"):
        if truth(wanted.get(member, False)):
            call.authorize(rule=f"create_subnetpool:{member}")
    made = subnetpools.create(
        call.store,
        NewPool(
            project_id=project_id,
            name=wanted["name"],
            prefixes=tuple(wanted["prefixes"]),
            description=wanted.get("description", ""),
            shared=truth(wanted.get("shared", False)),
            is_default=truth(wanted.get("is_default", False)),
            **_numbers(wanted),
        ),
        call.services.conf,
    )
    return {"subnetpool": _view(Shown(made, (), made.shared))}


def _numbers(wanted: Mapping[str, Any]) -> dict[str, int | None]:
    return {name: None if wanted[name] is None else int(wanted[name]) for name in _NUMBERS if name in wanted}


def update(call: Call) -> dict[str, Any]:
    """Change a pool."""
    found = subnetpools.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.pool.project_id})
    wanted: dict[str, Any] = {name: value for name, value in call.body["subnetpool"].items() if name in _COMMON}
    wanted.pop("address_scope_id", None)
    wanted |= _numbers(wanted)
    if "is_default" in wanted:
        wanted["is_default"] = truth(wanted["is_default"])
        if wanted["is_default"] != found.pool.is_default:
            call.authorize(rule="update_subnetpool:is_default")
    subnetpools.change(call.store, found.pool.id, wanted, collections.expected(call))
    return {"subnetpool": _view(subnetpools.get(call.store, found.pool.id, collections.scope(call)))}


def delete(call: Call) -> None:
    """Delete a pool."""
    found = subnetpools.get(call.store, call.params["id"], collections.scope(call))
    call.authorize({"project_id": found.pool.project_id})
    subnetpools.delete(call.store, found.pool.id, collections.expected(call))


def _view(found: Shown) -> dict[str, Any]:
    row = found.pool
    return collections.standard(row, found.tags) | {
        "ip_version": row.ip_version,
        "prefixes": row.prefixes,
        # Numbers as text: that is how Neutron shows them.
        "min_prefixlen": str(row.min_prefixlen),
        "max_prefixlen": str(row.max_prefixlen),
        "default_prefixlen": str(row.default_prefixlen),
        "default_quota": row.default_quota,
        "shared": found.shared,
        "is_default": row.is_default,
        "address_scope_id": None,
    }


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a pool that the caller may see. :raises NotFound: there is none such."""
    return subnetpools.get(call.store, identifier, collections.scope(call)).pool.project_id

"""Extra specs: what a flavor asks of hosts and drivers beyond its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import extra_specs, flavors
from nova_lite.errors import Invalid, NotFound

_ITEMS: Schema = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "number"], "maxLength": 255}},
    "additionalProperties": False,
}
CREATE: Schema = {
    "type": "object",
    "properties": {"extra_specs": _ITEMS},
    "required": ["extra_specs"],
    "additionalProperties": False,
}
UPDATE: Schema = {**_ITEMS, "minProperties": 1, "maxProperties": 1}


def index(call: Call) -> dict[str, Any]:
    """List a flavor's extra specs."""
    row = flavors.get(call.store, call.params["flavor_id"], access.scope(call))
    return {"extra_specs": row.extra_specs}


def show(call: Call) -> dict[str, Any]:
    """Show one extra spec."""
    flavor_id, key = call.params["flavor_id"], call.params["key"]
    row = flavors.get(call.store, flavor_id, access.scope(call))
    if key not in row.extra_specs:
        raise _no_key(flavor_id, key)
    return {key: row.extra_specs[key]}


def create(call: Call) -> dict[str, Any]:
    """Add extra specs; those that are there already are overwritten."""
    added = _texts(call, call.body["extra_specs"])
    flavors.change_specs(call.store, call.params["flavor_id"], lambda specs: {**specs, **added})
    return {"extra_specs": call.body["extra_specs"]}


def update(call: Call) -> dict[str, Any]:
    """Set one extra spec."""
    key = call.params["key"]
    if key not in call.body:
        raise Invalid("Request body and URI mismatch", "flavor.spec_mismatch")
    added = _texts(call, call.body)
    flavors.change_specs(call.store, call.params["flavor_id"], lambda specs: {**specs, **added})
    return {key: call.body[key]}


def delete(call: Call) -> None:
    """Remove one extra spec."""
    flavor_id, key = call.params["flavor_id"], call.params["key"]

    def without(specs: dict[str, str]) -> dict[str, str]:
        if key not in specs:
            raise _no_key(flavor_id, key)
        return {name: value for name, value in specs.items() if name != key}

    flavors.change_specs(call.store, flavor_id, without)


def _texts(call: Call, specs: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: str(value) for name, value in specs.items()}
    if call.version.minor >= 86:
        extra_specs.check(texts)
    return texts


def _no_key(flavor_id: str, key: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} has no extra specs with key {key[:255]}.", "flavor.no_spec")

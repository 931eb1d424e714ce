"""``/os-aggregates``: hosts with something in common."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from nova_lite.api import validation
from nova_lite.api.compute import parameters, policies
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import aggregates, hosts, images
from nova_lite.compute.aggregates import ZONE, Shown
from nova_lite.errors import Invalid, Unavailable

LOG = logging.getLogger(__name__)

_ZONE: Schema = {"anyOf": [{**parameters.NAME, "pattern": "^[^:]*$"}, {"type": "null"}]}
_HOST = parameters.FQDN
CREATE = parameters.body("aggregate", {"name": parameters.NAME, ZONE: _ZONE}, ["name"])
# A change, other than a creation, takes the space before and after the name away.
UPDATE = parameters.body("aggregate", {"name": {**parameters.NAME, "format": "name in spaces"}, ZONE: _ZONE})
UPDATE["properties"]["aggregate"]["minProperties"] = 1
ACTION: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1}
_METADATA: Schema = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
_SCHEMAS = {
    "add_host": parameters.body("add_host", {"host": _HOST}, ["host"]),
    "remove_host": parameters.body("remove_host", {"host": _HOST}, ["host"]),
    "set_metadata": parameters.body("set_metadata", {"metadata": _METADATA}, ["metadata"]),
}

_IMAGE: Schema = {
    "type": "object",
    "properties": {"id": parameters.UUID},
    "required": ["id"],
    "additionalProperties": False,
}
CACHE: Schema = {
    "type": "object",
    "properties": {"cache": {"type": "array", "items": _IMAGE, "minItems": 1, "maxItems": 64, "uniqueItems": True}},
    "required": ["cache"],
    "additionalProperties": False,
}


def _view(call: Call, shown: Shown) -> dict[str, Any]:
    row = shown.row
    zone = {} if row.availability_zone is None else {ZONE: row.availability_zone}
    view: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        ZONE: row.availability_zone,
        "hosts": list(shown.hosts),
        "metadata": {**row.metadata_, **zone},
        "created_at": parameters.exact_moment(row.created_at),
        "updated_at": parameters.exact_moment(row.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
    if call.version.minor >= 41:
        view["uuid"] = row.uuid
    return view


def _number(call: Call) -> int:
    text = call.params["aggregate_id"]
    try:
        value = int(text)
    except ValueError:
        raise Invalid(f"Invalid id '{text[:64]}': an aggregate's is a whole number.", "aggregate.bad_id") from None
    if abs(value) > parameters.LARGEST:
        raise aggregates.not_found(value)
    return value


def index(call: Call) -> dict[str, Any]:
    """List aggregates."""
    return {"aggregates": [_view(call, row) for row in aggregates.find(call.store)]}


def show(call: Call) -> dict[str, Any]:
    """Show one."""
    return {"aggregate": _view(call, aggregates.get(call.store, _number(call)))}


def create(call: Call) -> dict[str, Any]:
    """Make one, without hosts."""
    wanted = call.body["aggregate"]
    view = _view(call, aggregates.create(call.store, wanted["name"], wanted.get(ZONE)))
    # A new one's hosts and metadata are not in upstream's answer.
    return {"aggregate": {name: value for name, value in view.items() if name not in ("hosts", "metadata")}}


def update(call: Call) -> dict[str, Any]:
    """Change its name or its zone."""
    wanted = dict(call.body["aggregate"])
    if "name" in wanted:
        wanted["name"] = wanted["name"].strip()
    return {"aggregate": _view(call, aggregates.change(call.store, _number(call), wanted))}


def delete(call: Call) -> None:
    """Delete one that has no hosts."""
    aggregates.delete(call.store, _number(call))


def act(call: Call) -> dict[str, Any]:
    """Add a host, remove one, or set metadata."""
    name = next(iter(call.body))
    if name not in _SCHEMAS:
        raise Invalid(f"There is no such action: {name[:64]}", "aggregate.action")
    call.authorize({}, policies.PREFIX + f"os-aggregates:{name}")
    wanted = validation.validate(_SCHEMAS[name], call.body)[name]
    run: dict[str, Callable[[], Shown]] = {
        "add_host": lambda: aggregates.add_host(call.store, _number(call), wanted["host"]),
        "remove_host": lambda: aggregates.remove_host(call.store, _number(call), wanted["host"]),
        "set_metadata": lambda: aggregates.set_metadata(call.store, _number(call), wanted["metadata"]),
    }
    return {"aggregate": _view(call, run[name]())}


def cache_images(call: Call) -> None:
    """Have the hosts fetch images before anybody needs them; a host that does not answer fetches when it must, as ever."""
    names = aggregates.get(call.store, _number(call)).hosts
    wanted = [item["id"] for item in call.body["cache"]]
    images.check_fetchable(call.store, wanted)
    down_after = call.services.conf.compute.down_after
    for host in hosts.find(call.store):
        if host.name in names and hosts.is_up(host.last_seen, host.forced_down, down_after):
            ask = functools.partial(call.services.agents.call, host.name, "cache_images", image_ids=wanted)
            try:
                call.services.offload(ask)
            except Unavailable as error:
                LOG.warning("host=%s event=images-not-cached reason=%r", host.name, error.message)
